//! `/v1/chat/completions`: a checked request becomes an answer in one piece or a stream of events.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    io,
    sync::Arc,
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::Value;

use super::{
    answer::{Answer, Broken},
    condition::Condition,
    faults::Fault,
    protocol::{AnswerHead, ApiError, usage_body},
    request::StreamOptions,
    socket::Cut,
    stand_in::StandIn,
};

/// Answers a chat request.
pub async fn completions(
    State(stand_in): State<Arc<StandIn>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if stand_in.condition.now() == Condition::Dead {
        return ApiError::engine_dead().into_response();
    }
    let request = match stand_in.model.check(&body) {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    drop(body);
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let fault = stand_in.faults.next(request_id);
    if let Some(fault) = &fault {
        tracing::warn!(request = request_id, fault = fault.name(), "FAULT INJECTED by the fault script");
    }
    match fault {
        Some(Fault::ServerError) => return ApiError::internal("Internal server error (fault script)").into_response(),
        Some(Fault::Unavailable) => return ApiError::unavailable("Server overloaded (fault script)").into_response(),
        Some(Fault::BadRequest) => return ApiError::bad_request("Bad request (fault script)").into_response(),
        _ => {}
    }
    let head = AnswerHead {
        id: answer_id(request_id),
        created: jiff::Timestamp::now().as_second(),
        model: stand_in.model.name.clone(),
        fingerprint: stand_in.kind().name(),
    };
    let options = request.stream;
    let answer = Answer::new(stand_in, request, fault);
    match options {
        Some(options) => Events::new(answer, head, options, cut).into_response(),
        None => whole(answer, &head, &cut).await,
    }
}

/// `chatcmpl-` and the client's request id, or a number of our own.
fn answer_id(request_id: &str) -> String {
    if request_id.is_empty() {
        format!("chatcmpl-{:016x}", RandomState::new().hash_one(jiff::Timestamp::now()))
    } else {
        format!("chatcmpl-{request_id}")
    }
}

async fn whole(mut answer: Answer, head: &AnswerHead, cut: &Cut) -> Response {
    let mut text = String::new();
    loop {
        match answer.next().await {
            Ok(piece) => {
                text.push_str(&piece.text);
                if let Some(finish) = piece.finish {
                    return Json(head.completion(&text, finish, piece.usage)).into_response();
                }
            }
            Err(Broken::EngineDead) => return ApiError::engine_dead().into_response(),
            Err(Broken::Failed(error)) => return error.into_response(),
            Err(Broken::Reset) => {
                cut.now();
                return ApiError::internal("never seen: the connection is cut").into_response();
            }
        }
    }
}

/// The events of a stream.
struct Events {
    answer: Answer,
    head: AnswerHead,
    options: StreamOptions,
    cut: Cut,
    /// Events that are ready.
    ready: VecDeque<Bytes>,
    begun: bool,
    ended: bool,
}

impl Events {
    fn new(answer: Answer, head: AnswerHead, options: StreamOptions, cut: Cut) -> Self {
        Events { answer, head, options, cut, ready: VecDeque::new(), begun: false, ended: false }
    }

    /// The next event; `None` at the end, an error where the connection is to be cut.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.ready.is_empty() && !self.ended {
            match self.answer.next().await {
                Ok(piece) => {
                    let usage = self.options.continuous_usage_stats.then(|| usage_body(piece.usage));
                    if !self.begun {
                        self.begun = true;
                        self.push_with(self.head.role_chunk(), usage.clone());
                    }
                    self.push_with(self.head.text_chunk(&piece.text, piece.finish), usage);
                    if piece.finish.is_some() {
                        if self.options.include_usage {
                            self.push(&self.head.usage_chunk(piece.usage));
                        }
                        self.end();
                    }
                }
                Err(Broken::EngineDead) => self.fail(&ApiError::engine_dead()),
                Err(Broken::Failed(error)) => self.fail(&error),
                Err(Broken::Reset) => {
                    self.ended = true;
                    self.cut.now();
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }

    fn push(&mut self, event: &Value) {
        self.ready.push_back(format!("data: {event}\n\n").into());
    }

    fn push_with(&mut self, mut event: Value, usage: Option<Value>) {
        if let Some(usage) = usage {
            event["usage"] = usage;
        }
        self.push(&event);
    }

    fn fail(&mut self, error: &ApiError) {
        self.push(&error.stream_event());
        self.end();
    }

    /// A broken stream ends so too: `[DONE]` proves nothing.
    fn end(&mut self) {
        self.ended = true;
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    fn into_response(self) -> Response {
        let events = stream::unfold(self, |mut events| async move { Some((events.next().await?, events)) });
        ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(events)).into_response()
    }
}
