//! A cluster, how it is simulated, and how that went.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    model::{Counts, LeaseId, Outcome, PageRef, RankId, RolePattern},
    schedule::{Action, Deadline, Policy, Scheduler, Tick},
};

use super::simulation::{Happening, Simulation};

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

/// How a simulated run went.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended; `None` if it never did, which is a defect of the scheduler.
    pub outcome: Option<Outcome>,
    /// Pages by verdict.
    pub counts: Counts,
    /// When it ended.
    pub elapsed: Duration,
    /// Time servers spent on answers, over all ranks.
    pub busy: Duration,
    /// Leases that expired.
    pub expired: u64,
    /// Turns of ranks from one engine to the other.
    pub turns: u32,
    /// Turns that did not come to their end, since the rank or the engine was lost.
    pub turns_lost: u32,
    /// Every action, in order, where [`Cluster::check`] is set: the same seed gives the same text.
    pub actions: Vec<String>,
}

/// A rank that is not heard of for this long is lost.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// No lease lasts less than so many answers.
const LEASE_ANSWERS: u32 = 20;

/// A run that has not ended by then never will: ranks would give signs of life for ever.
const LONGEST_RUN: Duration = Duration::from_secs(10 * 24 * 3600);

/// Runs the cluster to its end.
///
/// # Errors
/// A rank was asked for what it cannot do; or, where [`Cluster::check`] is set, an invariant is broken. With the moment.
pub fn simulate(cluster: &Cluster) -> Result<Report, String> {
    let policy = Policy {
        ranks: cluster.ranks,
        engines: cluster.roles.engines(),
        unit_pages: cluster.unit_pages,
        deadline: cluster.deadline.map(|end| Deadline { end: Tick(end), reserve: cluster.answer_time }),
        drain: cluster.answer_time,
        turn_cost: cluster.turn_first,
        silence_limit: Some(SILENCE_LIMIT),
        lease_floor: cluster.answer_time * LEASE_ANSWERS,
    };
    let mut scheduler = Scheduler::new(policy, &cluster.page_counts, Vec::new(), LeaseId(0));
    let mut simulation = Simulation::new(cluster);
    let mut report = Report {
        outcome: None,
        counts: Counts::default(),
        elapsed: Duration::ZERO,
        busy: Duration::ZERO,
        expired: 0,
        turns: 0,
        turns_lost: 0,
        actions: Vec::new(),
    };
    let mut actions = Vec::new();
    while let Some(happening) = simulation.timeline.next() {
        let event = simulation.happen(happening);
        let now = simulation.timeline.now();
        if now > LONGEST_RUN {
            break;
        }
        if let Some(impossible) = simulation.impossible {
            return Err(format!("at {now:?}: {impossible}"));
        }
        let Some(event) = event else { continue };
        scheduler.step(Tick(now), event, &mut actions);
        if cluster.check {
            scheduler.check_invariants().map_err(|broken| format!("at {now:?}: {broken}"))?;
        }
        for action in actions.drain(..) {
            if cluster.check {
                report.actions.push(format!("{action:?}"));
            }
            match action {
                Action::Assign { rank, unit, priors } => {
                    simulation.timeline.after(cluster.latency, Happening::Receive(rank, unit, priors));
                }
                Action::Recall { rank } => simulation.recall(rank),
                Action::Expire { rank, page, lease } => {
                    simulation.timeline.after(cluster.latency, Happening::Expire(rank, page, lease));
                }
                Action::Turn { rank, engine } => {
                    simulation.timeline.after(cluster.latency, Happening::Turn(rank, engine));
                }
                Action::TooLate { .. } => {}
                Action::Finish { outcome } => report.outcome = Some(outcome),
            }
        }
        if report.outcome.is_some() {
            break;
        }
        simulation.wake_at(scheduler.next_timeout());
    }
    report.counts = scheduler.counts().clone();
    report.expired = scheduler.expired();
    report.elapsed = simulation.timeline.now();
    report.busy = simulation.busy;
    (report.turns, report.turns_lost) = (simulation.turns, simulation.turns_lost);
    Ok(report)
}
