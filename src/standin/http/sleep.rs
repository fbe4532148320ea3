//! Sleep mode as in vLLM (`docs/facts/vllm.md`, "Memory and sleep"; vLLM's `entrypoints/serve/sleep` and
//! `v1/engine/core`):
//!
//! | | |
//! |---|---|
//! | `POST /sleep?level=1` | 200 once it sleeps; requests in flight end with `abort` (0.11.2: the engine dies) |
//! | `POST /wake_up` | 200 once it is awake |
//! | `GET /is_sleeping` | `{"is_sleeping": …}` |
//! | another request meanwhile | waits until the server wakes up (0.11.2: the engine dies) |
//! | `/health`, `/v1/models`, `/metrics` | as usual, with `vllm:engine_sleep_state` |
//!
//! Sleeping twice, or waking up twice, changes nothing and gives 200. A server without sleep mode gives 404.

use std::{future::pending, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::sync::{Mutex, watch};

use crate::standin::{faults::SleepFault, stand_in::StandIn};

use super::release::Release;

/// Duration of falling asleep and of waking up.
#[derive(Debug, Clone, Copy, Default)]
pub struct SleepMode {
    /// Time to fall asleep; 13 s was measured on an H200 (`docs/facts/h200.md`, "Start, sleep and wake-up").
    pub fall_asleep: Duration,
    /// Time to wake up; 0.7 s was measured there.
    pub wake_up: Duration,
}

/// Whether the server sleeps.
#[derive(Debug)]
pub struct Sleep {
    asleep: watch::Sender<bool>,
    /// Held while a request to sleep or to wake up is carried out: they run one after the other.
    order: Mutex<()>,
}

impl Sleep {
    /// A server that is awake.
    pub fn awake() -> Self {
        Sleep { asleep: watch::Sender::new(false), order: Mutex::new(()) }
    }

    async fn until(&self, asleep: bool) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.asleep.subscribe().wait_for(|now| *now == asleep).await;
    }
}

impl StandIn {
    /// Runs a step of an answer. An answer that has not `begun` waits while the server sleeps. `None` where the server
    /// falls asleep during the step.
    pub async fn awake<T>(&self, begun: bool, step: impl Future<Output = T>) -> Option<T> {
        if !begun && *self.sleep.asleep.borrow() {
            self.die_if_old().await;
            self.sleep.until(false).await;
        }
        tokio::select! {
            biased;
            () = self.sleep.until(true) => {
                self.die_if_old().await;
                None
            }
            done = step => Some(done),
        }
    }

    /// Kills the engine of 0.11.2, which would run a request on memory that is no longer there (vllm#15483).
    async fn die_if_old(&self) {
        if self.options.release == Release::V0_11_2 {
            self.condition.die();
            pending::<()>().await;
        }
    }

    async fn order(&self, asleep: bool, takes: Duration, fails: SleepFault) -> Response {
        let _order = self.sleep.order.lock().await;
        match self.faults.next_order(asleep) {
            Some(injected) if injected.fault == SleepFault::WakeHangs => return pending().await,
            Some(injected) if injected.fault == fails => {
                tracing::error!(fault = injected.word, "FAULT INJECTED by the fault script");
                return self.options.release.internal("Internal server error (fault script)").into_response();
            }
            _ => {}
        }
        if *self.sleep.asleep.borrow() != asleep {
            // The server answers no request from the beginning of the change to its end.
            self.sleep.asleep.send_replace(true);
            tokio::time::sleep(takes).await;
            self.sleep.asleep.send_replace(asleep);
            self.metrics.set_asleep(asleep);
        }
        StatusCode::OK.into_response()
    }
}

/// The endpoints of sleep mode.
pub fn routes(mode: SleepMode) -> Router<Arc<StandIn>> {
    let fall_asleep = move |State(stand_in): State<Arc<StandIn>>| async move {
        stand_in.order(true, mode.fall_asleep, SleepFault::SleepFails).await
    };
    let wake_up = move |State(stand_in): State<Arc<StandIn>>| async move {
        stand_in.order(false, mode.wake_up, SleepFault::WakeFails).await
    };
    let is_sleeping = async |State(stand_in): State<Arc<StandIn>>| {
        let asleep = *stand_in.sleep.asleep.borrow();
        Json(json!({ "is_sleeping": asleep }))
    };
    Router::new()
        .route("/sleep", post(fall_asleep))
        .route("/wake_up", post(wake_up))
        .route("/is_sleeping", get(is_sleeping))
}
