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

use crate::{
    model::TokenUsage,
    standin::{
        answer::{Answer, Broken},
        faults::{
            Fault,
            condition::Condition,
            stream::{FaultyStream, done, event},
        },
        stand_in::StandIn,
    },
};

use super::{
    release::Release,
    request::StreamOptions,
    request_log::RequestLog,
    socket::Cut,
    {api_error::ApiError, protocol::AnswerHead},
};

/// Answers a chat request.
pub async fn completions(
    State(stand_in): State<Arc<StandIn>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let mut log = RequestLog::new(request_id);
    let release = stand_in.options.release;
    if stand_in.condition.now() == Condition::Dead {
        let error = release.engine_dead();
        log.broken(error.status);
        return error.into_response();
    }
    let request = match stand_in.model.check(&body) {
        Ok(request) => request,
        Err(error) => {
            log.refused(error.status);
            return error.into_response();
        }
    };
    drop(body);
    let injected = request.picture.as_ref().and_then(|_| stand_in.faults.next(request_id));
    if let Some(injected) = &injected {
        log.injected(injected.word);
        tracing::debug!(request = request_id, fault = injected.word, "FAULT INJECTED by the fault script");
    }
    let fault = injected.map(|injected| injected.fault);
    let refusal = match fault {
        Some(Fault::ServerError) => Some(release.internal("Internal server error (fault script)")),
        Some(Fault::Unavailable) => Some(ApiError::unavailable("Server overloaded (fault script)")),
        Some(Fault::BadRequest) => Some(release.bad_request("Bad request (fault script)")),
        _ => None,
    };
    if let Some(error) = refusal {
        log.mark_fault();
        return error.into_response();
    }
    let head = AnswerHead {
        release,
        id: answer_id(request_id),
        created: jiff::Timestamp::now().as_second(),
        model: stand_in.model.name.clone(),
        fingerprint: stand_in.kind().name(),
    };
    let options = request.stream;
    let answer = Answer::new(stand_in, request, fault);
    match options {
        Some(options) => Events::new(answer, head, options, cut, log).into_response(),
        None => whole(answer, &head, &cut, log).await,
    }
}

/// `chatcmpl-` and the client's request id, or a random number where it sent none.
fn answer_id(request_id: &str) -> String {
    if request_id.is_empty() {
        format!("chatcmpl-{:016x}", RandomState::new().hash_one(jiff::Timestamp::now()))
    } else {
        format!("chatcmpl-{request_id}")
    }
}

async fn whole(mut answer: Answer, head: &AnswerHead, cut: &Cut, mut log: RequestLog) -> Response {
    let mut text = String::new();
    loop {
        match answer.next().await {
            Ok(piece) => {
                text.push_str(&piece.text);
                if let Some(finish) = piece.finish {
                    log.finished(finish);
                    return Json(head.completion(&text, finish, piece.usage)).into_response();
                }
            }
            Err(Broken::EngineDead) => {
                let error = head.release.engine_dead();
                log.broken(error.status);
                return error.into_response();
            }
            Err(Broken::Failed(error)) => {
                log.broken(error.status);
                return error.into_response();
            }
            Err(Broken::FaultyStream(_)) => {
                log.mark_fault();
                return head.release.internal("a fault of streams (fault script)").into_response();
            }
            Err(Broken::Reset) => {
                log.mark_fault();
                cut.now();
                return head.release.internal("never seen: the connection is cut").into_response();
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
    log: RequestLog,
    /// Events that are ready to be sent.
    ready: VecDeque<Bytes>,
    /// Tokens so far.
    usage: TokenUsage,
    /// The rest of the stream after a stream fault.
    spoiled: Option<FaultyStream>,
    begun: bool,
    ended: bool,
}

impl Events {
    fn new(answer: Answer, head: AnswerHead, options: StreamOptions, cut: Cut, log: RequestLog) -> Self {
        Events {
            answer,
            head,
            options,
            cut,
            log,
            ready: VecDeque::new(),
            usage: TokenUsage::default(),
            spoiled: None,
            begun: false,
            ended: false,
        }
    }

    /// The next event; `None` at the end; an error where the connection is to be cut.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.ready.is_empty() && !self.ended {
            match self.answer.next().await {
                Ok(piece) => {
                    self.usage = piece.usage;
                    let running = self.options.continuous_usage_stats.then_some(piece.usage);
                    if !self.begun {
                        self.begun = true;
                        self.push(&self.head.role_chunk(running));
                    }
                    self.push(&self.head.text_chunk(&piece.text, piece.finish, running));
                    if let Some(finish) = piece.finish {
                        self.log.finished(finish);
                        if self.options.include_usage {
                            self.push(&self.head.usage_chunk(piece.usage));
                        }
                        self.end();
                    }
                }
                Err(Broken::EngineDead) => self.fail(&self.release().engine_dead()),
                Err(Broken::Failed(error)) => self.fail(&error),
                Err(Broken::FaultyStream(fault)) => {
                    self.ended = true;
                    self.spoiled = Some(FaultyStream::new(fault, self.head.clone(), self.usage));
                }
                Err(Broken::Reset) => {
                    self.ended = true;
                    self.log.mark_fault();
                    self.cut.now();
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
        }
        if let Some(bytes) = self.ready.pop_front() {
            return Some(Ok(bytes));
        }
        let spoiled = self.spoiled.as_mut()?;
        let bytes = spoiled.next().await;
        // Marked before the end: a client may disconnect at `[DONE]`.
        if spoiled.is_order() {
            self.log.mark_fault();
        }
        bytes.map(Ok)
    }

    fn release(&self) -> Release {
        self.head.release
    }

    fn push(&mut self, data: &Value) {
        self.ready.push_back(event(data));
    }

    fn fail(&mut self, error: &ApiError) {
        self.log.broken(error.status);
        self.push(&self.release().stream_event(error));
        self.end();
    }

    /// Ends the events with `[DONE]`. A failed stream ends so too, as on a real server.
    fn end(&mut self) {
        self.ended = true;
        self.ready.push_back(done());
    }

    fn into_response(self) -> Response {
        let events = stream::unfold(self, |mut events| async move { Some((events.next().await?, events)) });
        ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(events)).into_response()
    }
}
