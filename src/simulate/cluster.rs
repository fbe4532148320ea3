//! Ranks, servers, pages and their faults.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use oorandom::Rand64;

use crate::{
    model::{
        AttemptOutcome, Counts, Engine, EngineSet, FailureClass, LeaseId, MachineFault, Outcome, PageRef, RankId,
        RolePattern, Verdict, Visit,
    },
    schedule::{
        Action, Deadline, Event, Policy, Prior, Scheduler, Settlement, Tick, Unit,
        climb::{AfterAttempt, Budget, Climb},
    },
};

use super::timeline::Timeline;

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
    /// Probability that a dead server does not come back.
    pub engine_losses: f64,
    /// Ranks that vanish with all they hold, and when.
    pub rank_losses: BTreeMap<RankId, Duration>,
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
    /// Every action, in order, where [`Cluster::check`] is set: the same seed gives the same text.
    pub actions: Vec<String>,
}

#[derive(Debug)]
enum Happening {
    Tell(Event),
    Receive(RankId, Unit, Vec<Prior>),
    Answered { rank: RankId, server_start: u32, task: Task },
    ServerUp(RankId, Engine),
    Vanish(RankId),
}

#[derive(Debug, Clone)]
struct Task {
    page: PageRef,
    unit: Unit,
    visit: Visit,
    climb: Climb,
}

const BUDGET: Budget = Budget { visit: 3, page: 10 };

#[derive(Debug, Default)]
struct SimulatedRank {
    alive: bool,
    /// Number of starts of its server; an answer of an older start is void.
    server_start: u32,
    waiting: VecDeque<Task>,
    in_flight: Vec<Task>,
}

struct Simulation<'a> {
    cluster: &'a Cluster,
    random: Rand64,
    timeline: Timeline<Happening>,
    ranks: Vec<SimulatedRank>,
    busy: Duration,
}

/// Runs the cluster to its end, or until nothing is left to happen.
///
/// # Errors
/// A broken invariant, with the moment; only where [`Cluster::check`] is set.
pub fn simulate(cluster: &Cluster) -> Result<Report, String> {
    let policy = Policy {
        ranks: cluster.ranks,
        unit_pages: cluster.unit_pages,
        deadline: cluster.deadline.map(|end| Deadline { end: Tick(end), reserve: cluster.answer_time }),
        drain: cluster.answer_time,
        silence_limit: None,
    };
    let mut scheduler = Scheduler::new(policy, &cluster.page_counts, Vec::new(), LeaseId(0));
    let mut simulation = Simulation::new(cluster);
    let mut report = Report {
        outcome: None,
        counts: Counts::default(),
        elapsed: Duration::ZERO,
        busy: Duration::ZERO,
        actions: Vec::new(),
    };
    let mut actions = Vec::new();
    while let Some(happening) = simulation.timeline.next() {
        let Some(event) = simulation.happen(happening) else { continue };
        scheduler.step(Tick(simulation.timeline.now()), event, &mut actions);
        if cluster.check {
            scheduler.check_invariants().map_err(|broken| format!("at {:?}: {broken}", simulation.timeline.now()))?;
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
                Action::Turn { rank, engine } => simulation.turn(rank, engine),
                Action::Finish { outcome } => report.outcome = Some(outcome),
            }
        }
        if report.outcome.is_some() {
            break;
        }
    }
    report.counts = scheduler.counts().clone();
    report.elapsed = simulation.timeline.now();
    report.busy = simulation.busy;
    Ok(report)
}

impl<'a> Simulation<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let mut simulation = Simulation {
            cluster,
            random: Rand64::new(u128::from(cluster.seed)),
            timeline: Timeline::new(),
            ranks: Vec::new(),
            busy: Duration::ZERO,
        };
        for index in 0..cluster.ranks {
            let rank = RankId(index);
            simulation.ranks.push(SimulatedRank { alive: true, ..SimulatedRank::default() });
            let role = cluster.roles.of(rank);
            let joined = Event::RankJoined { rank, role, credits: cluster.credits };
            let delay = simulation.jitter(cluster.latency);
            simulation.timeline.after(delay, Happening::Tell(joined));
            for engine in role.first().iter() {
                let start = delay + simulation.jitter(cluster.answer_time * 3);
                simulation.timeline.after(start, Happening::ServerUp(rank, engine));
            }
        }
        for (rank, at) in &cluster.rank_losses {
            simulation.timeline.after(*at, Happening::Vanish(*rank));
        }
        if let Some(deadline) = cluster.deadline {
            // The clock is told more often than the phases of the end change.
            for part in 1..=8 {
                simulation.timeline.after(deadline * part / 4, Happening::Tell(Event::Clock));
            }
        }
        simulation
    }

    /// Lets a happening happen; what the scheduler gets to hear of it at this moment is returned.
    fn happen(&mut self, happening: Happening) -> Option<Event> {
        match happening {
            Happening::Tell(event) => return Some(event),
            Happening::ServerUp(rank, engine) => {
                if self.ranks[rank.0 as usize].alive {
                    return Some(Event::EngineReady { rank, engine });
                }
            }
            Happening::Receive(rank, unit, priors) => {
                let state = &mut self.ranks[rank.0 as usize];
                let task = |page| {
                    let prior = priors.iter().find(|prior| prior.page == page);
                    let visit = prior.map_or(Visit::First, |prior| prior.visit);
                    Task { page, unit, visit, climb: Climb::new(BUDGET, unit.trial) }
                };
                state.waiting.extend(unit.pages().map(task));
                self.start_tasks(rank);
            }
            Happening::Answered { rank, server_start, task } => self.answered(rank, server_start, task),
            Happening::Vanish(rank) => {
                self.ranks[rank.0 as usize].alive = false;
                // What it had already sent is still under way, and may come before or after the news of its loss.
                let noticed = self.jitter(self.cluster.latency * 2);
                self.timeline.after(noticed, Happening::Tell(Event::RankLost { rank }));
            }
        }
        None
    }

    fn turn(&mut self, rank: RankId, engine: Engine) {
        let ready = self.jitter(self.cluster.answer_time * 3);
        self.timeline.after(ready, Happening::ServerUp(rank, engine));
    }

    fn start_tasks(&mut self, rank: RankId) {
        let index = rank.0 as usize;
        while self.ranks[index].alive && (self.ranks[index].in_flight.len() as u32) < self.cluster.in_flight {
            let Some(task) = self.ranks[index].waiting.pop_front() else { return };
            self.ranks[index].in_flight.push(task.clone());
            let time = self.jitter(self.cluster.answer_time * 2);
            self.busy += time;
            let server_start = self.ranks[index].server_start;
            self.timeline.after(time, Happening::Answered { rank, server_start, task });
        }
    }

    fn answered(&mut self, rank: RankId, server_start: u32, task: Task) {
        let index = rank.0 as usize;
        if !self.ranks[index].alive || self.ranks[index].server_start != server_start {
            return;
        }
        let Some(position) = self.ranks[index].in_flight.iter().position(|other| other.page == task.page) else {
            return;
        };
        self.ranks[index].in_flight.remove(position);
        let kills = task.unit.engine == Engine::Chandra && self.cluster.poison.contains(&task.page);
        if kills || self.chance(self.cluster.server_deaths) {
            self.server_died(rank, task);
            return;
        }
        let outcome = self.outcome();
        self.follow(rank, task, outcome);
        self.start_tasks(rank);
    }

    fn outcome(&mut self) -> AttemptOutcome {
        if self.chance(self.cluster.blank) {
            AttemptOutcome::Blank
        } else if self.chance(self.cluster.loops) {
            AttemptOutcome::Failed(FailureClass::Loop)
        } else {
            AttemptOutcome::Accepted
        }
    }

    /// Does what a worker does after an attempt, by the same table.
    fn follow(&mut self, rank: RankId, mut task: Task, outcome: AttemptOutcome) {
        let verdict = match task.climb.after(outcome) {
            AfterAttempt::Accept => Verdict::Read,
            AfterAttempt::Blank => Verdict::Blank,
            AfterAttempt::SettleFailed(class) => Verdict::Failed(class),
            AfterAttempt::AskAgain { .. } => {
                self.ranks[rank.0 as usize].waiting.push_front(task);
                return;
            }
            AfterAttempt::Return(fault) => {
                self.give_back(rank, task, fault);
                return;
            }
        };
        let ahead = match (verdict, task.visit) {
            (Verdict::Failed(FailureClass::Poison), Visit::First) => EngineSet::only(Engine::DeepSeek),
            (Verdict::Failed(_), Visit::First) => EngineSet::only(Engine::Chandra).with(Engine::DeepSeek),
            (Verdict::Failed(_), Visit::Second) => EngineSet::only(Engine::Chandra),
            _ => EngineSet::default(),
        };
        let settlement = Settlement { page: task.page, lease: task.unit.lease, verdict, attempts: Vec::new(), ahead };
        self.timeline.after(self.cluster.latency, Happening::Tell(Event::Settled { rank, settlement }));
    }

    /// All that was in flight is lost with the server; what waited goes back too if it stays away.
    fn server_died(&mut self, rank: RankId, killer: Task) {
        let died = AttemptOutcome::Interrupted(MachineFault::ServerDied);
        let engine = killer.unit.engine;
        let state = &mut self.ranks[rank.0 as usize];
        state.server_start += 1;
        let lost = std::mem::take(&mut state.in_flight);
        self.follow(rank, killer, died);
        for task in lost {
            self.follow(rank, task, died);
        }
        if self.chance(self.cluster.engine_losses) {
            let waiting = std::mem::take(&mut self.ranks[rank.0 as usize].waiting);
            self.timeline.after(self.cluster.latency, Happening::Tell(Event::EngineLost { rank, engine }));
            for task in waiting {
                self.give_back(rank, task, MachineFault::ConnectionLost);
            }
        } else {
            self.start_tasks(rank);
        }
    }

    fn recall(&mut self, rank: RankId) {
        let state = &mut self.ranks[rank.0 as usize];
        if !state.alive {
            return;
        }
        let mut tasks = std::mem::take(&mut state.in_flight);
        tasks.extend(std::mem::take(&mut state.waiting));
        for task in tasks {
            self.give_back(rank, task, MachineFault::Draining);
        }
    }

    fn give_back(&mut self, rank: RankId, task: Task, fault: MachineFault) {
        let returned =
            Event::Returned { rank, page: task.page, lease: task.unit.lease, fault, attempts: Vec::new(), text: None };
        self.timeline.after(self.cluster.latency, Happening::Tell(returned));
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.rand_float() < probability
    }

    /// A time of at most `longest`, evenly spread.
    fn jitter(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.rand_float())
    }
}
