//! Observations of a server.

use std::time::Duration;

/// Every fifth observation has engine gauges; observations are a second apart. The metrics page has 57 kB
/// (`docs/facts/vllm.md`, "Metrics") and is made by the process that writes the streams.
pub const GAUGES_EVERY: u32 = 5;

/// What was observed of a server since the last observation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observation {
    /// Time since the last observation.
    pub span: Duration,
    /// Mean number of requests in flight, counted by the client: no metric includes those in image preprocessing.
    pub in_flight: f64,
    /// Prompt tokens of the requests that got their first token: their prefill is done.
    pub prompt_tokens: u64,
    /// Tokens received on all streams.
    pub generated_tokens: u64,
    /// Requests that ended, with any result.
    pub finished: u64,
    /// The engine's gauges; `None` if they were not requested or the server has no metrics.
    pub gauges: Option<EngineGauges>,
}

/// What a server reports about itself (`docs/facts/vllm.md`, "Metrics").
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EngineGauges {
    /// Requests on the GPU.
    pub running: f64,
    /// Requests in the engine's queue.
    pub waiting: f64,
    /// Share of the KV cache in use, 0.0..=1.0.
    pub kv_cache_usage: f64,
    /// Preemptions since the server's start.
    pub preemptions: f64,
}

/// Sums over observations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Work {
    pub(crate) seconds: f64,
    pub(crate) prompt: f64,
    pub(crate) generated: f64,
    pub(crate) finished: f64,
}

impl Work {
    pub(crate) fn of(seen: &Observation) -> Work {
        Work {
            seconds: seen.span.as_secs_f64(),
            prompt: seen.prompt_tokens as f64,
            generated: seen.generated_tokens as f64,
            finished: seen.finished as f64,
        }
    }

    /// Seconds per generated token if every prompt token takes `of_prompt`.
    pub(crate) fn seconds_of_generated_token(&self, of_prompt: f64) -> f64 {
        (self.seconds - of_prompt * self.prompt) / self.generated.max(1.0)
    }

    pub(crate) fn plus(self, other: Work) -> Work {
        Work {
            seconds: self.seconds + other.seconds,
            prompt: self.prompt + other.prompt,
            generated: self.generated + other.generated,
            finished: self.finished + other.finished,
        }
    }

    pub(crate) fn times(self, factor: f64) -> Work {
        Work {
            seconds: self.seconds * factor,
            prompt: self.prompt * factor,
            generated: self.generated * factor,
            finished: self.finished * factor,
        }
    }
}
