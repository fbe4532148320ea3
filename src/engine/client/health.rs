//! Whether a server lives: its process, its health, its engine.

use std::{error::Error as _, io, time::Duration};

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::engine::Client;

use super::PROBE_LIMIT;

/// Between two questions to `/health`, where one is not enough.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// So many failed questions to `/health` in a row mean death.
const FAILURES: u32 = 3;

/// Before a connection is tried again that a full queue has turned away.
const QUEUE_PAUSE: Duration = Duration::from_millis(50);

/// So many connections of the pool may be found broken before one of them is taken for an answer.
const BROKEN: u32 = 3;

/// How a server that was ready shows that it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// Nobody listens there any more.
    #[error("it refuses connections")]
    Refused,
    /// `/health` was not 200, or not in time, again and again.
    #[error("/health failed {FAILURES} times in a row")]
    Unhealthy,
}

/// What a server says to `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HealthProbe {
    /// 200. A hung engine still says so (`docs/facts/vllm.md`, "Liveness").
    Beats,
    /// Another status, or none in time.
    Fails,
    /// Nobody listens there.
    Refused,
}

impl Client {
    async fn probe_health(&self) -> HealthProbe {
        match self.probe(PROBE_LIMIT, || self.http.get(format!("{}/health", self.base))).await {
            Ok(response) if response.status() == StatusCode::OK => HealthProbe::Beats,
            Err(error) if is_refused(&error) => HealthProbe::Refused,
            Ok(_) | Err(_) => HealthProbe::Fails,
        }
    }

    /// Whether the server answers `/health` with 200. A hung engine still does (`docs/facts/vllm.md`, "Liveness").
    pub async fn alive(&self) -> bool {
        self.probe_health().await == HealthProbe::Beats
    }

    /// Whether a server that was ready is gone; `None` once it has looked well for `period`, which may be zero. The one
    /// judgement on this: whoever kills or leaves a server has it from here, or from the words of its dying engine.
    ///
    /// A refused connection is enough. A failed answer is not, nor one that is late: a healthy server was seen to take
    /// 4.2 s (`docs/facts/vllm.md`, "Liveness"), and who writes tokens meanwhile lives.
    pub async fn await_gone(&self, period: Duration) -> Option<Gone> {
        let end = Instant::now() + period;
        let mut failures = 0;
        loop {
            let tokens = self.traffic().tokens();
            let probe_health = self.probe_health().await;
            let lives = probe_health == HealthProbe::Beats || self.traffic().tokens() > tokens;
            if probe_health == HealthProbe::Refused {
                return Some(Gone::Refused);
            }
            if lives && Instant::now() >= end {
                return None;
            }
            failures = if lives { 0 } else { failures + 1 };
            if failures == FAILURES {
                return Some(Gone::Unhealthy);
            }
            sleep(PROBE_PAUSE).await;
        }
    }

    /// Sends a small request that is answered within `limit`. A Unix socket whose queue of connections is full turns
    /// one away at once (EAGAIN), which says that the server is busy: it is tried again. So is a connection that breaks:
    /// it may be an old one of the pool, whose end says nothing of who listens now.
    pub(in crate::engine) async fn probe(
        &self,
        limit: Duration,
        request: impl Fn() -> RequestBuilder,
    ) -> reqwest::Result<Response> {
        let deadline = Instant::now() + limit;
        let mut broken = 0;
        loop {
            let sent = request().timeout(deadline.saturating_duration_since(Instant::now())).send().await;
            match sent {
                Err(error) if is_queue_full(&error) && Instant::now() + QUEUE_PAUSE < deadline => {
                    sleep(QUEUE_PAUSE).await;
                }
                Err(error) if !error.is_timeout() && !error.is_connect() && broken < BROKEN => broken += 1,
                sent => return sent,
            }
        }
    }

    /// Whether the engine answers a request of one token, without an image, within the hang limit: a hung engine does
    /// not, whatever `/health` says. Those who ask together share one answer.
    pub async fn answers_canary(&self, model: &str) -> bool {
        let asked = Instant::now();
        let mut last = self.canary.lock().await;
        if let Some((sent, answered)) = *last
            && sent >= asked
        {
            return answered;
        }
        let sent = Instant::now();
        let body = json!({
            "messages": [{ "role": "user", "content": "." }],
            "model": model,
            "max_tokens": 1,
            "temperature": 0.0,
        });
        let request = || self.completions(body.to_string()).header("X-Request-Id", "canary");
        // A request that is refused as such says nothing against the engine.
        let answered = match self.probe(self.hang_limit, request).await {
            Ok(response) if [StatusCode::OK, StatusCode::BAD_REQUEST].contains(&response.status()) => {
                response.bytes().await.is_ok()
            }
            Ok(_) | Err(_) => false,
        };
        *last = Some((sent, answered));
        answered
    }

    /// Tokens that the engine has read and written since its start, by its own count; `None` where it does not say
    /// (`docs/facts/vllm.md`, "Metrics").
    pub async fn engine_tokens(&self) -> Option<u64> {
        self.metrics().await?.tokens()
    }
}

/// Whether nobody listens. A connection that is not made in time is no refusal.
fn is_refused(error: &reqwest::Error) -> bool {
    matches!(io_error(error), Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
}

fn is_queue_full(error: &reqwest::Error) -> bool {
    error.is_connect() && io_error(error) == Some(io::ErrorKind::WouldBlock)
}

/// What the operating system said, if it is behind an error.
fn io_error(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
