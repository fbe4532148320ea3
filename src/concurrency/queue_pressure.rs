//! The server's own word that it has more than it can run.

use super::observation::EngineGauges;

/// Share of the limit that waits; less is enough where sequences are preempted besides.
const WAITING: f64 = 0.25;
const WAITING_WITH_PREEMPTIONS: f64 = 0.1;
/// Times in a row that make it certain.
const CERTAIN: u32 = 2;

/// Whether a crowd waits before the server.
#[derive(Debug, Default)]
pub(crate) struct QueuePressure {
    preemptions: Option<f64>,
    seen: u32,
}

impl QueuePressure {
    /// Takes in what the server says; the limit that would be enough, once it is certain that this one is too much.
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
        // Somewhat more than what runs: the rest is found by measuring.
        let runs = (1.2 * gauges.running) as u32;
        Some(runs.clamp(limit.div_ceil(2), limit - 1))
    }

    /// The server's counters begin anew.
    pub(crate) fn restarted(&mut self) {
        *self = QueuePressure::default();
    }
}
