//! Rank 0 from its start to the run's end: prepare, learn how the pages stand, deal, conclude. Its main thread is also
//! that of its own worker, and waits for no disk but that of its log: whatever else does runs beside it.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    comm::{RecoveredPart, ToCoordinator, ToWorker, Transport},
    model::{Outcome, RankId, StopReason, error::chain},
    report::{EndReport, Finished, REPORT_FILE, RunPhase, StatusFile},
    store::catalogue,
};

use super::{
    again,
    coordinator::{Coordinator, Ended, Outgoing},
    error::RunError,
    planned::renderer_pool,
    post::Post,
    preparation::{Prepared, prepare},
    pump::Idle,
    recovery::Collected,
    run::RunRequest,
    stop_file::StopFile,
    worker::Worker,
};

/// Longest wait for all ranks to report before what earlier starts left is shared among those that have.
const ROLL_CALL: Duration = Duration::from_secs(2);
/// Longest wait for the last messages to leave where a rank is lost.
const FAREWELL: Duration = Duration::from_secs(10);
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs rank 0 to the end of the run.
pub(super) fn coordinate(
    post: &mut Post<impl Transport>,
    worker: Worker,
    request: &RunRequest,
) -> Result<EndReport, RunError> {
    let start = Instant::now();
    let runtime = worker.runtime().clone();
    let status = StatusFile::new(&request.run_directory).map_err(RunError::Runtime)?;
    let mut desk = Desk { post, worker, held: Vec::new(), status, stop_before: None };
    let hello = desk.worker.hello();
    let settings = hello.settings.clone();
    desk.held.push((RankId::COORDINATOR, ToCoordinator::Hello(hello)));
    let time_left = match request.time_limit {
        None => None,
        Some(limit) => desk.prepare(move || limit.remaining())??,
    };
    desk.stop_before = time_left.map(|left| start + left);

    let (asked, cores) = (request.clone(), desk.worker.cores());
    let mut prepared = desk.prepare(move || {
        let renderers = || renderer_pool(&asked.program, &asked.configuration, cores);
        let pool = || Ok((runtime.block_on(renderers())?, runtime.clone()));
        prepare(&asked, pool)
    })??;
    let recovered = desk.recover(&prepared, request.configuration.schedule.silence_limit)?;
    let asked = request.clone();
    let mut prepared = desk.prepare(move || prepared.restore(&asked, recovered).map(|()| prepared))??;

    let (known, elapsed) = (prepared.restored.len(), start.elapsed());
    tracing::info!(pages = prepared.plan.pages(), known, ?elapsed, "the run is prepared");
    let mut coordinator = Coordinator::new(&mut prepared, desk.post.size(), settings, request, start, time_left)
        .map_err(RunError::Runtime)?;
    desk.read(&mut coordinator, &prepared.plan.run_id, &request.run_directory)?;
    let ended = coordinator.end().ok_or(RunError::Busy)?;
    let lost = ended.lost.clone();
    let run_directory = request.run_directory.clone();
    let report = desk.meanwhile(RunPhase::Ending, move || conclude(&run_directory, &prepared, &ended))??;
    desk.farewell(&lost)?;
    Ok(report)
}

/// Rank 0's main thread: the conversation and its own worker.
struct Desk<'a, 'b, T> {
    post: &'a mut Post<'b, T>,
    worker: Worker,
    /// What ranks have said before there was a coordinator.
    held: Vec<(RankId, ToCoordinator)>,
    status: StatusFile,
    /// When the run must have ended.
    stop_before: Option<Instant>,
}

impl<T: Transport> Desk<'_, '_, T> {
    /// Does `work` on another thread and keeps the conversation alive meanwhile. After an error the work is left to
    /// itself: the process ends.
    fn meanwhile<R: Send + 'static>(
        &mut self,
        phase: RunPhase,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, RunError> {
        let thread = std::thread::Builder::new().name("bocr-rank-0".into()).spawn(work).map_err(RunError::Runtime)?;
        let mut next_status = Instant::now() + STATUS_INTERVAL;
        let mut idle = Idle::new();
        while !thread.is_finished() {
            let busy = self.listen(idle.wait())?;
            if phase == RunPhase::Preparing {
                self.obey_a_stop()?;
            }
            if Instant::now() >= next_status {
                next_status += STATUS_INTERVAL;
                self.status.write(phase, None);
            }
            idle.after(busy);
        }
        thread.join().map_err(|_| RunError::Busy)
    }

    /// [`Desk::meanwhile`] before the first page.
    fn prepare<R: Send + 'static>(&mut self, work: impl FnOnce() -> R + Send + 'static) -> Result<R, RunError> {
        self.meanwhile(RunPhase::Preparing, work)
    }

    /// Before the first page there is nothing to call back or to seal.
    fn obey_a_stop(&self) -> Result<(), RunError> {
        let asked = self.held.iter().find_map(|(_, message)| match message {
            ToCoordinator::StopRequested(reason, _) => Some(*reason),
            _ => None,
        });
        let late = self.stop_before.is_some_and(|end| Instant::now() >= end).then_some(StopReason::Deadline);
        asked.or(late).map_or(Ok(()), |reason| Err(RunError::StoppedEarly(reason)))
    }

    /// Holds what is said; whether anything was.
    fn listen(&mut self, wait: Duration) -> Result<bool, RunError> {
        let before = self.held.len();
        let own = self.worker.poll(wait)?;
        self.held.extend(own.into_iter().map(|message| (RankId::COORDINATOR, message)));
        while let Some(said) = self.post.receive::<ToCoordinator>()? {
            if said.1 != ToCoordinator::Alive {
                self.held.push(said);
            }
        }
        self.post.keep_alive()?;
        self.post.progress();
        Ok(self.held.len() > before)
    }

    fn tell(&mut self, rank: RankId, message: ToWorker) -> Result<(), RunError> {
        match rank {
            RankId::COORDINATOR => self.worker.handle(message),
            _ => self.post.send(rank, &message),
        }
    }

    /// Lets all ranks that are there seal and read what earlier starts left.
    fn recover(&mut self, prepared: &Prepared, silence_limit: Duration) -> Result<Collected, RunError> {
        if prepared.leftovers.is_empty() {
            return Ok(Collected::from_ranks(Vec::new()));
        }
        let roll_call = Instant::now() + ROLL_CALL;
        while self.present().len() < self.post.size() as usize && Instant::now() < roll_call {
            self.listen(Duration::from_millis(1))?;
        }
        let present = self.present();
        let ranks = NonZeroUsize::new(present.len()).unwrap_or(NonZeroUsize::MIN);
        let shares = prepared.leftovers.clone().shares(ranks);
        let mut awaited = Vec::new();
        for (rank, share) in present.into_iter().zip(shares) {
            if !share.is_empty() {
                let run_id = prepared.plan.run_id.clone();
                self.tell(rank, ToWorker::Recover { run_id, share })?;
                awaited.push(rank);
            }
        }
        let mut collected = Collected::from_ranks(awaited);
        let mut idle = Idle::new();
        let mut next_status = Instant::now();
        while let Some(awaited) = collected.awaits() {
            let busy = self.listen(idle.wait())?;
            for (rank, part) in self.take_recovered() {
                collected.add(rank, part);
            }
            self.obey_a_stop()?;
            if self.post.is_silent(awaited) {
                return Err(RunError::RankSilent { rank: awaited, limit: silence_limit });
            }
            if Instant::now() >= next_status {
                next_status += STATUS_INTERVAL;
                self.status.write(RunPhase::Preparing, None);
            }
            idle.after(busy);
        }
        Ok(collected)
    }

    /// Ranks that have introduced themselves.
    fn present(&self) -> Vec<RankId> {
        let introduced = |message: &ToCoordinator| matches!(message, ToCoordinator::Hello(_));
        self.held.iter().filter(|(_, message)| introduced(message)).map(|(rank, _)| *rank).collect()
    }

    fn take_recovered(&mut self) -> Vec<(RankId, RecoveredPart)> {
        let mut parts = Vec::new();
        for (rank, message) in std::mem::take(&mut self.held) {
            match message {
                ToCoordinator::Recovered(part) => parts.push((rank, part)),
                other => self.held.push((rank, other)),
            }
        }
        parts
    }

    /// Deals pages until every rank has sealed what it read.
    fn read(&mut self, coordinator: &mut Coordinator, run_id: &str, run_directory: &Path) -> Result<(), RunError> {
        let stop_file = StopFile::watch(run_directory).map_err(RunError::Runtime)?;
        let mut out: Outgoing = Vec::new();
        let begin = ToWorker::Begin { run_id: run_id.to_owned() };
        out.extend((0..self.post.size()).map(|rank| (RankId(rank), begin.clone())));
        let mut idle = Idle::new();
        while !coordinator.is_over() {
            let busy = self.listen(idle.wait())?;
            for (rank, message) in std::mem::take(&mut self.held) {
                coordinator.handle(rank, message, &mut out)?;
            }
            for rank in self.post.take_heard() {
                coordinator.heard(rank, &mut out);
            }
            coordinator.tick(stop_file.is_there(), &self.status, &mut out);
            for (rank, message) in out.drain(..) {
                self.tell(rank, message)?;
            }
            self.post.progress();
            idle.after(busy);
        }
        self.status.write_last(RunPhase::Ending, coordinator.snapshot());
        Ok(())
    }

    /// Lets the ranks go. With a rank lost nobody waits long for messages to leave.
    fn farewell(self, lost: &BTreeSet<RankId>) -> Result<(), RunError> {
        let mut idle = Idle::new();
        for rank in (1..self.post.size()).map(RankId).filter(|rank| !lost.contains(rank)) {
            self.post.send(rank, &ToWorker::Leave)?;
        }
        let last = Instant::now() + FAREWELL;
        while !self.post.progress() && (lost.is_empty() || Instant::now() < last) {
            std::thread::sleep(idle.wait());
            idle.after(false);
        }
        Ok(())
    }
}

/// Writes the catalogue, the report and the mark of an end. A run that stops early, perhaps because the disk is full,
/// ends as it should without them: the next start writes them.
fn conclude(run_directory: &Path, prepared: &Prepared, ended: &Ended) -> Result<EndReport, RunError> {
    let report = EndReport::new(
        &prepared.plan.run_id,
        ended.outcome,
        ended.scheduler.counts(),
        prepared.documents(),
        prepared.refused(),
        ended.elapsed,
        &ended.summaries,
    )
    .without(ended.lost.iter().copied().collect())
    .with_turns(ended.turns);
    match write_conclusion(run_directory, prepared, &report, ended) {
        Err(error) if matches!(ended.outcome, Outcome::Stopped(_)) => tracing::warn!("{}", chain(&error)),
        result => result?,
    }
    Ok(report)
}

fn write_conclusion(
    run_directory: &Path,
    prepared: &Prepared,
    report: &EndReport,
    ended: &Ended,
) -> Result<(), RunError> {
    let output = |source| RunError::Output { path: run_directory.to_owned(), source };
    catalogue::write(run_directory, &prepared.plan.documents)?;
    if ended.outcome == Outcome::Complete {
        again::forget(run_directory)?;
    }
    // A start that found everything settled leaves the report of the start that did it.
    if !report.did_nothing() || !run_directory.join(REPORT_FILE).exists() {
        report.write(run_directory).map_err(output)?;
    }
    let finished = Finished {
        exit_code: report.exit_code,
        outcome: report.outcome,
        again: matches!(ended.outcome, Outcome::Stopped(StopReason::RankSilent(_))),
        silent_hosts: ended.silent_hosts.clone(),
    };
    finished.write(run_directory).map_err(output)
}
