//! The coordinator: passes messages of the ranks to the scheduler and its actions to the ranks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    comm::{Assignment, Returned, ToCoordinator, ToWorker},
    model::{
        Document, Engine, EngineNames, EngineSet, MachineFault, NoPages, Outcome, RankId, RankSummary, RolePattern,
        StopReason,
        configuration::{Configuration, EngineSettings},
    },
    report::{FailingServer, FailingServerEnd, Progress, RoleSwitchTimes, RunPhase, ServersFile, Snapshot, StatusFile},
    schedule::{Action, Deadline, Event, Policy, Scheduler, Tick},
    sys::seconds_text,
};

use super::{error::RunError, preparation::Prepared, request::RunRequest, roster::check_alike, stop_file::StopRequest};

/// Interval of the clock event, the check for the stop file and the status.
const CLOCK: Duration = Duration::from_secs(1);

/// Part of the time that is left before the processes are killed, for sealing and ending; pages in flight have the rest.
const SEALING_SHARE: f64 = 0.625;

/// Interval of progress lines if standard error is no terminal.
const PROGRESS_LINE: Duration = Duration::from_secs(10);

/// Messages to send, in order.
pub(super) type Outgoing = Vec<(RankId, ToWorker)>;

/// Rank 0's side of the run, driven by its main thread.
pub(super) struct Coordinator {
    scheduler: Scheduler,
    ranks: u32,
    start: Instant,
    /// When the run was prepared, since `start`.
    prepared: Duration,
    /// When the first server was ready, since `start`.
    first_ready: Option<Duration>,
    /// What ranks were last told of why they have no pages.
    no_pages: Option<NoPages>,
    next_clock: Instant,
    progress: Progress,
    actions: Vec<Action>,
    outcome: Option<Outcome>,
    summaries: BTreeMap<RankId, RankSummary>,
    hosts: BTreeMap<RankId, String>,
    /// Digest of the settings of rank 0. All ranks must have the same.
    settings: String,
    servers: ServersFile,
    failing_servers: BTreeMap<(RankId, Engine), FailingServerEnd>,
    /// Names of the engines.
    names: EngineNames,
    documents: Vec<Document>,
    stop: Option<StopRequest>,
    /// When the run ends although ranks are still sealing: soon after, they are killed.
    conclude_by: Option<Instant>,
}

/// What the coordinator knows after the end of the run.
pub(super) struct Ended {
    pub(super) scheduler: Scheduler,
    pub(super) outcome: Outcome,
    pub(super) summaries: BTreeMap<RankId, RankSummary>,
    pub(super) elapsed: Duration,
    /// From the moment at which the first page could be dealt to the last verdict.
    pub(super) reading: Option<Duration>,
    pub(super) hosts: BTreeMap<RankId, String>,
    /// Ranks that became silent.
    pub(super) lost: BTreeSet<RankId>,
    /// Hosts of those ranks, if they had reported them.
    pub(super) silent_hosts: Vec<String>,
    pub(super) turns: RoleSwitchTimes,
    /// Whether the processes of the run are killed soon.
    pub(super) is_hurried: bool,
    pub(super) failing_servers: Vec<FailingServer>,
    pub(super) names: EngineNames,
    /// Kept so that it is dropped off the main thread: dropping it waits until the file is written.
    _servers: ServersFile,
}

impl Coordinator {
    pub(super) fn new(
        prepared: &mut Prepared,
        ranks: u32,
        settings: String,
        request: &RunRequest,
        start: Instant,
        time_left: Option<Duration>,
    ) -> std::io::Result<Self> {
        let (schedule, engines) = (&request.configuration.schedule, &request.configuration.engines);
        let roles = engines.roles();
        let unserved: EngineSet = engines.all().filter(|engine| !roles.serves(*engine)).collect();
        if !unserved.is_empty() {
            let unserved = engines.names().text(unserved, ", ");
            let first = engines.name(Engine::FIRST);
            tracing::warn!(
                "no rank serves {unserved}: pages that fail on {first} do not go there (see --roles, and \
                 [engines.….server] of each)"
            );
        }
        if roles.leaves_out_engine(ranks) {
            tracing::warn!(
                "none of the {ranks} ranks would serve one of the engines in the roles {}: the last rank serves all, one at a \
                 time",
                roles.named(engines.names())
            );
        }
        let deadline = time_left.map(|left| Deadline { end: Tick(left), reserve: schedule.seal_reserve });
        let policy = Policy {
            ranks,
            engines: roles.engines(),
            unit_pages: schedule.unit_pages.get(),
            deadline,
            drain: schedule.drain,
            turn_cost: schedule.turn_cost,
            silence_limit: Some(schedule.silence_limit),
            lease_floor: lease_floor(&request.configuration),
            races: schedule.races,
        };
        let page_counts: Vec<u32> = prepared.plan.documents.iter().map(|document| document.pages()).collect();
        let restored = std::mem::take(&mut prepared.restored);
        Ok(Coordinator {
            servers: ServersFile::new(&request.run_directory)?,
            scheduler: Scheduler::new(policy, &page_counts, restored, prepared.last_lease),
            ranks,
            start,
            prepared: start.elapsed(),
            first_ready: None,
            no_pages: None,
            next_clock: start,
            progress: Progress::new(PROGRESS_LINE)?,
            actions: Vec::new(),
            outcome: None,
            summaries: BTreeMap::new(),
            hosts: BTreeMap::new(),
            settings,
            failing_servers: BTreeMap::new(),
            names: engines.names().clone(),
            documents: prepared.plan.documents.clone(),
            stop: None,
            conclude_by: None,
        })
    }

    /// A rank sent a sign of life.
    pub(super) fn heard_from(&mut self, rank: RankId, out: &mut Outgoing) {
        self.step(Event::Alive { rank }, out);
    }

    /// Handles a message of a rank.
    pub(super) fn handle(&mut self, rank: RankId, message: ToCoordinator, out: &mut Outgoing) -> Result<(), RunError> {
        match message {
            ToCoordinator::Hello(hello) => {
                check_alike(rank, &hello, &self.settings)?;
                let role = RolePattern::all(hello.role).named(&self.names);
                tracing::info!(%rank, host = hello.host, local_rank = hello.local_rank, %role, credits = hello.credits, "joined");
                self.hosts.insert(rank, hello.host);
                self.step(Event::RankJoined { rank, role: hello.role, credits: hello.credits }, out);
            }
            ToCoordinator::EngineReady(engine, server) => {
                self.servers.record(rank, self.names[engine].clone(), *server);
                self.first_ready.get_or_insert(self.start.elapsed());
                self.step(Event::EngineReady { rank, engine }, out);
            }
            ToCoordinator::EngineLost(engine, reason) => {
                tracing::error!(%rank, engine = %self.names[engine], "engine lost: {reason}");
                self.step(Event::EngineLost { rank, engine }, out);
                if self.scheduler.is_given_up(engine) {
                    tracing::error!(engine = %self.names[engine], "this engine was never ready on any rank: no further rank switches to it");
                }
            }
            ToCoordinator::Settled(settlements) => {
                for settlement in settlements {
                    self.step(Event::Settled { rank, settlement }, out);
                }
            }
            ToCoordinator::Returned(pages) => {
                for Returned { page, lease, fault, attempts, text } in pages {
                    match fault {
                        MachineFault::RendererLost | MachineFault::InputLost => {
                            tracing::error!(%rank, "this rank gets no more pages: {fault}; see its log");
                        }
                        _ => tracing::info!(%rank, %page, "page returned: {fault}"),
                    }
                    self.step(Event::Returned { rank, page, lease, fault, attempts, text }, out);
                }
            }
            ToCoordinator::StopRequested(reason, why) => {
                tracing::error!(%rank, "stopping early: {why}");
                self.step(Event::StopRequested { reason }, out);
            }
            ToCoordinator::Finished(summary) => drop(self.summaries.insert(rank, summary)),
            ToCoordinator::Alive { .. } => {}
            ToCoordinator::Recovered(_) => return Err(RunError::OutOfPhase(rank)),
        }
        Ok(())
    }

    /// Handles what is due: the scheduler's timers, the stop file, progress and status.
    pub(super) fn tick(&mut self, stop: Option<StopRequest>, status: &StatusFile, out: &mut Outgoing) {
        if let Some(request) = stop.filter(|_| stop != self.stop) {
            self.stop(request, out);
        }
        let now = Instant::now();
        if now < self.next_clock {
            return self.send_clock(out);
        }
        self.next_clock = now + CLOCK;
        self.step(Event::Alive { rank: RankId::COORDINATOR }, out);
        self.send_clock(out);
        let no_pages = self.scheduler.no_pages();
        if self.no_pages.replace(no_pages) != Some(no_pages) {
            out.extend((0..self.ranks).map(|rank| (RankId(rank), ToWorker::NoPages(no_pages))));
        }
        let snapshot = self.snapshot();
        self.progress.show(&snapshot);
        let phase = if self.outcome.is_some() { RunPhase::Ending } else { RunPhase::Reading };
        status.write(phase, Some(snapshot));
    }

    fn stop(&mut self, request: StopRequest, out: &mut Outgoing) {
        self.stop = Some(request);
        if let Some(left) = request.time_left {
            tracing::info!("the processes are killed in {}: the run ends before that", seconds_text(left));
            let end = Tick(self.start.elapsed() + left);
            self.scheduler.limit(Deadline { end, reserve: left.mul_f64(SEALING_SHARE) });
            self.conclude_by = Some(Instant::now() + left);
        }
        self.step(Event::StopRequested { reason: StopReason::Requested }, out);
    }

    /// Sends the scheduler a clock event, if a timer is due.
    fn send_clock(&mut self, out: &mut Outgoing) {
        let elapsed = Tick(self.start.elapsed());
        if self.scheduler.next_timeout().is_some_and(|at| at <= elapsed) {
            self.step(Event::Clock, out);
        }
    }

    /// Whether every rank has reported its end or is lost, or the time for that is over.
    pub(super) fn is_over(&self) -> bool {
        let ended = |rank: &RankId| self.summaries.contains_key(rank) || self.scheduler.is_lost(*rank);
        let is_late = self.conclude_by.is_some_and(|time| Instant::now() >= time);
        self.outcome.is_some() && (is_late || (0..self.ranks).map(RankId).all(|rank| ended(&rank)))
    }

    /// The final state; `None` before the end. If a rank is lost or could not seal, the next start seals its journal,
    /// so the run is not complete.
    pub(super) fn end(self) -> Option<Ended> {
        let lost: BTreeSet<_> = (0..self.ranks).map(RankId).filter(|rank| self.scheduler.is_lost(*rank)).collect();
        let unsealed = self.summaries.values().any(|summary| summary.unsealed);
        let outcome = match (self.outcome?, lost.first()) {
            (Outcome::Complete, Some(rank)) => Outcome::Stopped(StopReason::RankSilent(*rank)),
            (Outcome::Complete, None) if unsealed => Outcome::Stopped(StopReason::Store),
            (outcome, _) => outcome,
        };
        let snapshot = self.snapshot();
        self.progress.finish(&snapshot);
        let mut silent_hosts: Vec<_> = lost.iter().filter_map(|rank| self.hosts.get(rank).cloned()).collect();
        silent_hosts.sort();
        silent_hosts.dedup();
        let turns = snapshot.turns;
        let reading = self.first_ready.zip(self.scheduler.last_settled());
        let reading = reading.map(|(ready, Tick(last))| last.saturating_sub(ready.max(self.prepared)));
        let elapsed = self.start.elapsed();
        let failing_server = |((rank, engine), end)| FailingServer { rank, engine: self.names[engine].clone(), end };
        let failing_servers = self.failing_servers.into_iter().map(failing_server).collect();
        Some(Ended {
            is_hurried: self.conclude_by.is_some(),
            scheduler: self.scheduler,
            outcome,
            summaries: self.summaries,
            elapsed,
            reading,
            hosts: self.hosts,
            lost,
            silent_hosts,
            turns,
            failing_servers,
            names: self.names,
            _servers: self.servers,
        })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let counted = Snapshot::new(self.scheduler.counts(), self.scheduler.in_flight(), self.start.elapsed());
        let mut turns = RoleSwitchTimes::default();
        self.scheduler.role_switches().iter().for_each(|took| turns.add(*took));
        let reading_seconds = self.first_ready.map(|ready| (self.start.elapsed() - ready).as_secs_f64());
        Snapshot { turns, reading_seconds, ..counted }
    }

    fn step(&mut self, event: Event, out: &mut Outgoing) {
        let mut actions = std::mem::take(&mut self.actions);
        self.scheduler.step(Tick(self.start.elapsed()), event, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Assign { rank, unit, priors } => {
                    if unit.engine != Engine::FIRST {
                        tracing::info!(%rank, page = %unit.first, "goes to {}", self.names[unit.engine]);
                    }
                    let parts = Assignment::parts(unit, priors);
                    out.extend(parts.into_iter().map(|part| (rank, ToWorker::Assign(part))));
                }
                Action::SwitchRole { rank, engine } => {
                    tracing::info!(%rank, engine = %self.names[engine], "the rank switches to this engine");
                    out.push((rank, ToWorker::SwitchRole(engine)));
                }
                Action::RestartServer { rank, engine } => {
                    tracing::error!(%rank, engine = %self.names[engine], "the server of this rank failed pages in a row that other servers read: these failures do not count; it is restarted if its rank started it, and then tried with single pages");
                    self.failing_servers.entry((rank, engine)).or_insert(FailingServerEnd::Restarted);
                    out.push((rank, ToWorker::RestartServer(engine)));
                }
                Action::GiveServerUp { rank, engine } => {
                    tracing::error!(%rank, engine = %self.names[engine], "the server of this rank gets no more pages: after its restart, too, it failed pages that other servers read; check its command, its model and its GPU");
                    self.failing_servers.insert((rank, engine), FailingServerEnd::GivenUp);
                }
                Action::AllServersFail { engine, pages, documents, class, reason } => {
                    let engine = &self.names[engine];
                    tracing::error!(%engine, %class, "every {engine} server fails every page, so no rank is given more: {pages} pages of {documents} documents failed in a row, and none was read in between; these failures do not count. Correct what the last one says and run the same command again: {reason}");
                }
                Action::TooLate { engine, turn, left } => {
                    tracing::warn!(engine = %self.names[engine], "too late to switch to this engine: a switch is expected to take {} (schedule.turn_cost, until one was measured), and {} are left for pages", seconds_text(turn), seconds_text(left));
                }
                Action::Expire { rank, page, lease } => {
                    let document = &self.documents[page.document.index()];
                    tracing::error!(%rank, document = %document.name, page = page.page.number(), file = %document.path.display(), "the lease of this page has expired: it did not come back in time, because its file or the process that works on it hangs");
                    out.push((rank, ToWorker::ReleasePage(page, lease)));
                }
                Action::Release { rank, page, lease } => out.push((rank, ToWorker::ReleasePage(page, lease))),
                Action::Recall { rank } => out.push((rank, ToWorker::Recall)),
                Action::Finish { outcome } => {
                    self.outcome = Some(outcome);
                    out.extend((0..self.ranks).map(|rank| (RankId(rank), ToWorker::Finish)));
                }
            }
        }
        self.actions = actions;
    }
}

/// The longest time that a page may take: its server starts, then every attempt of a stage and every rendering takes as
/// long as allowed.
fn lease_floor(configuration: &Configuration) -> Duration {
    /// An image is rendered twice before the page is blamed.
    const RENDERINGS: u32 = 2;
    let rendering = configuration.imaging.page_limit * RENDERINGS;
    let of_engine = |settings: &EngineSettings| {
        settings.start_limit + (settings.total_limit + rendering).saturating_mul(settings.attempts.get())
    };
    configuration.engines.all().map(|engine| of_engine(configuration.engines.of(engine))).max().unwrap_or_default()
}
