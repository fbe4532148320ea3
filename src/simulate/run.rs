//! A whole simulated run: the scheduler, driven by a simulated cluster.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    model::{
        Counts, DocumentId, Engine, EngineSet, FailureClass, LeaseId, NoPages, Outcome, PageIndex, PageRef, RankId,
        RecordPlace, Settlement, Verdict,
    },
    schedule::{Action, Event, PageState, Restored, Scheduler, Tick},
};

use super::{
    accounting::RankSeconds,
    cluster::Cluster,
    recording::Recording,
    service::Service,
    simulation::{Simulation, SimulationEvent},
};

/// What a start of a run knows of the starts before it.
#[derive(Debug, Clone, Default)]
pub struct Continuation {
    /// The pages with a record.
    pub restored: Vec<Restored>,
    /// The highest number of a lease.
    pub last_lease: LeaseId,
}

/// Result of a simulated run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended; `None` if it did not end, which is a defect of the scheduler.
    pub outcome: Option<Outcome>,
    /// Pages by verdict.
    pub counts: Counts,
    /// Simulated time of the end.
    pub elapsed: Duration,
    /// Time that servers spent on answers, summed over all ranks.
    pub busy: Duration,
    /// For [`super::Service::Shared`]: seconds of fully loaded servers that all attempts took, on ranks of the usual speed.
    pub work: f64,
    /// Where the time of the ranks went.
    pub rank_seconds: RankSeconds,
    /// What ranks did over time, if [`Cluster::record`] is set.
    pub recording: Option<Recording>,
    /// Answers of failing servers: their number, and their time.
    pub failing_answers: (u64, Duration),
    /// Number of servers that were restarted because they failed pages, and of those given up.
    pub failing_servers: (u32, u32),
    /// Number of leases that expired.
    pub expired: u64,
    /// Number of deaths of servers.
    pub deaths: u32,
    /// Number of role switches.
    pub turns: u32,
    /// Role switches that did not complete, because the rank or the engine was lost.
    pub turns_lost: u32,
    /// If [`Cluster::check`] is set: every action, in order. The same seed gives the same text.
    pub actions: Vec<String>,
}

/// A run that has not ended by then never will: ranks would send signs of life for ever.
const LONGEST_RUN: Duration = Duration::from_secs(10 * 24 * 3600);

/// Runs the cluster to its end.
///
/// # Errors
/// The scheduler asked a rank for what it cannot do; or [`Cluster::check`] is set and an invariant is broken. The
/// message has the simulated time.
pub fn simulate(cluster: &Cluster) -> Result<Report, String> {
    simulate_start(cluster, Continuation::default(), false).map(|(report, _)| report)
}

/// Runs a start of the run that continues earlier ones. Where `more` may follow, gives what they must know.
///
/// # Errors
/// As [`simulate`].
pub(super) fn simulate_start(
    cluster: &Cluster,
    known: Continuation,
    more: bool,
) -> Result<(Report, Continuation), String> {
    let Continuation { restored, last_lease } = known;
    let mut readers: BTreeMap<PageRef, Engine> = BTreeMap::new();
    if more {
        let later = restored.iter().filter_map(|page| Some((page.page, page.engine?)));
        readers.extend(later.filter(|(_, engine)| *engine != Engine::FIRST));
    }
    let mut scheduler = Scheduler::new(cluster.policy(), &cluster.page_counts, restored, last_lease);
    let mut simulation = Simulation::new(cluster);
    let mut report = Report {
        outcome: None,
        counts: Counts::default(),
        elapsed: Duration::ZERO,
        busy: Duration::ZERO,
        work: 0.0,
        rank_seconds: RankSeconds::default(),
        recording: None,
        failing_answers: (0, Duration::ZERO),
        failing_servers: (0, 0),
        expired: 0,
        deaths: 0,
        turns: 0,
        turns_lost: 0,
        actions: Vec::new(),
    };
    let mut actions = Vec::new();
    while let Some(event) = simulation.timeline.next() {
        let event = simulation.apply(event);
        let now = simulation.timeline.now();
        if now > LONGEST_RUN {
            break;
        }
        if let Some(impossible) = simulation.impossible {
            return Err(format!("at {now:?}: {impossible}"));
        }
        let Some(event) = event else { continue };
        if let (true, Event::Settled { settlement: Settlement { page, engine: Some(engine), .. }, .. }) = (more, &event)
            && *engine != Engine::FIRST
        {
            readers.insert(*page, *engine);
        }
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
                    simulation.timeline.after(cluster.latency, SimulationEvent::Receive(rank, unit, priors));
                }
                Action::Recall { rank } => simulation.recall(rank),
                Action::Expire { rank, page, lease } | Action::Release { rank, page, lease } => {
                    simulation.timeline.after(cluster.latency, SimulationEvent::Expire(rank, page, lease));
                }
                Action::SwitchRole { rank, engine } => {
                    simulation.timeline.after(cluster.latency, SimulationEvent::SwitchRole(rank, engine));
                }
                Action::RestartServer { rank, engine } => {
                    report.failing_servers.0 += 1;
                    simulation.timeline.after(cluster.latency, SimulationEvent::RestartServer(rank, engine));
                }
                Action::GiveServerUp { .. } => report.failing_servers.1 += 1,
                Action::TooLate { .. } | Action::AllServersFail { .. } => {}
                Action::Finish { outcome } => report.outcome = Some(outcome),
            }
        }
        if report.outcome.is_some() {
            break;
        }
        if let Some(recording) = &mut simulation.recording {
            recording.count(now, scheduler.counts().settled());
        }
        simulation.last_pages.set(scheduler.no_pages() == NoPages::LastPages, now);
        simulation.wake_at(scheduler.next_timeout());
    }
    simulation.account_all();
    report.counts = scheduler.counts().clone();
    report.expired = scheduler.expired();
    report.elapsed = simulation.timeline.now();
    (report.work, report.rank_seconds) = (simulation.work, simulation.rank_seconds);
    (report.busy, report.failing_answers) = (simulation.busy, simulation.failing_answers);
    report.deaths = simulation.deaths;
    (report.turns, report.turns_lost) = (simulation.turns, simulation.turns_lost);
    if let Service::Shared(service) = &cluster.service {
        report.elapsed += service.ending;
    }
    report.recording = simulation.recording;
    let next = if more { continuation(cluster, &scheduler, &readers) } else { Continuation::default() };
    Ok((report, next))
}

/// What the next start finds in the stores of the ranks.
fn continuation(cluster: &Cluster, scheduler: &Scheduler, readers: &BTreeMap<PageRef, Engine>) -> Continuation {
    let pages = (0..)
        .map(DocumentId)
        .zip(&cluster.page_counts)
        .flat_map(|(document, count)| (0..*count).map(move |page| PageRef { document, page: PageIndex(page) }));
    let place = RecordPlace { rank: RankId::COORDINATOR, sequence: 0, row: 0 };
    let record = |page| {
        let engine = Some(readers.get(&page).copied().unwrap_or(Engine::FIRST));
        let (verdict, remaining) = match (scheduler.stage(page)?, scheduler.remaining(page)) {
            (PageState::Settled(verdict), _) => (verdict, EngineSet::default()),
            (_, Some(remaining)) => (Verdict::Failed(FailureClass::Loop), remaining),
            (_, None) => return None,
        };
        Some(Restored { page, verdict, engine, remaining, place, again: false })
    };
    Continuation { restored: pages.filter_map(record).collect(), last_lease: scheduler.last_lease() }
}
