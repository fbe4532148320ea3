//! The search for the knee, and the watch over it.

use std::collections::BTreeMap;

use super::{
    cost_model::CostModel,
    observation::{Observation, Work},
    operating_point::{Measurement, OperatingPoint},
    queue_pressure::QueuePressure,
};

/// A page may take this much longer than at the best number, and the number still counts as the best.
const TOLERANCE: f64 = 0.01;
/// The search ends when the next lower number that was measured is no further away than this.
const CLOSE: f64 = 1.3;
/// A measurement takes at least this long, this many pages, and as many as are in flight.
const LEAST_SECONDS: f64 = 10.0;
const LEAST_PAGES: f64 = 64.0;
/// It goes on, up to so many times as long, until its standard error is this share of the time or it is clear anyway.
const PRECISE: f64 = 0.007;
const LONGEST: f64 = 5.0;
/// Standard errors by which a lower number must be worse, or it is measured more precisely.
const SURE: f64 = 2.5;
/// What an earlier measurement of a level still counts when it is measured again.
const FADE: f64 = 0.6;
/// The server is not what it was if its pages take this much more or less time than before at the same number.
const CHANGED: f64 = 0.08;
/// The pages are not what they were if they have this much more or fewer generated tokens for each prompt token.
const OTHER_PAGES: f64 = 0.4;
/// Seconds until the neighbours of the number that is held are measured anew; they double up to the longest.
const PATIENCE: f64 = 600.0;
const LONGEST_PATIENCE: f64 = 3600.0;
/// The limit counts as reached with this share of it in flight.
const REACHED: f64 = 0.95;
/// Observations in a row below the limit after which the server's batch is no longer what it was.
const STARVED: u32 = 3;

/// Where to begin, and how far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first limit.
    pub start: u32,
    /// The highest limit.
    pub ceiling: u32,
}

/// Keeps the number in flight on one server at its knee.
///
/// It holds a table of what a page costs the server, in seconds, at each number that was tried, and takes the smallest
/// number whose pages cost no more than the best do. What cannot be seen (too few pages to reach the limit, a batch that
/// is only being filled) is not learned from. A number that is found is held; its neighbours are tried again from time
/// to time, and all of it anew when the pages at the number that is held take another time than they did.
#[derive(Debug)]
pub struct Controller {
    /// The highest limit; lower for a while where the server said that it cannot run as many.
    highest: u32,
    ceiling: u32,
    limit: u32,
    costs: CostModel,
    levels: BTreeMap<u32, OperatingPoint>,
    measurement: Measurement,
    /// Pages that must finish before the measurement begins.
    settling: f64,
    /// Observations in a row in which the limit was not reached.
    starved: u32,
    crowd: QueuePressure,
    phase: Phase,
    patience: f64,
}

/// How the table is being filled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// In long steps: the knee can be anywhere.
    Search,
    /// Nothing is to be tried for some time yet.
    Hold { seconds: f64 },
    /// In short steps, to see whether the knee has moved.
    Verify,
}

/// What the table says.
enum Next {
    Try(u32),
    Hold(u32),
}

impl Controller {
    /// Begins at `bounds.start`.
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
            settling: f64::from(limit),
            starved: 0,
            crowd: QueuePressure::default(),
            phase: Phase::Search,
            patience: PATIENCE,
        }
    }

    /// Most requests that may be in flight now.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The server was started anew: what is in flight begins from its beginning.
    pub fn restarted(&mut self) {
        self.costs.discard_window();
        self.crowd.restarted();
        self.settle_at(f64::from(self.limit));
    }

    /// Learns from what was seen.
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
        if let Some(enough) = seen.gauges.and_then(|gauges| self.crowd.acceptable_limit(&gauges, self.limit)) {
            return self.make_room(enough);
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
            ..1.0 => false,
            1.0..LONGEST => level.error() <= PRECISE || self.is_far(&level),
            _ => true,
        };
        if enough {
            self.measurement = Measurement::default();
            self.learn_from(level);
        }
    }

    /// Whether the level is so much better or worse than all others, if any, that a longer measurement would change nothing.
    fn is_far(&self, level: &OperatingPoint) -> bool {
        let others = self.levels.iter().filter(|(limit, _)| **limit != self.limit);
        let best = others.filter_map(|(_, other)| self.cost(other)).fold(f64::INFINITY, f64::min);
        let doubt = TOLERANCE + 3.0 * level.error().max(PRECISE);
        self.cost(level).is_some_and(|cost| (cost / best).ln().abs() > doubt)
    }

    /// Seconds of the mean page of these times at the level.
    fn cost(&self, level: &OperatingPoint) -> Option<f64> {
        Some(level.seconds_of(self.costs.mean_page()?, &self.costs))
    }

    /// The present limit was measured.
    fn learn_from(&mut self, level: OperatingPoint) {
        // What other pages cost says nothing of these.
        self.levels.retain(|_, other| (level.mix() / other.mix()).ln().abs() <= OTHER_PAGES);
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
        match self.next() {
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

    /// The server, or the pages, are not what they were.
    fn begin_anew(&mut self) {
        self.levels.clear();
        self.costs.reset();
        self.highest = self.ceiling;
        self.patience = PATIENCE;
        self.phase = Phase::Search;
    }

    /// The smallest number that is as good as the best is held, once the next higher one and one a little lower are known.
    fn next(&self) -> Next {
        let costs: Vec<(u32, f64, f64)> =
            self.levels.iter().filter_map(|(limit, level)| Some((*limit, self.cost(level)?, level.error()))).collect();
        let Some((_, best, its_error)) = costs.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1)) else {
            return Next::Hold(self.limit);
        };
        // A number is dismissed only for what is certain.
        let good = |sure: f64| {
            move |(_, cost, error): &(u32, f64, f64)| cost / best <= 1.0 + TOLERANCE + sure * error.hypot(its_error)
        };
        let Some(place) = costs.iter().position(good(1.0)) else { return Next::Hold(self.limit) };
        let (chosen, cost, _) = costs[place];
        let lower = place.checked_sub(1).map(|place| costs[place]);
        let searching = self.phase == Phase::Search;
        if place + 1 == costs.len() && chosen < self.highest {
            // How much of the last rise in number came out as throughput.
            let gain = lower.map(|(lower, then, _)| (then / cost).ln() / (f64::from(chosen) / f64::from(lower)).ln());
            let factor = match gain {
                Some(gain) if gain > 0.5 => 2.0,
                Some(gain) if gain > 0.15 => 1.5,
                None if searching => 1.5,
                Some(_) | None => 1.25,
            };
            return Next::Try(scaled(chosen, factor).clamp(chosen + 1, self.highest));
        }
        match lower {
            None if chosen > 1 => {
                let share = if searching { 0.7 } else { 0.85 };
                Next::Try(scaled(chosen, share).clamp(1, chosen - 1))
            }
            Some(lower) if lower.2 > PRECISE && good(SURE)(&lower) => Next::Try(lower.0),
            Some((lower, ..)) if chosen - lower > 1 && f64::from(chosen) > CLOSE * f64::from(lower) => {
                let middle = (f64::from(chosen) * f64::from(lower)).sqrt().round() as u32;
                Next::Try(middle.clamp(lower + 1, chosen - 1))
            }
            Some(_) | None => Next::Hold(chosen),
        }
    }

    fn move_to(&mut self, limit: u32) {
        let (from, to) = (f64::from(self.limit), f64::from(limit));
        self.limit = limit;
        // More in flight begin together; fewer are reached only when others have ended.
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

    /// What is too much is not measured to its end.
    fn make_room(&mut self, enough: u32) {
        self.highest = enough;
        self.levels.retain(|level, _| *level <= enough);
        if let Phase::Hold { .. } = self.phase {
            self.phase = Phase::Verify;
        }
        self.move_to(enough);
    }
}

fn scaled(limit: u32, factor: f64) -> u32 {
    (f64::from(limit) * factor).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency::EngineGauges;
    use std::time::Duration;

    /// A second of a server that reads `rate` pages, with so many in flight.
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
        for _ in 0..16 {
            controller.observe(&second(32.0, 2));
        }
        assert_eq!(controller.measurement.total(), Work::default(), "32 pages have finished, no more");
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
        for _ in 0..38 {
            controller.observe(&Observation { gauges: Some(gauges), ..second(64.0, 2) });
        }
        assert_eq!(controller.limit(), 32, "half at most, in one step");
        assert_eq!(controller.highest, 32);
    }
}
