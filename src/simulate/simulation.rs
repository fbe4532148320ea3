//! Simulated ranks, servers, pages and faults.

use std::time::Duration;

use oorandom::Rand64;

use crate::{
    concurrency::{Length, WaitingPages},
    model::{AttemptOutcome, Engine, EngineSet, FailureClass, LeaseId, MachineFault, PageRef, Prior, RankId, Unit},
    schedule::{Event, Tick},
    server::{Requests, StartBudget},
};

use super::{
    accounting::{Activity, LastPages, RankClock, RankSeconds},
    cluster::{Cluster, FailingServer},
    recording::Recording,
    service::{IndependentService, Service, SharedService, Spread},
    sharing::Sharing,
    task::{Next, Task},
    timeline::Timeline,
};

/// Number of a rank's signs of life in the time after which it would be lost.
const BEATS: u32 = 6;

#[derive(Debug)]
pub(super) enum SimulationEvent {
    Tell(Event),
    Receive(RankId, Unit, Vec<Prior>),
    Answered {
        rank: RankId,
        server_start: u32,
        task: Task,
    },
    /// On a rank whose pages share the server, the next page may have ended.
    Ended(RankId),
    ServerUp {
        rank: RankId,
        engine: Engine,
        turn: u32,
    },
    /// The server of this start is ready, after the death of the one before.
    BackUp {
        rank: RankId,
        server_start: u32,
    },
    SwitchRole(RankId, Engine),
    RestartServer(RankId, Engine),
    Vanish(RankId),
    /// A sign of life. It schedules the next one.
    Beat(RankId),
    /// Rank 0 orders the rank to drop a page.
    Expire(RankId, PageRef, LeaseId),
    /// A hanging page comes back.
    Late(RankId, LeaseId, PageRef),
}

#[derive(Debug, Default)]
struct SimulatedRank {
    alive: bool,
    /// Number of starts of its server. An answer from an older start is ignored.
    server_start: u32,
    /// Its server has died and is not ready again.
    is_down: bool,
    /// The requests of the present start.
    requests: Requests,
    budget: StartBudget,
    /// Number of role switches. A server of an older switch no longer starts.
    turn: u32,
    /// Engines whose servers are ready.
    up: EngineSet,
    /// Engines whose servers have been ready before.
    started: EngineSet,
    /// Engines that it will never serve again.
    lost: EngineSet,
    /// Its servers were restarted on an order of rank 0.
    restarted: bool,
    waiting: WaitingPages<Task>,
    in_flight: Vec<Task>,
    /// Pages in flight that share the server, and how their attempts end.
    shared: Sharing<(Task, AttemptOutcome)>,
    /// The time of the next [`SimulationEvent::Ended`]; an earlier one is out of date.
    next_end: Option<Duration>,
    clock: RankClock,
    /// Hanging pages. They are not in flight: their files hang, or the process that works on them.
    hanging: Vec<Task>,
}

impl SimulatedRank {
    /// Whether a server that takes so many requests takes another one.
    fn has_slot(&self, in_flight: u32) -> bool {
        let slots = if self.requests.is_one_at_a_time() { 1 } else { in_flight };
        self.alive && !self.is_down && (self.requests() as u32) < slots
    }

    /// Number of requests in flight.
    fn requests(&self) -> usize {
        self.in_flight.len() + self.shared.len()
    }

    /// All pages in flight, which are not in flight any more.
    fn take_in_flight(&mut self) -> Vec<Task> {
        let mut tasks = std::mem::take(&mut self.in_flight);
        tasks.extend(self.shared.take_all().into_iter().map(|(task, _)| task));
        tasks
    }

    /// What it does, on a server that takes so many requests.
    fn activity(&self, in_flight: u32) -> Activity {
        if !self.alive {
            Activity::Lost
        } else if self.is_down {
            Activity::Down
        } else if !self.up.is_empty() {
            Activity::Ready(self.requests() as f64 / f64::from(in_flight.max(1)))
        } else if !self.lost.is_empty() {
            Activity::Down
        } else if self.started.is_empty() {
            Activity::Starting
        } else {
            Activity::Switching
        }
    }
}

/// The state of a simulation.
pub(super) struct Simulation<'a> {
    cluster: &'a Cluster,
    random: Rand64,
    pub(super) timeline: Timeline<SimulationEvent>,
    ranks: Vec<SimulatedRank>,
    pub(super) busy: Duration,
    /// Seconds of fully loaded servers that all attempts took, on ranks of the usual speed.
    pub(super) work: f64,
    pub(super) rank_seconds: RankSeconds,
    pub(super) last_pages: LastPages,
    pub(super) recording: Option<Recording>,
    pub(super) failing_answers: (u64, Duration),
    /// Number of deaths of servers.
    pub(super) deaths: u32,
    pub(super) turns: u32,
    pub(super) turns_lost: u32,
    /// When the scheduler gets the next [`Event::Clock`].
    wake: Option<Duration>,
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
            work: 0.0,
            rank_seconds: RankSeconds::default(),
            last_pages: LastPages::default(),
            recording: cluster.record.then(|| Recording::new(cluster.ranks)),
            failing_answers: (0, Duration::ZERO),
            deaths: 0,
            turns: 0,
            turns_lost: 0,
            wake: None,
            impossible: None,
        };
        for index in 0..cluster.ranks {
            let rank = RankId(index);
            let waiting = WaitingPages::new(cluster.credits);
            simulation.ranks.push(SimulatedRank { alive: true, waiting, ..SimulatedRank::default() });
            let role = cluster.roles.of(rank, cluster.ranks);
            let joined = Event::RankJoined { rank, role, credits: cluster.credits };
            let delay = simulation.preparation() + simulation.jitter(cluster.latency);
            simulation.timeline.after(delay, SimulationEvent::Tell(joined));
            simulation.timeline.after(delay + simulation.beat(), SimulationEvent::Beat(rank));
            for engine in role.first().iter() {
                let start = delay.max(simulation.start(engine, delay));
                simulation.timeline.after(start, SimulationEvent::ServerUp { rank, engine, turn: 0 });
            }
        }
        for (rank, at) in &cluster.rank_losses {
            simulation.timeline.after(*at, SimulationEvent::Vanish(*rank));
        }
        simulation
    }

    /// Handles a simulation event. Returns what the scheduler receives at this moment.
    pub(super) fn apply(&mut self, event: SimulationEvent) -> Option<Event> {
        match event {
            SimulationEvent::Tell(event) => {
                if event == Event::Clock && self.wake.is_some_and(|wake| wake <= self.timeline.now()) {
                    self.wake = None;
                }
                return Some(event);
            }
            SimulationEvent::Beat(rank) if self.ranks[rank.0 as usize].alive => {
                self.tell_scheduler(Event::Alive { rank });
                self.timeline.after(self.beat(), SimulationEvent::Beat(rank));
            }
            SimulationEvent::Beat(_) => {}
            SimulationEvent::Expire(rank, page, lease) => self.drop_page(rank, page, lease),
            SimulationEvent::Late(rank, lease, page) => {
                if let Some(task) = self.take_hanging(rank, page, lease) {
                    self.continue_page(rank, task, AttemptOutcome::Accepted);
                }
            }
            SimulationEvent::ServerUp { rank, engine, turn } => self.server_up(rank, engine, turn),
            SimulationEvent::BackUp { rank, server_start } => self.back_up(rank, server_start),
            SimulationEvent::SwitchRole(rank, engine) => self.switch_role(rank, engine),
            SimulationEvent::RestartServer(rank, engine) => self.restart_server(rank, engine),
            SimulationEvent::Receive(rank, unit, priors) => self.receive(rank, unit, priors),
            SimulationEvent::Answered { rank, server_start, task } => self.answered(rank, server_start, task),
            SimulationEvent::Ended(rank) => self.ended(rank),
            SimulationEvent::Vanish(rank) => {
                self.account(rank);
                let state = &mut self.ranks[rank.0 as usize];
                state.alive = false;
                self.turns_lost += u32::from(state.turn > 0 && state.up.is_empty());
            }
        }
        None
    }

    /// Schedules an [`Event::Clock`], unless an earlier one is scheduled.
    pub(super) fn wake_at(&mut self, at: Option<Tick>) {
        let Some(Tick(at)) = at.filter(|at| self.wake.is_none_or(|wake| at.0 < wake)) else { return };
        self.wake = Some(at);
        self.timeline.after(at.saturating_sub(self.timeline.now()), SimulationEvent::Tell(Event::Clock));
    }

    fn receive(&mut self, rank: RankId, unit: Unit, priors: Vec<Prior>) {
        let given_up = priors.iter().any(|prior| prior.give_up.is_some());
        let state = &self.ranks[rank.0 as usize];
        let (alive, serves) = (state.alive, state.up.contains(unit.engine));
        if !alive {
            return;
        }
        if !serves && !given_up && !state.lost.contains(unit.engine) {
            self.impossible = Some(format!("{rank} got pages for {:?}, which it does not serve", unit.engine));
        }
        for page in unit.pages() {
            let prior = priors.iter().find(|prior| prior.page == page).cloned();
            match Task::begin(rank, unit, page, prior) {
                Next::Tell(event) => self.tell_scheduler(event),
                Next::Ask(task) if self.hangs(rank, page) => {
                    if let Some(Some(time)) = self.cluster.hanging_pages.get(&page) {
                        self.timeline.after(*time, SimulationEvent::Late(rank, unit.lease, page));
                    }
                    self.ranks[rank.0 as usize].hanging.push(task);
                }
                Next::Ask(task) if serves => {
                    let length = self.expected_length(&task);
                    self.ranks[rank.0 as usize].waiting.push(length, task);
                }
                // The pages were sent before the loss of the engine was reported.
                Next::Ask(task) => self.give_back(rank, task, MachineFault::ConnectionLost),
            }
        }
        self.start_tasks(rank);
    }

    /// The length that the rank expects of an answer.
    fn expected_length(&self, task: &Task) -> Length {
        let Service::Shared(service) = &self.cluster.service else { return Length(0.0) };
        let place = self.place(task.page);
        let expected = service.engine(task.unit.engine).map(|engine| engine.expected(place, self.cluster.seed));
        Length(expected.unwrap_or_default() as f32)
    }

    /// Whether a page that the rank starts now hangs.
    fn hangs(&self, rank: RankId, page: PageRef) -> bool {
        let of_rank = self.cluster.hanging_ranks.get(&rank).is_some_and(|since| self.timeline.now() >= *since);
        of_rank || self.cluster.hanging_pages.contains_key(&page)
    }

    fn take_hanging(&mut self, rank: RankId, page: PageRef, lease: LeaseId) -> Option<Task> {
        let state = &mut self.ranks[rank.0 as usize];
        let is_it = |task: &Task| task.page == page && task.unit.lease == lease;
        let place = state.hanging.iter().position(is_it).filter(|_| state.alive)?;
        Some(state.hanging.swap_remove(place))
    }

    /// The lease of a page has expired, or another rank has read the page: the rank stops all work on it.
    fn drop_page(&mut self, rank: RankId, page: PageRef, lease: LeaseId) {
        let is_other = |task: &Task| task.page != page || task.unit.lease != lease;
        let state = &mut self.ranks[rank.0 as usize];
        if !self.cluster.holds_on {
            state.hanging.retain(is_other);
        }
        state.waiting.retain(is_other);
        state.in_flight.retain(is_other);
        self.account(rank);
        self.progress(rank);
        self.ranks[rank.0 as usize].shared.retain(|(task, _)| is_other(task));
        self.start_tasks(rank);
    }

    /// The server is ready and stays so until the rank switches; or it fails to start.
    fn server_up(&mut self, rank: RankId, engine: Engine, turn: u32) {
        let state = &self.ranks[rank.0 as usize];
        if !state.alive || state.turn != turn {
            return;
        }
        if turn > 0 && self.chance(self.cluster.engine_losses) {
            self.turns_lost += 1;
            self.lose_engine(rank, engine);
            return;
        }
        self.account(rank);
        let state = &mut self.ranks[rank.0 as usize];
        (state.up, state.started) = (state.up.with(engine), state.started.with(engine));
        self.tell_scheduler(Event::EngineReady { rank, engine });
    }

    fn back_up(&mut self, rank: RankId, server_start: u32) {
        let state = &mut self.ranks[rank.0 as usize];
        if !state.alive || state.server_start != server_start {
            return;
        }
        self.account(rank);
        let state = &mut self.ranks[rank.0 as usize];
        state.is_down = false;
        for engine in state.up.iter() {
            self.tell_scheduler(Event::EngineReady { rank, engine });
        }
        self.start_tasks(rank);
    }

    fn switch_role(&mut self, rank: RankId, engine: Engine) {
        self.account(rank);
        let state = &mut self.ranks[rank.0 as usize];
        if !state.alive {
            return;
        }
        if !state.waiting.is_empty() || state.requests() > 0 {
            self.impossible = Some(format!("{rank} was ordered to switch while it holds pages"));
            return;
        }
        let left = std::mem::take(&mut state.up);
        state.is_down = false;
        state.server_start += 1;
        state.turn += 1;
        let turn = state.turn;
        let knows = state.started.contains(engine);
        self.turns += 1;
        for engine in left.iter() {
            if self.chance(self.cluster.engine_losses) {
                self.lose_engine(rank, engine);
            }
        }
        let ready = self.switch(engine, knows);
        self.timeline.after(ready, SimulationEvent::ServerUp { rank, engine, turn });
    }

    /// The rank restarts a server that holds no pages; but not one that the rank has left for another engine.
    fn restart_server(&mut self, rank: RankId, engine: Engine) {
        self.account(rank);
        let state = &mut self.ranks[rank.0 as usize];
        if !state.alive || !state.up.contains(engine) {
            return;
        }
        (state.restarted, state.is_down) = (true, true);
        state.server_start += 1;
        let server_start = state.server_start;
        let ready = self.switch(engine, false);
        self.timeline.after(ready, SimulationEvent::BackUp { rank, server_start });
    }

    /// The failing server of the rank, if it fails pages now.
    fn failing_server(&self, rank: RankId) -> Option<FailingServer> {
        let failing = self.cluster.failing_servers.get(&rank).copied()?;
        let mended = failing.mended_by_restart && self.ranks[rank.0 as usize].restarted;
        (self.timeline.now() >= failing.since && !mended).then_some(failing)
    }

    fn lose_engine(&mut self, rank: RankId, engine: Engine) {
        let state = &mut self.ranks[rank.0 as usize];
        (state.up, state.lost) = (state.up.without(engine), state.lost.with(engine));
        self.tell_scheduler(Event::EngineLost { rank, engine });
    }

    /// The scheduler receives the event after the latency of a message.
    fn tell_scheduler(&mut self, event: Event) {
        self.timeline.after(self.cluster.latency, SimulationEvent::Tell(event));
    }

    fn start_tasks(&mut self, rank: RankId) {
        match &self.cluster.service {
            Service::Independent(service) => self.start_independent(rank, service),
            Service::Shared(service) => self.start_shared(rank, service),
        }
    }

    fn start_independent(&mut self, rank: RankId, service: &IndependentService) {
        let index = rank.0 as usize;
        while self.ranks[index].has_slot(service.in_flight) {
            let Some(task) = self.ranks[index].waiting.pop() else { return };
            let state = &mut self.ranks[index];
            state.in_flight.push(task.clone());
            state.requests.asks(state.server_start, task.unit.trial);
            let time = match self.failing_server(rank) {
                Some(failing) => {
                    self.failing_answers.0 += 1;
                    self.failing_answers.1 += failing.answer_time;
                    failing.answer_time
                }
                None => self.jitter(service.answer_time * 2),
            };
            self.busy += time;
            let server_start = self.ranks[index].server_start;
            self.timeline.after(time, SimulationEvent::Answered { rank, server_start, task });
        }
    }

    fn start_shared(&mut self, rank: RankId, service: &SharedService) {
        let index = rank.0 as usize;
        self.account(rank);
        self.progress(rank);
        let in_flight = self.cluster.in_flight(self.ranks[index].up);
        while self.ranks[index].has_slot(in_flight) {
            let Some(task) = self.ranks[index].waiting.pop() else { break };
            let Some(engine) = service.engine(task.unit.engine) else { break };
            let (failures, place) = (engine.failures, self.place(task.page));
            let fails = match task.has_failed() {
                true => self.chance(failures.again),
                false => failures.fails_first(place, self.cluster.seed),
            };
            let (outcome, length) = if !task.has_failed() && self.chance(self.cluster.blank) {
                (AttemptOutcome::Blank, 0.0)
            } else if fails {
                (AttemptOutcome::Failed(FailureClass::Loop), failures.length)
            } else {
                (AttemptOutcome::Accepted, engine.lengths.of(place, self.cluster.seed))
            };
            self.work += length * engine.page.share(engine.in_flight);
            let state = &mut self.ranks[index];
            state.requests.asks(state.server_start, task.unit.trial);
            state.shared.send(length, (task, outcome));
        }
        let state = &mut self.ranks[index];
        if let Some(engine) = state.up.first().and_then(|engine| service.engine(engine)) {
            state.shared.set_slowness(engine.page.seconds(state.shared.len() as u32) * service.slowness(rank));
        }
        if let Some(end) = state.shared.next_end().filter(|end| state.next_end.is_none_or(|next| *end < next)) {
            state.next_end = Some(end);
            self.timeline.after(end.saturating_sub(self.timeline.now()), SimulationEvent::Ended(rank));
        }
    }

    /// The place of a page among all, where all documents have as many pages as the first.
    fn place(&self, page: PageRef) -> u64 {
        let of_document = self.cluster.page_counts.first().copied().unwrap_or_default();
        u64::from(page.document.0) * u64::from(of_document) + u64::from(page.page.0)
    }

    /// Lets the pages in flight progress that share their server.
    fn progress(&mut self, rank: RankId) {
        self.ranks[rank.0 as usize].shared.advance(self.timeline.now());
    }

    /// Adds the time since the last change of the rank to its account.
    fn account(&mut self, rank: RankId) {
        let state = &mut self.ranks[rank.0 as usize];
        let activity = state.activity(self.cluster.in_flight(state.up));
        let (from, now) = (state.clock.until(), self.timeline.now());
        let did = state.clock.advance(now, activity, &self.last_pages);
        self.rank_seconds += did;
        if let Some(recording) = &mut self.recording {
            recording.add(rank, from, now, did);
        }
    }

    /// Completes the accounts of all ranks.
    pub(super) fn account_all(&mut self) {
        (0..self.cluster.ranks).for_each(|rank| self.account(RankId(rank)));
    }

    /// Handles the pages that have ended on a rank whose pages share the server.
    fn ended(&mut self, rank: RankId) {
        let (index, now) = (rank.0 as usize, self.timeline.now());
        if self.ranks[index].next_end != Some(now) {
            return;
        }
        self.ranks[index].next_end = None;
        if !self.ranks[index].alive {
            return;
        }
        self.account(rank);
        self.progress(rank);
        while let Some((task, outcome)) = self.ranks[index].shared.take_ended() {
            if !self.survives(rank, &task) {
                self.server_died(rank, task);
                return;
            }
            let server_start = self.ranks[index].server_start;
            self.ranks[index].requests.answered(server_start, task.unit.trial);
            self.continue_page(rank, task, outcome);
        }
        self.start_tasks(rank);
    }

    /// Whether the server lives after its answer to the page.
    fn survives(&mut self, rank: RankId, task: &Task) -> bool {
        let is_poison = task.unit.engine == Engine::FIRST && self.cluster.poison.contains(&task.page);
        let dies = self.cluster.dying_servers.get(&rank).is_some_and(|since| self.timeline.now() >= *since);
        !(is_poison || dies || self.chance(self.cluster.server_deaths))
    }

    fn answered(&mut self, rank: RankId, server_start: u32, task: Task) {
        let index = rank.0 as usize;
        let Service::Independent(IndependentService { loops, .. }) = self.cluster.service else { return };
        if !self.ranks[index].alive || self.ranks[index].server_start != server_start {
            return;
        }
        let Some(position) = self.ranks[index]
            .in_flight
            .iter()
            .position(|other| other.page == task.page && other.unit.lease == task.unit.lease)
        else {
            return;
        };
        self.ranks[index].in_flight.remove(position);
        if !self.survives(rank, &task) {
            self.server_died(rank, task);
            return;
        }
        self.ranks[index].requests.answered(server_start, task.unit.trial);
        let outcome = match self.failing_server(rank) {
            Some(_) => AttemptOutcome::Failed(FailureClass::Rejected),
            None => self.outcome(loops),
        };
        self.continue_page(rank, task, outcome);
        self.start_tasks(rank);
    }

    fn outcome(&mut self, loops: f64) -> AttemptOutcome {
        if self.chance(self.cluster.blank) {
            AttemptOutcome::Blank
        } else if self.chance(loops) {
            AttemptOutcome::Failed(FailureClass::Loop)
        } else {
            AttemptOutcome::Accepted
        }
    }

    /// Does what a worker does after an attempt.
    fn continue_page(&mut self, rank: RankId, task: Task, outcome: AttemptOutcome) {
        match task.continue_page(rank, outcome) {
            Next::Ask(task) => self.ranks[rank.0 as usize].waiting.push(Length::NEXT, task),
            Next::Tell(event) => self.tell_scheduler(event),
        }
    }

    /// All pages in flight are lost with the server. If it does not restart, the waiting pages are returned too.
    fn server_died(&mut self, rank: RankId, killer: Task) {
        let died = AttemptOutcome::Interrupted(MachineFault::ServerDied);
        let engine = killer.unit.engine;
        self.deaths += 1;
        self.account(rank);
        let state = &mut self.ranks[rank.0 as usize];
        state.server_start += 1;
        let server_start = state.server_start;
        state.is_down = true;
        // The life was long enough, so that only what it answered counts.
        let spent = state.budget.after(Duration::from_secs(3600), state.requests.end()).is_err();
        let lost = state.take_in_flight();
        self.continue_page(rank, killer, died);
        for task in lost {
            self.continue_page(rank, task, died);
        }
        if spent || self.chance(self.cluster.engine_losses) {
            let waiting = self.ranks[rank.0 as usize].waiting.take_all();
            self.lose_engine(rank, engine);
            for task in waiting {
                self.give_back(rank, task, MachineFault::ConnectionLost);
            }
            self.ranks[rank.0 as usize].is_down = false;
        } else {
            let ready = self.cluster.restart / 2 + self.jitter(self.cluster.restart);
            self.timeline.after(ready, SimulationEvent::BackUp { rank, server_start });
        }
    }

    pub(super) fn recall(&mut self, rank: RankId) {
        self.account(rank);
        let state = &mut self.ranks[rank.0 as usize];
        if !state.alive {
            return;
        }
        let mut tasks = state.take_in_flight();
        tasks.extend(state.waiting.take_all());
        if !self.cluster.holds_on {
            tasks.extend(std::mem::take(&mut state.hanging));
        }
        for task in tasks {
            self.give_back(rank, task, MachineFault::Draining);
        }
    }

    fn give_back(&mut self, rank: RankId, task: Task, fault: MachineFault) {
        self.tell_scheduler(task.give_back(rank, fault));
    }

    /// From the start of the run until rank 0 can deal pages.
    fn preparation(&self) -> Duration {
        match &self.cluster.service {
            Service::Independent(_) => Duration::ZERO,
            Service::Shared(service) => service.preparation,
        }
    }

    /// Interval of a rank's signs of life.
    fn beat(&self) -> Duration {
        self.cluster.silence_limit() / BEATS
    }

    /// When the first server of a rank is ready that starts at `delay`.
    fn start(&mut self, engine: Engine, delay: Duration) -> Duration {
        match &self.cluster.service {
            Service::Independent(service) => delay + self.jitter(service.answer_time * 3),
            Service::Shared(service) => {
                let start = service.engine(engine).map(|engine| engine.start).unwrap_or_default();
                self.draw(start)
            }
        }
    }

    /// Duration of a role switch to the engine, which the rank has served before or not.
    fn switch(&mut self, engine: Engine, knows: bool) -> Duration {
        match &self.cluster.service {
            Service::Independent(service) => {
                let mean = if knows { service.turn_back } else { service.turn_first };
                mean / 2 + self.jitter(mean)
            }
            Service::Shared(service) => {
                let switch = |of: &super::EngineService| if knows { of.switch_back } else { of.switch_first };
                let switch = service.engine(engine).map(switch).unwrap_or_default();
                self.draw(switch)
            }
        }
    }

    fn draw(&mut self, time: Spread) -> Duration {
        time.draw(self.random.rand_float())
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.rand_float() < probability
    }

    /// A random time of at most `longest`, evenly distributed.
    fn jitter(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.rand_float())
    }
}
