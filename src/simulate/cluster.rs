//! A cluster as it is to be simulated.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::model::{PageRef, RankId, RolePattern};

/// A cluster and a corpus to simulate. Probabilities are in 0.0..=1.0.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Everything random follows from it.
    pub seed: u64,
    /// Number of ranks.
    pub ranks: u32,
    /// Engines of the ranks.
    pub roles: RolePattern,
    /// Pages of each document.
    pub page_counts: Vec<u32>,
    /// Most pages of a unit.
    pub unit_pages: u32,
    /// Pages a rank holds.
    pub credits: u32,
    /// Pages in flight on a rank's server.
    pub in_flight: u32,
    /// Mean time of an answer.
    pub answer_time: Duration,
    /// Latency of a message.
    pub latency: Duration,
    /// Probability that an attempt loops.
    pub loops: f64,
    /// Probability that a page is blank.
    pub blank: f64,
    /// Pages that kill their Chandra server every time.
    pub poison: BTreeSet<PageRef>,
    /// Probability that an answer's end finds its server dead, with all in flight.
    pub server_deaths: f64,
    /// Probability that a dead server does not come back, nor one that a rank turns to or from.
    pub engine_losses: f64,
    /// Mean time of a rank's first turn to an engine.
    pub turn_first: Duration,
    /// Mean time of a turn back to an engine that it served before.
    pub turn_back: Duration,
    /// Ranks that vanish with all they hold, and when. Nobody is told: they fall silent.
    pub rank_losses: BTreeMap<RankId, Duration>,
    /// Pages that hang wherever they are worked on: for so long, or for ever. A long one comes back after its lease has
    /// expired, read.
    pub hanging_pages: BTreeMap<PageRef, Option<Duration>>,
    /// Ranks on which every page hangs for ever, and since when. They give signs of life.
    pub hanging_ranks: BTreeMap<RankId, Duration>,
    /// Whether pages that hang stay where they are, though their ranks are told to let them go.
    pub holds_on: bool,
    /// The run's deadline.
    pub deadline: Option<Duration>,
    /// Check every invariant after every step: slow, for tests.
    pub check: bool,
}

/// A rank that is not heard of for this long is lost.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(20);
