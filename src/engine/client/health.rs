//! Health probes: whether a server's process lives, `/health` answers, and the engine makes progress.

use std::{error::Error as _, io, time::Duration};

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::engine::Client;

use super::PROBE_LIMIT;

/// Between two health probes, where one is not enough.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// Number of failed health probes in a row after which a server counts as dead.
const FAILURES: u32 = 3;

/// Before the next try of a connection that a full queue has refused.
const QUEUE_PAUSE: Duration = Duration::from_millis(50);

/// Number of broken connections of the pool that are tried again before one counts as a failed probe.
const BROKEN: u32 = 3;

/// Why a server that was ready counts as gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// No process listens there any more.
    #[error("it refuses connections")]
    Refused,
    /// `/health` was not 200, or was late, several times in a row.
    #[error("/health failed {FAILURES} times in a row")]
    Unhealthy,
}

/// The result of one health probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HealthProbe {
    /// HTTP 200. A hung engine still gives it (`docs/facts/vllm.md`, "Liveness").
    Beats,
    /// Another status, or no answer in time.
    Fails,
    /// No process listens there.
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

    /// Whether a server that was ready is gone; `None` once it has been healthy for `period`, which may be zero. Apart
    /// from the messages of a dying engine, this is the only place that decides so.
    ///
    /// One refused connection is enough. A failed or late answer is not: a healthy server was seen to take 4.2 s
    /// (`docs/facts/vllm.md`, "Liveness"). A server that sends tokens meanwhile lives.
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

    /// Sends a small request that is to be answered within `limit`. A Unix socket whose queue of connections is full
    /// refuses one at once (EAGAIN). That only means a busy server, so the request is sent again. So it is after a
    /// connection that breaks: it may be an old one of the pool, whose end says nothing of the process that listens
    /// now.
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

    /// Sends a canary request: one token, no image. Whether the engine answers within the hang limit; a hung engine
    /// does not, whatever `/health` says. Callers that ask at the same time share one request.
    pub async fn answers_canary(&self, model: &str) -> bool {
        let asked = Instant::now();
        let mut last = self.canary.lock().await;
        // Another caller's request also answers this call, if it was sent after this call began.
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
        // HTTP 400 is an answer too: a server that refuses the request is not hung.
        let answered = match self.probe(self.hang_limit, request).await {
            Ok(response) if [StatusCode::OK, StatusCode::BAD_REQUEST].contains(&response.status()) => {
                response.bytes().await.is_ok()
            }
            Ok(_) | Err(_) => false,
        };
        *last = Some((sent, answered));
        answered
    }

    /// Tokens that the engine has read and written since its start, by its own counters; `None` where it has none
    /// (`docs/facts/vllm.md`, "Metrics").
    pub async fn engine_tokens(&self) -> Option<u64> {
        self.metrics().await?.tokens()
    }
}

/// Whether no process listens at the address. A connection that is merely late is not refused.
fn is_refused(error: &reqwest::Error) -> bool {
    matches!(io_error(error), Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
}

fn is_queue_full(error: &reqwest::Error) -> bool {
    error.is_connect() && io_error(error) == Some(io::ErrorKind::WouldBlock)
}

/// The operating system's error behind an HTTP error, if there is one.
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
