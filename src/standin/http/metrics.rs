//! `/metrics`: vLLM's names, labels and types (`docs/facts/vllm.md`, "Metrics"), with real counts.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::model::FinishReason;

use super::release::Release;

/// Upper bounds of the buckets of the latency histograms, seconds; vLLM's own for whole requests.
const LATENCY_BUCKETS: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
/// The same for the time to first token.
const FIRST_TOKEN_BUCKETS: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];

#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    buckets: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, buckets: vec![0; bounds.len()], sum: 0.0, count: 0 }
    }

    fn observe(&mut self, value: Duration) {
        let seconds = value.as_secs_f64();
        if let Some(bucket) = self.bounds.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket] += 1;
        }
        self.sum += seconds;
        self.count += 1;
    }
}

#[derive(Debug)]
struct Counts {
    running: u64,
    waiting: u64,
    kv_usage: f64,
    asleep: bool,
    prompt_tokens: u64,
    generation_tokens: u64,
    preemptions: u64,
    finished: BTreeMap<&'static str, u64>,
    first_token: Histogram,
    whole_request: Histogram,
    queue: Histogram,
}

/// The counters of one server.
#[derive(Debug)]
pub struct Metrics {
    model_name: String,
    counts: Mutex<Counts>,
}

impl Metrics {
    /// Counters at zero, for the model of this served name.
    pub fn new(model_name: &str, release: Release) -> Arc<Self> {
        let mut finished: BTreeMap<_, _> = ["stop", "length", "abort"].map(|reason| (reason, 0)).into();
        if release.detects_repetition() {
            finished.extend(["error", "repetition"].map(|reason| (reason, 0)));
        }
        Arc::new(Metrics {
            model_name: model_name.replace(['\\', '"', '\n'], "_"),
            counts: Mutex::new(Counts {
                running: 0,
                waiting: 0,
                kv_usage: 0.0,
                asleep: false,
                prompt_tokens: 0,
                generation_tokens: 0,
                preemptions: 0,
                finished,
                first_token: Histogram::new(&FIRST_TOKEN_BUCKETS),
                whole_request: Histogram::new(&LATENCY_BUCKETS),
                queue: Histogram::new(&LATENCY_BUCKETS),
            }),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the share of the KV cache in use, 0.0..=1.0, and the number of preemptions so far.
    pub fn set_cache(&self, usage: f64, preemptions: u64) {
        let mut counts = self.counts();
        counts.kv_usage = usage;
        counts.preemptions = preemptions;
    }

    /// Sets whether the server sleeps, with its weights in the node's memory.
    pub fn set_asleep(&self, asleep: bool) {
        self.counts().asleep = asleep;
    }

    /// Counts a request as waiting until it is [admitted](RequestClock::admitted).
    pub fn arrive(self: &Arc<Self>) -> RequestClock {
        self.counts().waiting += 1;
        RequestClock { metrics: Arc::clone(self), arrived: Instant::now(), phase: Phase::Waiting, first_token: false }
    }

    /// The page, in Prometheus' text format.
    pub fn render(&self) -> String {
        let counts = self.counts();
        let labels = format!("engine=\"0\",model_name=\"{}\"", self.model_name);
        let mut text = String::new();
        let mut scalar = |name: &str, kind: &str, value: String| {
            let sample = if kind == "counter" { format!("{name}_total") } else { name.into() };
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "# HELP vllm:{sample} Of the stand-in.\n# TYPE vllm:{sample} {kind}\n");
            let _ = writeln!(text, "vllm:{sample}{{{labels}}} {value}");
        };
        scalar("num_requests_running", "gauge", format!("{:.1}", counts.running as f64));
        scalar("num_requests_waiting", "gauge", format!("{:.1}", counts.waiting as f64));
        scalar("kv_cache_usage_perc", "gauge", format!("{:.6}", counts.kv_usage));
        scalar("num_preemptions", "counter", format!("{:.1}", counts.preemptions as f64));
        scalar("prompt_tokens", "counter", format!("{:.1}", counts.prompt_tokens as f64));
        scalar("generation_tokens", "counter", format!("{:.1}", counts.generation_tokens as f64));
        let _ = writeln!(
            text,
            "# HELP vllm:request_success_total Of the stand-in.\n# TYPE vllm:request_success_total counter"
        );
        for (reason, number) in &counts.finished {
            let number = *number as f64;
            let _ = writeln!(
                text,
                "vllm:request_success_total{{engine=\"0\",finished_reason=\"{reason}\",model_name=\"{}\"}} {number:.1}",
                self.model_name
            );
        }
        let _ = writeln!(text, "# HELP vllm:engine_sleep_state Of the stand-in.\n# TYPE vllm:engine_sleep_state gauge");
        for (state, is) in [("awake", !counts.asleep), ("weights_offloaded", counts.asleep), ("discard_all", false)] {
            let _ = writeln!(
                text,
                "vllm:engine_sleep_state{{{labels},sleep_state=\"{state}\"}} {:.1}",
                f64::from(u8::from(is))
            );
        }
        write_histogram(&mut text, "time_to_first_token_seconds", &labels, &counts.first_token);
        write_histogram(&mut text, "e2e_request_latency_seconds", &labels, &counts.whole_request);
        write_histogram(&mut text, "request_queue_time_seconds", &labels, &counts.queue);
        text
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let _ = write!(text, "# HELP vllm:{name} Of the stand-in.\n# TYPE vllm:{name} histogram\n");
    let mut cumulative = 0;
    for (bound, number) in histogram.bounds.iter().zip(&histogram.buckets) {
        cumulative += number;
        let _ = writeln!(text, "vllm:{name}_bucket{{{labels},le=\"{bound:?}\"}} {cumulative}");
    }
    let _ = writeln!(text, "vllm:{name}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count);
    let _ = writeln!(text, "vllm:{name}_sum{{{labels}}} {}", histogram.sum);
    let _ = writeln!(text, "vllm:{name}_count{{{labels}}} {}", histogram.count);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Ended,
}

/// One request's part of the counters. If it is dropped before [`RequestClock::finished`], the request was aborted: it
/// leaves the gauges and is counted nowhere else, as on a real server.
#[derive(Debug)]
pub struct RequestClock {
    metrics: Arc<Metrics>,
    arrived: Instant,
    phase: Phase,
    first_token: bool,
}

impl RequestClock {
    fn enter(&mut self, phase: Phase) {
        let mut counts = self.metrics.counts();
        for (of, change) in [(self.phase, -1_i64), (phase, 1)] {
            match of {
                Phase::Waiting => counts.waiting = counts.waiting.saturating_add_signed(change),
                Phase::Running => counts.running = counts.running.saturating_add_signed(change),
                Phase::Ended => {}
            }
        }
        drop(counts);
        self.phase = phase;
    }

    /// The request begins to run, or runs again after a preemption.
    pub fn admitted(&mut self) {
        self.enter(Phase::Running);
        if !self.first_token {
            self.metrics.counts().queue.observe(self.arrived.elapsed());
        }
    }

    /// The request was preempted and waits again.
    pub fn preempted(&mut self) {
        self.enter(Phase::Waiting);
    }

    /// `tokens` more have been generated for a prompt of `prompt_tokens`.
    pub fn generated(&mut self, tokens: u32, prompt_tokens: u32) {
        let mut counts = self.metrics.counts();
        counts.generation_tokens += u64::from(tokens);
        if !self.first_token {
            self.first_token = true;
            counts.prompt_tokens += u64::from(prompt_tokens);
            counts.first_token.observe(self.arrived.elapsed());
        }
    }

    /// The request ended with a finish reason.
    pub fn finished(&mut self, reason: FinishReason) {
        self.enter(Phase::Ended);
        let mut counts = self.metrics.counts();
        *counts.finished.entry(reason.name()).or_default() += 1;
        counts.whole_request.observe(self.arrived.elapsed());
    }
}

impl Drop for RequestClock {
    fn drop(&mut self) {
        self.enter(Phase::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(metrics: &Metrics, sample: &str) -> f64 {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with(sample)).unwrap_or_else(|| panic!("{sample}: {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_request_moves_through_the_gauges() {
        let metrics = Metrics::new("chandra", Release::V0_32_0);
        let mut clock = metrics.arrive();
        assert_eq!(value(&metrics, "vllm:num_requests_waiting{"), 1.0);
        clock.admitted();
        assert_eq!(
            (value(&metrics, "vllm:num_requests_waiting{"), value(&metrics, "vllm:num_requests_running{")),
            (0.0, 1.0)
        );
        clock.generated(3, 100);
        clock.generated(4, 100);
        clock.finished(FinishReason::Stop);
        drop(clock);
        assert_eq!(value(&metrics, "vllm:num_requests_running{"), 0.0);
        assert_eq!(value(&metrics, "vllm:generation_tokens_total{"), 7.0);
        assert_eq!(value(&metrics, "vllm:prompt_tokens_total{"), 100.0);
        assert_eq!(
            value(&metrics, "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"chandra\"}"),
            1.0
        );
        assert_eq!(value(&metrics, "vllm:time_to_first_token_seconds_count{"), 1.0);
    }

    #[test]
    fn an_aborted_request_leaves_no_trace_but_its_tokens() {
        let metrics = Metrics::new("chandra", Release::V0_32_0);
        let mut clock = metrics.arrive();
        clock.admitted();
        clock.generated(5, 10);
        drop(clock);
        drop(metrics.arrive());
        assert_eq!(value(&metrics, "vllm:num_requests_running{"), 0.0);
        assert_eq!(value(&metrics, "vllm:num_requests_waiting{"), 0.0);
        assert_eq!(
            value(
                &metrics,
                "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\",model_name=\"chandra\"}"
            ),
            0.0
        );
        assert_eq!(value(&metrics, "vllm:e2e_request_latency_seconds_count{"), 0.0);
    }
}
