//! The cluster and corpus of a simulation.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::model::{PageRef, RankId, RolePattern};

/// A cluster and a corpus to simulate. Probabilities are in 0.0..=1.0.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Number of ranks.
    pub ranks: u32,
    /// Which rank serves which engines.
    pub roles: RolePattern,
    /// Pages of each document.
    pub page_counts: Vec<u32>,
    /// Maximum number of pages in a unit.
    pub unit_pages: u32,
    /// Maximum number of pages that a rank holds.
    pub credits: u32,
    /// Maximum number of requests in flight on a rank's server.
    pub in_flight: u32,
    /// Mean time of an answer.
    pub answer_time: Duration,
    /// Latency of a message.
    pub latency: Duration,
    /// Probability that an attempt loops.
    pub loops: f64,
    /// Probability that a page is blank.
    pub blank: f64,
    /// Pages that kill the server of the first engine every time.
    pub poison: BTreeSet<PageRef>,
    /// Probability that the server is dead when an answer ends, with all pages in flight.
    pub server_deaths: f64,
    /// Ranks whose server dies with every page, and from when on.
    pub dying_servers: BTreeMap<RankId, Duration>,
    /// Mean time from the death of a server until it is ready again.
    pub restart: Duration,
    /// Probability that an engine is lost: when a dead server restarts, or when a rank switches to it or from it.
    pub engine_losses: f64,
    /// Mean time of a rank's first switch to an engine.
    pub turn_first: Duration,
    /// Mean time of a switch back to an engine that the rank served before.
    pub turn_back: Duration,
    /// Ranks that vanish with all their pages, and when. The scheduler gets no message: they become silent.
    pub rank_losses: BTreeMap<RankId, Duration>,
    /// Pages that hang on every rank: for this long, or for ever. A page that hangs long comes back read, after its
    /// lease has expired.
    pub hanging_pages: BTreeMap<PageRef, Option<Duration>>,
    /// Ranks on which every page hangs for ever, and from when on. They send signs of life.
    pub hanging_ranks: BTreeMap<RankId, Duration>,
    /// Servers that fail every page by their answers.
    pub failing_servers: BTreeMap<RankId, FailingServer>,
    /// Whether hanging pages continue to hang although their ranks are told to drop them.
    pub holds_on: bool,
    /// Whether the last pages are also asked on idle ranks.
    pub races: bool,
    /// The run's deadline.
    pub deadline: Option<Duration>,
    /// Check every invariant after every step: slow, for tests.
    pub check: bool,
}

/// A server that fails every page.
#[derive(Debug, Clone, Copy)]
pub struct FailingServer {
    /// From when on.
    pub since: Duration,
    /// Time of an answer.
    pub answer_time: Duration,
    /// Whether it reads pages after a restart.
    pub mended_by_restart: bool,
}

/// A rank that is silent for this long is lost.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(20);
