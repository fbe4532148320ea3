//! One streamed answer: read token by token, judged as it grows, cut when it loops or stalls.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    engine::{
        AnswerField, EventParser, Limits, StreamEvent,
        judge::{Judge, Judgement, Loop},
    },
    model::{FinishReason, TokenUsage, error::chain},
};

use super::traffic::Traffic;

/// Most bytes of answer per token on average, in the text itself or in the event that carries it. Gazettes in the
/// dialects of Chandra and DeepSeek-OCR have 2 to 8 bytes a token, and three times as many where a server escapes all but ASCII;
/// the rest is margin. Only a faulty server sends more; without a limit it would fill the memory of the rank.
const BYTES_PER_TOKEN: usize = 64;

/// Bytes of an event besides the text: ids, names, usage, finish reason, or an error message.
const ENVELOPE: usize = 16 * 1024;

/// Most bytes that are read of a refusal's body. The message is at its beginning.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// Most bytes of an answer of `max_tokens` tokens, and of any one of its events: a server that lags puts many tokens
/// into one event.
fn answer_limit(max_tokens: u32) -> usize {
    usize::try_from(max_tokens).unwrap_or(usize::MAX).saturating_mul(BYTES_PER_TOKEN).saturating_add(ENVELOPE)
}

/// The deadline that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// No first token in time.
    FirstToken,
    /// No further token in time.
    TokenGap,
    /// The whole answer took too long.
    Total,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server gave its finish reason. If the judge finds a loop in the last characters, the end is [`End::Cut`]
    /// instead.
    Finished(FinishReason),
    /// The judge found a loop.
    Cut(Loop),
    /// The HTTP status was not 200.
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's message; empty where it sent none.
        message: String,
    },
    /// An error event within a stream that began with 200.
    ErrorEvent {
        /// The server's message.
        message: String,
    },
    /// The connection was refused, reset or closed before the answer ended.
    Lost {
        /// Whether the server may have seen the request; false where the connection was refused.
        sent: bool,
        /// The error of the connection.
        message: String,
    },
    /// A deadline passed.
    Stalled(Deadline),
    /// The text comes in another field of the answer.
    Elsewhere(AnswerField),
    /// HTTP 200 with a page of HTML or with JSON: no server of the profile's model answers.
    NotAStream {
        /// What came instead, and the remedy.
        message: String,
    },
    /// HTTP 200 with a stream that is not vLLM's, or that is longer than the token budget allows.
    Malformed {
        /// What is wrong with the body.
        message: String,
    },
}

/// An answer, complete or partial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineResponse {
    /// The text so far.
    pub raw: String,
    /// How it ended.
    pub end: End,
    /// Tokens spent. Where the server did not report them, completion tokens are counted from the stream.
    pub usage: TokenUsage,
    /// Whether the server reported `usage`.
    pub usage_reported: bool,
    /// Time from sending the request to the first token.
    pub time_to_first_token: Option<Duration>,
    /// Time from sending the request to the end.
    pub duration: Duration,
}

/// Reads the answer of at most `max_tokens` tokens to a request that is being sent. On return the connection is
/// dropped, which ends the request on the server.
pub(in crate::engine) async fn read_answer(
    sending: impl Future<Output = Result<Response, End>>,
    limits: Limits,
    max_tokens: u32,
    traffic: &Traffic,
) -> EngineResponse {
    let start = Instant::now();
    let mut answer = Answer::new(start, limits, answer_limit(max_tokens), traffic);
    let end = match answer.read(sending).await {
        Ok(end) | Err(end) => end,
    };
    answer.reply(end)
}

struct Answer<'t> {
    traffic: &'t Traffic,
    start: Instant,
    limits: Limits,
    /// Most bytes of the text, and of one event.
    most_bytes: usize,
    last_progress: Option<Instant>,
    raw: String,
    judge: Judge,
    usage: Option<TokenUsage>,
    pieces: u32,
    first_token: Option<Duration>,
    finish: Option<FinishReason>,
}

impl<'t> Answer<'t> {
    fn new(start: Instant, limits: Limits, most_bytes: usize, traffic: &'t Traffic) -> Answer<'t> {
        Answer {
            traffic,
            start,
            limits,
            most_bytes,
            last_progress: None,
            raw: String::new(),
            judge: Judge::default(),
            usage: None,
            pieces: 0,
            first_token: None,
            finish: None,
        }
    }

    /// Reads to the end. Both `Ok` and `Err` are ends; `Err` only serves for the early return.
    async fn read(&mut self, sending: impl Future<Output = Result<Response, End>>) -> Result<End, End> {
        let (deadline, which) = self.deadline();
        let mut response = timeout_at(deadline, sending).await.map_err(|_| End::Stalled(which))??;
        if response.status() != StatusCode::OK {
            return Err(refused(response, deadline, which).await);
        }
        let (mut parser, mut events) = (EventParser::new(self.most_bytes), Vec::new());
        let mut begun = false;
        loop {
            let (deadline, which) = self.deadline();
            // If bytes were always ready, `timeout_at` would never check its timer.
            let next = if Instant::now() < deadline { timeout_at(deadline, response.chunk()).await.ok() } else { None };
            let bytes = match next {
                Some(Ok(Some(bytes))) => bytes,
                // After the finish reason only usage and `[DONE]` follow: the answer is complete even if they are
                // missing.
                Some(_) | None if self.finish.is_some() => return self.whole(),
                Some(Ok(None)) => return Err(lost("the stream ended before the answer did".into())),
                Some(Err(error)) => return Err(lost(chain(&error))),
                None => return Err(End::Stalled(which)),
            };
            if !std::mem::replace(&mut begun, true) && !is_event_stream(&response, &bytes) {
                return Err(not_a_stream(response, &bytes, deadline).await);
            }
            let parsed = parser.push(&bytes, &mut events);
            for event in events.drain(..) {
                if let Some(end) = self.handle_event(event)? {
                    return Ok(end);
                }
            }
            parsed.map_err(|message| End::Malformed { message })?;
        }
    }

    fn handle_event(&mut self, event: StreamEvent) -> Result<Option<End>, End> {
        match event {
            StreamEvent::Error { message, .. } => Err(End::ErrorEvent { message }),
            StreamEvent::Elsewhere(field) => Err(End::Elsewhere(field)),
            StreamEvent::Done => self.whole().map(Some),
            StreamEvent::Piece { text, finish, usage } => {
                self.usage = usage.or(self.usage);
                self.finish = finish.or(self.finish);
                if self.raw.len().saturating_add(text.len()) > self.most_bytes {
                    let message = format!("the answer is longer than {} bytes", self.most_bytes);
                    return Err(End::Malformed { message });
                }
                if !text.is_empty() {
                    self.pieces += 1;
                    self.raw.push_str(&text);
                }
                if !text.is_empty() || finish.is_some() {
                    let now = Instant::now();
                    self.last_progress = Some(now);
                    self.traffic.token();
                    if self.first_token.is_none() {
                        self.first_token = Some(now - self.start);
                        self.traffic.prompt(self.usage.map_or(0, |usage| usage.prompt));
                    }
                }
                match self.judge.push(&text) {
                    Judgement::Continue => Ok(None),
                    Judgement::Loop(found) => Err(End::Cut(found)),
                }
            }
        }
    }

    /// The end of an answer that the server has ended. The judge checks the last characters once more.
    fn whole(&self) -> Result<End, End> {
        match (self.finish, self.judge.finish()) {
            (Some(_), Judgement::Loop(found)) => Err(End::Cut(found)),
            (Some(finish), Judgement::Continue) => Ok(End::Finished(finish)),
            (None, _) => Err(End::Malformed { message: "the stream ended without a finish reason".into() }),
        }
    }

    fn deadline(&self) -> (Instant, Deadline) {
        let total = self.start + self.limits.total;
        match self.last_progress.map(|last| last + self.limits.token_gap) {
            // Before the first token no other limit applies, whichever of the two limits comes first.
            None => (total.min(self.start + self.limits.first_token), Deadline::FirstToken),
            Some(progress) if progress <= total => (progress, Deadline::TokenGap),
            Some(_) => (total, Deadline::Total),
        }
    }

    fn reply(self, end: End) -> EngineResponse {
        let counted = TokenUsage { prompt: 0, completion: self.pieces };
        EngineResponse {
            raw: self.raw,
            end,
            usage: self.usage.unwrap_or(counted),
            usage_reported: self.usage.is_some(),
            time_to_first_token: self.first_token,
            duration: self.start.elapsed(),
        }
    }
}

/// The end of a connection that was lost while the server was answering.
fn lost(message: String) -> End {
    End::Lost { sent: true, message }
}

/// Whether an answer with HTTP 200 is a stream of events, by its type and its first bytes: no event begins as HTML or
/// JSON does.
fn is_event_stream(response: &Response, first: &[u8]) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let named = kind.is_none_or(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
    named && !matches!(first.trim_ascii_start().first(), Some(b'<' | b'{' | b'['))
}

async fn not_a_stream(mut response: Response, first: &Bytes, deadline: Instant) -> End {
    const SHOWN: usize = 200;
    let mut body = first.to_vec();
    while body.len() < SHOWN
        && let Ok(Ok(Some(bytes))) = timeout_at(deadline, response.chunk()).await
    {
        body.extend_from_slice(&bytes);
    }
    let body: String = String::from_utf8_lossy(&body).split_whitespace().collect::<Vec<_>>().join(" ");
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no type");
    let message = format!(
        "HTTP 200 is no event stream ({kind}) but begins with `{}`: another program answers at this address, such as a \
         proxy or a login page; give the address of vLLM itself",
        body.chars().take(SHOWN).collect::<String>()
    );
    End::NotAStream { message }
}

/// Reads the message of a refusal: `{"error":{"message":…}}`, `{"detail":…}`, or the text itself.
async fn refused(mut response: Response, deadline: Instant, which: Deadline) -> End {
    #[derive(Deserialize)]
    struct Body {
        error: Option<serde_json::Value>,
        detail: Option<serde_json::Value>,
    }
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < REFUSAL_LIMIT {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(bytes))) => body.extend_from_slice(&bytes),
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return lost(format!("HTTP {status}, then {}", chain(&error))),
            Err(_) => return End::Stalled(which),
        }
    }
    let body = String::from_utf8_lossy(&body);
    let parsed = serde_json::from_str::<Body>(&body).ok().and_then(|body| {
        let error = body.error.map(|error| error.get("message").cloned().unwrap_or(error));
        error.or(body.detail).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_string))
    });
    let message = parsed.unwrap_or_else(|| body.trim().chars().take(500).collect());
    End::Refused { status, message }
}
