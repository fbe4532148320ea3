//! Queue pressure: the engine's gauges show that it has more requests than it can run.

use super::observation::EngineGauges;

/// Share of the limit that must wait. The smaller share suffices if sequences are also preempted.
const WAITING: f64 = 0.25;
const WAITING_WITH_PREEMPTIONS: f64 = 0.1;
/// The acceptable limit, as a share of what runs: somewhat more, measurements find the rest. Where sequences are
/// preempted, the KV cache is too small for what runs now.
const RUNS: f64 = 1.2;
const RUNS_WITH_PREEMPTIONS: f64 = 0.98;
/// Number of consecutive observations that make it certain.
const CERTAIN: u32 = 2;

/// Detects that requests wait in the engine's queue.
#[derive(Debug, Default)]
pub(crate) struct QueuePressure {
    preemptions: Option<f64>,
    seen: u32,
}

impl QueuePressure {
    /// Takes in the gauges. Gives an acceptable limit once the current one is certainly too high.
    pub(crate) fn acceptable_limit(&mut self, gauges: &EngineGauges, limit: u32) -> Option<u32> {
        let before = self.preemptions.replace(gauges.preemptions);
        let preempted = before.is_some_and(|before| gauges.preemptions > before);
        let share = if preempted { WAITING_WITH_PREEMPTIONS } else { WAITING };
        let waits = gauges.waiting >= (share * f64::from(limit)).max(2.0);
        self.seen = if waits { self.seen + 1 } else { 0 };
        if self.seen < CERTAIN || limit < 2 {
            return None;
        }
        self.seen = 0;
        let runs = (if preempted { RUNS_WITH_PREEMPTIONS } else { RUNS } * gauges.running) as u32;
        Some(runs.clamp(limit.div_ceil(2), limit - 1))
    }

    /// The server's counters start from zero.
    pub(crate) fn restarted(&mut self) {
        *self = QueuePressure::default();
    }
}
