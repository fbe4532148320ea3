//! How fast the servers of a described cluster are.

use std::{collections::BTreeMap, time::Duration};

use gpu_model::GpuModel;

use crate::model::{Engine, RankId, configuration::Schedule};

/// How long answers take.
#[derive(Debug, Clone)]
pub enum Service {
    /// Every answer takes its own time, however many pages are in flight.
    Independent(IndependentService),
    /// The pages in flight share their server.
    Shared(Box<SharedService>),
}

/// Servers on which every answer takes its own time, for tests of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndependentService {
    /// Maximum number of requests in flight on a rank's server.
    pub in_flight: u32,
    /// Mean time of an answer, which takes at most twice that.
    pub answer_time: Duration,
    /// Probability that an attempt loops, 0.0..=1.0.
    pub loops: f64,
    /// Mean time of a rank's first switch to an engine.
    pub turn_first: Duration,
    /// Mean time of a switch back to an engine that the rank served before.
    pub turn_back: Duration,
}

/// Servers that the pages in flight share, and all other times of a described cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedService {
    /// The servers of each engine.
    pub engines: BTreeMap<Engine, EngineService>,
    /// Ranks on which every page takes this many times as long.
    pub slowness: BTreeMap<RankId, f64>,
    /// From the start of the run until rank 0 can deal pages.
    pub preparation: Duration,
    /// From the last verdict to the end of the run: shards are sealed.
    pub ending: Duration,
    /// Settings of the scheduler.
    pub schedule: Schedule,
    /// Shortest duration of a lease.
    pub lease_floor: Duration,
}

/// The servers of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineService {
    /// Maximum number of requests in flight.
    pub in_flight: u32,
    /// Time of a page of mean length.
    pub page: PageTime,
    /// Lengths of the pages.
    pub lengths: Lengths,
    /// How much a rank knows of the lengths before it asks: the correlation of expected and actual ones, 0.0..=1.0.
    pub length_correlation: f64,
    /// How attempts fail.
    pub failures: Failures,
    /// Time from the start of the run until the server of a rank is ready.
    pub start: Spread,
    /// Time of a rank's first switch to the engine.
    pub switch_first: Spread,
    /// Time of a switch back to it.
    pub switch_back: Spread,
}

/// Time of a page of mean length, by the number of pages in flight on its server:
/// `max(floor, each × in flight) + prefill × in flight`. It is that of [`GpuModel`], on which every page in flight
/// gets its tokens in the same steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageTime {
    /// Seconds of its decode steps at their shortest.
    pub floor: f64,
    /// Seconds that each page in flight adds to its decode steps, where these are longer than the shortest.
    pub each: f64,
    /// Seconds in which the prompt of each page in flight is read meanwhile.
    pub prefill: f64,
}

impl PageTime {
    /// A page with these tokens on this GPU.
    pub fn on(gpu: &GpuModel, prompt: f64, generated: f64) -> PageTime {
        PageTime {
            floor: gpu.floor.as_secs_f64() * generated,
            each: gpu.per_sequence.as_secs_f64() * generated,
            prefill: gpu.per_prompt_token.as_secs_f64() * prompt,
        }
    }

    /// Seconds of a page with this number in flight.
    pub fn seconds(&self, in_flight: u32) -> f64 {
        let pages = f64::from(in_flight.max(1));
        self.floor.max(self.each * pages) + self.prefill * pages
    }

    /// Seconds of a server for each page, with this number in flight.
    pub fn share(&self, in_flight: u32) -> f64 {
        self.seconds(in_flight) / f64::from(in_flight.max(1))
    }

    /// The same server, this many times as slow.
    #[must_use]
    pub fn times(&self, factor: f64) -> PageTime {
        PageTime { floor: self.floor * factor, each: self.each * factor, prefill: self.prefill * factor }
    }
}

/// Lengths of pages; their mean is 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Lengths {
    /// Lognormal, with this standard deviation of the logarithm.
    Lognormal(f64),
    /// Each of these is as likely as every other. There is at least one, and they are sorted.
    Measured(Vec<f64>),
}

impl Lengths {
    /// The length of the page with this place among all: always the same, whoever reads it.
    pub(super) fn of(&self, place: u64, seed: u64) -> f64 {
        let first = hash(place ^ hash(seed));
        match self {
            Lengths::Lognormal(sigma) => (sigma * normal(first) - sigma * sigma / 2.0).exp(),
            Lengths::Measured(lengths) => {
                let length = (evenly(place, seed, LENGTHS) * lengths.len() as f64) as usize;
                lengths.get(length).copied().unwrap_or(1.0)
            }
        }
    }

    /// The place of the page's length among all, as a number of mean 0 and deviation 1.
    fn score(&self, place: u64, seed: u64) -> f64 {
        match self {
            Lengths::Lognormal(_) => normal(hash(place ^ hash(seed))),
            Lengths::Measured(_) => (evenly(place, seed, LENGTHS) - 0.5) * 12.0_f64.sqrt(),
        }
    }
}

impl EngineService {
    /// What a rank expects of the length of the page with this place among all. Only the order of pages counts.
    pub(super) fn expected(&self, place: u64, seed: u64) -> f64 {
        let known = self.length_correlation;
        let unknown = normal(hash(hash(place) ^ seed));
        known * self.lengths.score(place, seed) + (1.0 - known * known).max(0.0).sqrt() * unknown
    }
}

/// A normally distributed number from random bits, by the method of Box and Muller.
fn normal(bits: u64) -> f64 {
    let radius = (-2.0 * (1.0 - share(bits)).ln()).sqrt();
    radius * (std::f64::consts::TAU * share(hash(bits))).cos()
}

/// How attempts of an engine fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failures {
    /// Share of pages whose first attempt loops, 0.0..=1.0.
    pub first: f64,
    /// Share of the further attempts on those that loop again, 0.0..=1.0.
    pub again: f64,
    /// Length of a failed attempt, in mean pages.
    pub length: f64,
}

/// A time that is evenly distributed around a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// The mean.
    pub mean: Duration,
    /// The longest deviation from it; at most the mean.
    pub deviation: Duration,
}

impl Spread {
    /// Always the same time.
    pub fn none(mean: Duration) -> Spread {
        Spread { mean, deviation: Duration::ZERO }
    }

    /// The time for a random number in 0.0..1.0.
    pub(super) fn draw(self, random: f64) -> Duration {
        let deviation = self.deviation.min(self.mean);
        self.mean - deviation + deviation.mul_f64(2.0 * random)
    }
}

impl Failures {
    /// Whether the first attempt fails on the page with this place among all.
    pub(super) fn fails_first(&self, place: u64, seed: u64) -> bool {
        evenly(place, seed, FAILURES) < self.first
    }
}

impl SharedService {
    /// The servers of the engine; those of the first engine if it has none of its own.
    pub(super) fn engine(&self, engine: Engine) -> Option<&EngineService> {
        self.engines.get(&engine).or_else(|| self.engines.values().next())
    }

    /// How many times as long a page takes on the rank.
    pub(super) fn slowness(&self, rank: RankId) -> f64 {
        self.slowness.get(&rank).copied().unwrap_or(1.0)
    }
}

/// The fractional parts of the golden ratio and of the root of 2: their multiples, without whole parts, fill the numbers
/// from 0 to 1 most evenly.
const FAILURES: f64 = 0.618_033_988_749_894_9;
const LENGTHS: f64 = std::f64::consts::SQRT_2 - 1.0;

/// A number in 0.0..1.0 for the page with this place among all. The numbers are spread evenly, so that few pages too have
/// the lengths and failures of the many that were measured.
fn evenly(place: u64, seed: u64, step: f64) -> f64 {
    (share(hash(seed ^ step.to_bits())) + place as f64 * step).fract()
}

/// A number in 0.0..1.0 from random bits.
fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn hash(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_mean_1_and_the_spread_asked_for() {
        let pages = || 0..20_000;
        let lengths = Lengths::Lognormal(0.5);
        let all: Vec<f64> = pages().map(|page| lengths.of(page, 3)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let logarithms: Vec<f64> = all.iter().map(|length| length.ln()).collect();
        let middle = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
        let sigma =
            (logarithms.iter().map(|value| (value - middle).powi(2)).sum::<f64>() / logarithms.len() as f64).sqrt();
        assert!((mean - 1.0).abs() < 0.02 && (sigma - 0.5).abs() < 0.01, "{mean} {sigma}");
        let measured = Lengths::Measured(vec![0.5, 1.5]);
        let long = pages().filter(|page| measured.of(*page, 3) > 1.0).count();
        assert!((9_990..10_010).contains(&long), "{long}");
        let failures = Failures { first: 0.1, again: 0.0, length: 1.0 };
        let failed = pages().take(1_000).filter(|page| failures.fails_first(*page, 3)).count();
        assert!((99..=101).contains(&failed), "{failed}");
    }

    #[test]
    fn a_page_takes_what_it_takes_on_the_modelled_gpu() {
        // Measured: 1.87 pages a second at 57 on the GPU (`docs/facts/h200.md`, "Patterns of a client").
        let page = PageTime::on(&GpuModel::default(), 4014.0, 1267.0);
        assert!((1.0 / page.share(57) - 1.87).abs() < 0.02, "{}", 1.0 / page.share(57));
        assert!((page.seconds(1) - (7.6 + 0.32)).abs() < 0.01);
    }
}
