//! The concurrency controller: finds the best number of requests in flight on a server, and keeps watch over it.

use std::collections::BTreeMap;

use super::{
    cost_model::CostModel,
    observation::{Observation, Work},
    operating_point::{Measurement, OperatingPoint},
    queue_pressure::QueuePressure,
    search::{self, MeasuredLimit, Next, PRECISE, ROUGH, Steps},
};

/// A measurement takes at least this many seconds and pages, and as many pages as are in flight.
const LEAST_SECONDS: f64 = 10.0;
const LEAST_PAGES: f64 = 64.0;
/// It continues, up to `LONGEST` times as many pages, until it is precise or the result is clear.
const LONGEST: f64 = 2.5;
/// During a search this share of these pages suffices where the result is clear, and at the first limit: whatever that
/// costs, a higher one is tried.
const HASTY: f64 = 0.15;
/// Pages that must finish before the first measurement starts, as a share of the limit.
const FIRST_PAGES: f64 = 0.2;
/// Weight of an earlier measurement when the same limit is measured again.
const FADE: f64 = 0.6;
/// The server has changed if its pages take this share more or less time than before at the same limit.
const CHANGED: f64 = 0.08;
/// The pages have changed if they have this share more or fewer generated tokens per prompt token.
const OTHER_PAGES: f64 = 0.4;
/// Seconds until the neighbours of the held limit are measured again. It doubles up to `LONGEST_PATIENCE`.
const PATIENCE: f64 = 600.0;
const LONGEST_PATIENCE: f64 = 3600.0;
/// The limit counts as reached when this share of it is in flight.
const REACHED: f64 = 0.95;
/// Number of consecutive observations below the limit after which the server's batch is no longer the same.
const STARVED: u32 = 3;

/// Range of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first limit.
    pub start: u32,
    /// The highest limit.
    pub ceiling: u32,
}

/// Keeps the number of requests in flight on one server at the knee of its throughput.
///
/// It measures what a page costs the server, in seconds, at each limit that it tried. It chooses the smallest limit
/// whose pages cost no more than those of the best limit. It learns nothing while the limit is not reached or a batch
/// is being filled. It holds the chosen limit and measures the neighbours again from time to time. It starts again from
/// nothing when the pages at the held limit take another time than before.
#[derive(Debug)]
pub struct Controller {
    /// The highest limit to try. Lower than `ceiling` after the server reported that it cannot run as many.
    highest: u32,
    ceiling: u32,
    limit: u32,
    costs: CostModel,
    levels: BTreeMap<u32, OperatingPoint>,
    measurement: Measurement,
    /// Pages that must finish before the measurement starts.
    settling: f64,
    /// Consecutive observations in which the limit was not reached.
    starved: u32,
    queue_pressure: QueuePressure,
    phase: Phase,
    patience: f64,
}

/// How the limits are being measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// In long steps: the knee can be anywhere.
    Search,
    /// The limit is held; nothing is tried for some time.
    Hold { seconds: f64 },
    /// In short steps, to see whether the knee has moved.
    Verify,
}

impl Controller {
    /// Starts at `bounds.start`.
    pub fn new(bounds: Bounds) -> Controller {
        let ceiling = bounds.ceiling.max(1);
        let limit = bounds.start.clamp(1, ceiling);
        Controller {
            highest: ceiling,
            ceiling,
            limit,
            costs: CostModel::default(),
            levels: BTreeMap::new(),
            measurement: Measurement::default(),
            settling: FIRST_PAGES * f64::from(limit),
            starved: 0,
            queue_pressure: QueuePressure::default(),
            phase: Phase::Search,
            patience: PATIENCE,
        }
    }

    /// Starts at `bounds.start`, which an earlier run has found to be the best limit, and measures its neighbours in
    /// short steps.
    pub fn from_found(bounds: Bounds) -> Controller {
        Controller { phase: Phase::Hold { seconds: 0.0 }, ..Controller::new(bounds) }
    }

    /// The best limit so far: the one that is held, or during a search the best of several that were measured.
    pub fn found(&self) -> Option<u32> {
        if let Phase::Hold { .. } = self.phase {
            return Some(self.limit);
        }
        let measured = self.measured();
        search::chosen(&measured).filter(|_| measured.len() > 1).map(|(_, chosen)| chosen.limit)
    }

    /// Maximum number of requests in flight.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The server was restarted: requests in flight start from the beginning.
    pub fn restarted(&mut self) {
        self.costs.discard_window();
        self.queue_pressure.restarted();
        self.settle_at(f64::from(self.limit));
    }

    /// Learns from an observation.
    pub fn observe(&mut self, seen: &Observation) {
        if seen.in_flight < REACHED * f64::from(self.limit) - 0.1 {
            self.starved += 1;
            self.costs.discard_window();
            if self.starved == STARVED {
                self.settle_at(0.5 * f64::from(self.limit));
            }
            return;
        }
        self.starved = 0;
        let work = Work::of(seen);
        self.costs.add(work);
        if self.settling > 0.0 {
            self.settling -= work.finished;
            return;
        }
        if let Some(enough) = seen.gauges.and_then(|gauges| self.queue_pressure.acceptable_limit(&gauges, self.limit)) {
            return self.free_gpu_memory(enough);
        }
        if let Phase::Hold { seconds } = &mut self.phase {
            *seconds += work.seconds;
        }
        self.measurement.add(work);
        let total = self.measurement.total();
        if total.seconds < LEAST_SECONDS {
            return;
        }
        let least = LEAST_PAGES.max(f64::from(self.limit));
        let level = self.measurement.level(&self.costs);
        let enough = match total.finished / least {
            ..HASTY => false,
            HASTY..1.0 => self.phase == Phase::Search && (self.levels.is_empty() || self.is_far(&level)),
            1.0..LONGEST => level.error() <= PRECISE || self.is_far(&level),
            _ => true,
        };
        if enough {
            self.measurement = Measurement::default();
            self.learn_from(level);
        }
    }

    /// Whether the point is so much better or worse than all others that a longer measurement would change nothing.
    fn is_far(&self, point: &OperatingPoint) -> bool {
        let mut others = self.measured();
        others.retain(|other| other.limit != self.limit);
        let point = self.cost(point).map(|cost| MeasuredLimit { limit: self.limit, cost, error: point.error() });
        point.zip(search::best(&others)).is_some_and(|(point, best)| point.is_far_from(best))
    }

    /// What was measured, in order of the limits.
    fn measured(&self) -> Vec<MeasuredLimit> {
        let measured = |(limit, point): (&u32, &OperatingPoint)| {
            Some(MeasuredLimit { limit: *limit, cost: self.cost(point)?, error: point.error() })
        };
        self.levels.iter().filter_map(measured).collect()
    }

    /// Seconds of a mean page at this point.
    fn cost(&self, level: &OperatingPoint) -> Option<f64> {
        Some(level.seconds_of(self.costs.mean_page()?, &self.costs))
    }

    /// Takes in the measurement of the current limit.
    fn learn_from(&mut self, level: OperatingPoint) {
        // The costs of other pages say nothing about these.
        let is_like = |other: &OperatingPoint| (level.mix() / other.mix()).ln().abs() <= OTHER_PAGES;
        self.levels.retain(|_, other| other.error() > ROUGH || is_like(other));
        let known = self.levels.get(&self.limit).copied();
        if let Some(known) = known {
            let (Some(then), Some(now)) = (self.cost(&known), self.cost(&level)) else { return };
            if (now / then).ln().abs() > CHANGED + 2.0 * (known.error() + level.error()) {
                return self.begin_anew();
            }
        }
        let fade = if let Phase::Hold { .. } = self.phase { FADE } else { 1.0 };
        self.levels.insert(self.limit, known.map_or(level, |known| level.after(known, fade)));
        if matches!(self.phase, Phase::Hold { seconds } if seconds > self.patience) {
            let limit = self.limit;
            self.levels.retain(|level, _| *level == limit);
            self.highest = self.ceiling;
            self.patience = (2.0 * self.patience).min(LONGEST_PATIENCE);
            self.phase = Phase::Verify;
        }
        let steps = if self.phase == Phase::Search { Steps::Long } else { Steps::Short };
        match search::next(&self.measured(), self.limit, self.highest, steps) {
            Next::Try(limit) => {
                if let Phase::Hold { .. } = self.phase {
                    self.phase = Phase::Verify;
                }
                self.move_to(limit);
            }
            Next::Hold(limit) => {
                if !matches!(self.phase, Phase::Hold { .. }) {
                    self.phase = Phase::Hold { seconds: 0.0 };
                }
                self.move_to(limit);
            }
        }
    }

    /// Starts again from nothing: the server or the pages have changed.
    fn begin_anew(&mut self) {
        self.levels.clear();
        self.costs.reset();
        self.highest = self.ceiling;
        self.patience = PATIENCE;
        self.phase = Phase::Search;
    }

    fn move_to(&mut self, limit: u32) {
        let (from, to) = (f64::from(self.limit), f64::from(limit));
        self.limit = limit;
        // More requests start together; fewer are reached only when others have ended.
        if to > from {
            self.settle_at((to - from).max(0.5 * to));
        } else if to < from {
            self.settle_at(from - to + 0.3 * to);
        }
    }

    fn settle_at(&mut self, pages: f64) {
        self.measurement = Measurement::default();
        self.settling = pages;
    }

    /// Lowers the limit at once. A limit that is too high is not measured to the end.
    fn free_gpu_memory(&mut self, enough: u32) {
        self.highest = enough;
        self.levels.retain(|level, _| *level <= enough);
        self.phase = Phase::Hold { seconds: 0.0 };
        self.move_to(enough);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency::EngineGauges;
    use std::time::Duration;

    /// One second of a server that reads `rate` pages, with this many in flight.
    fn second(in_flight: f64, rate: u64) -> Observation {
        Observation {
            span: Duration::from_secs(1),
            in_flight,
            prompt_tokens: 4000 * rate,
            generated_tokens: 1000 * rate,
            finished: rate,
            gauges: None,
        }
    }

    #[test]
    fn it_begins_where_it_is_told_but_not_above_the_ceiling() {
        assert_eq!(Controller::new(Bounds { start: 64, ceiling: 128 }).limit(), 64);
        assert_eq!(Controller::new(Bounds { start: 64, ceiling: 16 }).limit(), 16);
        assert_eq!(Controller::new(Bounds { start: 0, ceiling: 0 }).limit(), 1);
    }

    #[test]
    fn a_server_that_lacks_pages_teaches_nothing() {
        let mut controller = Controller::new(Bounds { start: 32, ceiling: 128 });
        for _ in 0..10_000 {
            controller.observe(&second(20.0, 2));
        }
        assert_eq!(controller.limit(), 32);
        assert!(controller.levels.is_empty());
    }

    #[test]
    fn a_batch_that_is_being_filled_is_not_measured() {
        let mut controller = Controller::new(Bounds { start: 32, ceiling: 128 });
        for _ in 0..4 {
            controller.observe(&second(32.0, 2));
        }
        assert_eq!(controller.measurement.total(), Work::default(), "8 pages have finished, no more");
        controller.observe(&second(32.0, 2));
        assert_eq!(controller.measurement.total().finished, 2.0);
        controller.restarted();
        controller.observe(&second(32.0, 2));
        assert_eq!(controller.measurement.total(), Work::default(), "and so after a restart");
    }

    #[test]
    fn a_crowd_before_the_server_is_sent_away_without_a_measurement() {
        let mut controller = Controller::new(Bounds { start: 64, ceiling: 128 });
        let gauges = EngineGauges { running: 20.0, waiting: 44.0, ..EngineGauges::default() };
        for _ in 0..9 {
            controller.observe(&Observation { gauges: Some(gauges), ..second(64.0, 2) });
        }
        assert_eq!(controller.limit(), 32, "half at most, in one step");
        assert_eq!(controller.highest, 32);
    }
}
