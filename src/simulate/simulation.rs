//! Ranks, servers, pages and their faults.

use std::{collections::VecDeque, time::Duration};

use oorandom::Rand64;

use crate::{
    model::{AttemptOutcome, Engine, EngineSet, FailureClass, MachineFault, PageRef, RankId, Verdict, Visit},
    retry::state::{AfterAttempt, Budget, Climb},
    schedule::{Event, Prior, Settlement, Unit},
};

use super::{cluster::Cluster, timeline::Timeline};

#[derive(Debug)]
pub(super) enum Happening {
    Tell(Event),
    Receive(RankId, Unit, Vec<Prior>),
    Answered { rank: RankId, server_start: u32, task: Task },
    ServerUp { rank: RankId, engine: Engine, turn: u32 },
    Turn(RankId, Engine),
    Vanish(RankId),
}

#[derive(Debug, Clone)]
pub(super) struct Task {
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
    /// Number of turns; a server of an older turn does not come up any more.
    turn: u32,
    /// Engines whose servers are up.
    up: EngineSet,
    /// Engines whose servers have ever been up.
    started: EngineSet,
    /// Engines that it will never serve again.
    lost: EngineSet,
    waiting: VecDeque<Task>,
    in_flight: Vec<Task>,
}

/// A cluster on its way.
pub(super) struct Simulation<'a> {
    cluster: &'a Cluster,
    random: Rand64,
    pub(super) timeline: Timeline<Happening>,
    ranks: Vec<SimulatedRank>,
    pub(super) busy: Duration,
    pub(super) turns: u32,
    pub(super) turns_lost: u32,
    /// What the scheduler asked of a rank that cannot do it.
    pub(super) impossible: Option<String>,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let mut simulation = Simulation {
            cluster,
            random: Rand64::new(u128::from(cluster.seed)),
            timeline: Timeline::new(),
            ranks: Vec::new(),
            busy: Duration::ZERO,
            turns: 0,
            turns_lost: 0,
            impossible: None,
        };
        for index in 0..cluster.ranks {
            let rank = RankId(index);
            simulation.ranks.push(SimulatedRank { alive: true, ..SimulatedRank::default() });
            let role = cluster.roles.of(rank, cluster.ranks);
            let joined = Event::RankJoined { rank, role, credits: cluster.credits };
            let delay = simulation.jitter(cluster.latency);
            simulation.timeline.after(delay, Happening::Tell(joined));
            for engine in role.first().iter() {
                let start = delay + simulation.jitter(cluster.answer_time * 3);
                simulation.timeline.after(start, Happening::ServerUp { rank, engine, turn: 0 });
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
    pub(super) fn happen(&mut self, happening: Happening) -> Option<Event> {
        match happening {
            Happening::Tell(event) => return Some(event),
            Happening::ServerUp { rank, engine, turn } => self.server_up(rank, engine, turn),
            Happening::Turn(rank, engine) => self.turn(rank, engine),
            Happening::Receive(rank, unit, priors) => {
                let state = &mut self.ranks[rank.0 as usize];
                let serves = state.up.contains(unit.engine);
                if state.alive && !serves && !state.lost.contains(unit.engine) {
                    self.impossible = Some(format!("{rank} got pages for {}, which it does not serve", unit.engine));
                }
                let task = |page| {
                    let prior = priors.iter().find(|prior| prior.page == page);
                    let visit = prior.map_or(Visit::First, |prior| prior.visit);
                    Task { page, unit, visit, climb: Climb::new(BUDGET, unit.trial) }
                };
                let tasks: Vec<_> = unit.pages().map(task).collect();
                if serves {
                    state.waiting.extend(tasks);
                    self.start_tasks(rank);
                } else if state.alive {
                    // They were sent before it told that the engine is lost.
                    tasks.into_iter().for_each(|task| self.give_back(rank, task, MachineFault::ConnectionLost));
                }
            }
            Happening::Answered { rank, server_start, task } => self.answered(rank, server_start, task),
            Happening::Vanish(rank) => {
                let state = &mut self.ranks[rank.0 as usize];
                state.alive = false;
                self.turns_lost += u32::from(state.turn > 0 && state.up.is_empty());
                // What it had already sent is still under way, and may come before or after the news of its loss.
                let noticed = self.jitter(self.cluster.latency * 2);
                self.timeline.after(noticed, Happening::Tell(Event::RankLost { rank }));
            }
        }
        None
    }

    /// Its server is up, and stays so until the rank turns; or it fails to.
    fn server_up(&mut self, rank: RankId, engine: Engine, turn: u32) {
        let state = &self.ranks[rank.0 as usize];
        if !state.alive || state.turn != turn {
            return;
        }
        if turn > 0 && self.chance(self.cluster.engine_losses) {
            self.turns_lost += 1;
            self.lose(rank, engine);
            return;
        }
        let state = &mut self.ranks[rank.0 as usize];
        (state.up, state.started) = (state.up.with(engine), state.started.with(engine));
        self.tell(Event::EngineReady { rank, engine });
    }

    fn turn(&mut self, rank: RankId, engine: Engine) {
        let cluster = self.cluster;
        let state = &mut self.ranks[rank.0 as usize];
        if !state.alive {
            return;
        }
        if !state.waiting.is_empty() || !state.in_flight.is_empty() {
            self.impossible = Some(format!("{rank} was told to turn while it holds pages"));
            return;
        }
        let left = std::mem::take(&mut state.up);
        state.turn += 1;
        let turn = state.turn;
        let mean = if state.started.contains(engine) { cluster.turn_back } else { cluster.turn_first };
        self.turns += 1;
        for engine in left.iter() {
            if self.chance(cluster.engine_losses) {
                self.lose(rank, engine);
            }
        }
        let ready = mean / 2 + self.jitter(mean);
        self.timeline.after(ready, Happening::ServerUp { rank, engine, turn });
    }

    fn lose(&mut self, rank: RankId, engine: Engine) {
        let state = &mut self.ranks[rank.0 as usize];
        (state.up, state.lost) = (state.up.without(engine), state.lost.with(engine));
        self.tell(Event::EngineLost { rank, engine });
    }

    /// Lets the scheduler hear of it when the message has come.
    fn tell(&mut self, event: Event) {
        self.timeline.after(self.cluster.latency, Happening::Tell(event));
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
        self.tell(Event::Settled { rank, settlement });
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
            self.lose(rank, engine);
            for task in waiting {
                self.give_back(rank, task, MachineFault::ConnectionLost);
            }
        } else {
            self.start_tasks(rank);
        }
    }

    pub(super) fn recall(&mut self, rank: RankId) {
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
        let (page, lease) = (task.page, task.unit.lease);
        self.tell(Event::Returned { rank, page, lease, fault, attempts: Vec::new(), text: None });
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.rand_float() < probability
    }

    /// A time of at most `longest`, evenly spread.
    fn jitter(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.rand_float())
    }
}
