//! Health probes of a ready server: whether its process lives, and its engine makes progress.

use std::time::Duration;

use tokio::time::sleep;

use crate::engine::{Client, Gone};
use crate::sys::seconds_text;

/// Between two requests to `/health`.
const PULSE_INTERVAL: Duration = Duration::from_secs(2);

/// Why a ready server counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Death {
    /// The health probe says so.
    #[error(transparent)]
    Gone(Gone),
    /// `/health` answers 200, but no request makes progress.
    #[error(
        "its engine hangs: no token came for {} with requests in flight, its counters did not move, and a request of \
         one token was not answered", seconds_text(*.0)
    )]
    Hangs(Duration),
}

/// Waits until the server that serves `model` is dead, by its health probe or because its engine hangs.
pub(super) async fn death(client: &Client, model: &str, hang_limit: Duration) -> Death {
    tokio::select! {
        death = await_health_failure(client) => death,
        death = await_hang(client, model, hang_limit) => death,
    }
}

async fn await_health_failure(client: &Client) -> Death {
    loop {
        sleep(PULSE_INTERVAL).await;
        if let Some(gone) = client.await_gone(Duration::ZERO).await {
            return Death::Gone(gone);
        }
    }
}

/// A pause in the tokens alone proves nothing: vLLM preprocesses the images of all requests before it answers one (108
/// s for eight large pages on a slow machine: `docs/facts/vllm.md`, "Liveness"). So the engine's token counters and a
/// canary request decide.
async fn await_hang(client: &Client, model: &str, hang_limit: Duration) -> Death {
    let interval = (hang_limit / 20).clamp(Duration::from_millis(20), Duration::from_secs(5));
    let traffic = client.traffic();
    let is_silent = || traffic.since_last_token().is_some_and(|silence| silence >= hang_limit);
    loop {
        sleep(interval).await;
        if !is_silent() {
            continue;
        }
        tracing::warn!(
            server = %client.address(),
            "no token for {} with requests in flight: checking its counters and asking for one token",
            seconds_text(hang_limit)
        );
        let before = client.engine_tokens().await;
        sleep(interval).await;
        let after = client.engine_tokens().await;
        let moved = before.is_some() && after > before;
        let tokens = traffic.tokens();
        if moved || client.answers_canary(model).await || traffic.tokens() > tokens {
            traffic.move_now();
        } else {
            return Death::Hangs(hang_limit);
        }
    }
}
