//! Sleep mode: a sleeping server frees the memory of its GPU, and wakes up in about a second, where a start takes
//! minutes (`docs/facts/vllm.md`, "Memory and sleep"; times: `docs/facts/h200.md`). A server has these endpoints if it
//! was started with `--enable-sleep-mode` and `VLLM_SERVER_DEV_MODE=1`.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::{
    engine::{Client, EngineError},
    model::error::chain,
};

#[derive(Deserialize)]
struct SleepState {
    is_sleeping: bool,
}

impl Client {
    /// Puts the server to sleep: its weights go to the node's memory, its KV cache is dropped. Returns once the server
    /// reports that it sleeps; a server that sleeps already does so at once.
    ///
    /// # Errors
    /// The server has no sleep mode, does not answer within the hang limit, or stays awake.
    pub async fn sleep(&self) -> Result<(), EngineError> {
        self.order("/sleep?level=1", true).await
    }

    /// Wakes the server up. Returns once the server reports that it is awake; that says nothing about its engine.
    ///
    /// # Errors
    /// The same as for [`Client::sleep`].
    pub async fn wake_up(&self) -> Result<(), EngineError> {
        self.order("/wake_up", false).await
    }

    /// Whether the server sleeps.
    ///
    /// # Errors
    /// The server has no sleep mode, or does not answer.
    pub async fn is_sleeping(&self) -> Result<bool, EngineError> {
        Ok(self.get::<SleepState>("/is_sleeping").await?.is_sleeping)
    }

    async fn order(&self, path: &'static str, sleeping: bool) -> Result<(), EngineError> {
        let refused = |reason| EngineError::SleepMode { address: self.address().to_string(), path, reason };
        let response = self.probe(self.hang_limit, || self.http.post(format!("{}{path}", self.base))).await;
        let status = response.map_err(|error| refused(chain(&error)))?.status();
        if status != StatusCode::OK {
            return Err(refused(format!("HTTP {status}")));
        }
        if self.is_sleeping().await? == sleeping {
            Ok(())
        } else {
            Err(refused("it answered HTTP 200, but /is_sleeping shows no change".into()))
        }
    }
}
