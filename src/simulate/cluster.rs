//! The cluster and corpus of a simulation.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    model::{EngineSet, PageRef, RankId, RolePattern},
    schedule::{Deadline, Policy, Tick},
};

use super::service::Service;

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
    /// How long answers and starts take.
    pub service: Service,
    /// Latency of a message.
    pub latency: Duration,
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
    /// Record what ranks do over time.
    pub record: bool,
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

/// A rank that is silent for this long is lost, on servers of [`Service::Independent`].
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// A lease lasts at least as long as this many answers, on servers of [`Service::Independent`].
const LEASE_ANSWERS: u32 = 20;

impl Cluster {
    /// The policy of the scheduler.
    pub(super) fn policy(&self) -> Policy {
        let policy = Policy {
            ranks: self.ranks,
            engines: self.roles.engines(),
            unit_pages: self.unit_pages,
            deadline: None,
            drain: Duration::ZERO,
            turn_cost: Duration::ZERO,
            silence_limit: Some(self.silence_limit()),
            lease_floor: Duration::ZERO,
            races: self.races,
        };
        let deadline = |reserve| self.deadline.map(|end| Deadline { end: Tick(end), reserve });
        match &self.service {
            Service::Independent(service) => Policy {
                deadline: deadline(service.answer_time),
                drain: service.answer_time,
                turn_cost: service.turn_first,
                lease_floor: service.answer_time * LEASE_ANSWERS + self.restart * 4,
                ..policy
            },
            Service::Shared(service) => Policy {
                deadline: deadline(service.schedule.seal_reserve),
                drain: service.schedule.drain,
                turn_cost: service.schedule.turn_cost,
                lease_floor: service.lease_floor,
                ..policy
            },
        }
    }

    /// A rank that is silent for this long is lost.
    pub(super) fn silence_limit(&self) -> Duration {
        match &self.service {
            Service::Independent(_) => SILENCE_LIMIT,
            Service::Shared(service) => service.schedule.silence_limit,
        }
    }

    /// Maximum number of requests in flight on a rank that serves these engines.
    pub(super) fn in_flight(&self, engines: EngineSet) -> u32 {
        match &self.service {
            Service::Independent(service) => service.in_flight,
            Service::Shared(service) => {
                engines.iter().filter_map(|engine| service.engine(engine)).map(|engine| engine.in_flight).sum()
            }
        }
    }
}
