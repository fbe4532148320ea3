//! The lines of `pace-RRRR-ENGINE.jsonl`: observations of a server, one line every few seconds.

use std::time::Duration;

use serde::Serialize;

use crate::concurrency::{EngineGauges, Observation};

/// Sums over several observations.
#[derive(Debug, Default)]
pub(super) struct ObservationSum {
    pub(super) observations: u32,
    seconds: f64,
    in_flight_seconds: f64,
    finished: u64,
    prompt_tokens: u64,
    generated_tokens: u64,
    gauges: Option<EngineGauges>,
}

/// A line of the file: means since the line before. The gauges are those of the last observation that had some.
#[derive(Debug, Serialize)]
pub(super) struct LogLine {
    /// Time since the rank started.
    seconds: f64,
    limit: u32,
    in_flight: f64,
    requests_per_second: f64,
    prompt_tokens_per_second: f64,
    generated_tokens_per_second: f64,
    running: Option<f64>,
    waiting: Option<f64>,
    kv_cache_usage: Option<f64>,
    preemptions: Option<f64>,
}

impl ObservationSum {
    pub(super) fn add(&mut self, seen: &Observation) {
        self.observations += 1;
        self.seconds += seen.span.as_secs_f64();
        self.in_flight_seconds += seen.in_flight * seen.span.as_secs_f64();
        self.finished += seen.finished;
        self.prompt_tokens += seen.prompt_tokens;
        self.generated_tokens += seen.generated_tokens;
        self.gauges = seen.gauges.or(self.gauges);
    }

    /// The line of these observations; `since` is the time since the rank started.
    pub(super) fn line(self, since: Duration, limit: u32) -> LogLine {
        let tenths = |value: f64| (10.0 * value).round() / 10.0;
        let rate = |count: u64| tenths(count as f64 / self.seconds);
        LogLine {
            seconds: tenths(since.as_secs_f64()),
            limit,
            in_flight: tenths(self.in_flight_seconds / self.seconds),
            requests_per_second: (100.0 * self.finished as f64 / self.seconds).round() / 100.0,
            prompt_tokens_per_second: rate(self.prompt_tokens),
            generated_tokens_per_second: rate(self.generated_tokens),
            running: self.gauges.map(|gauges| gauges.running),
            waiting: self.gauges.map(|gauges| gauges.waiting),
            kv_cache_usage: self.gauges.map(|gauges| gauges.kv_cache_usage),
            preemptions: self.gauges.map(|gauges| gauges.preemptions),
        }
    }
}
