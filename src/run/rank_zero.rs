//! Rank 0 from its start to the end of the run, in phases. Its main thread also runs its own worker. It waits for no
//! disk: all work that waits runs in other threads.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use super::{
    background::{Background, Pending},
    conclusion::conclude,
    coordinator::{Coordinator, Outgoing},
    error::RunError,
    gathering::Gathering,
    logging::with_log_count,
    preparation::Prepared,
    recovering::Recovering,
    request::RunRequest,
    roster::Roster,
    stop_file::StopFile,
};
use crate::{
    comm::{Message, PeerLink, PollBackoff, ToCoordinator, ToWorker, Transport},
    model::{RankId, StopReason},
    report::{EndReport, RunPhase, StatusFile},
    sys::seconds_text,
    worker::Worker,
};

/// Longest wait for the last messages to be sent if a rank is lost.
const LAST_MESSAGES_LIMIT: Duration = Duration::from_secs(10);
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Messages received from the ranks, including this one.
type Heard = Vec<(RankId, ToCoordinator)>;

/// Runs rank 0 to the end of the run.
pub(super) fn coordinate(
    link: &mut PeerLink<impl Transport>,
    worker: Worker,
    request: &RunRequest,
) -> Result<EndReport, RunError> {
    let mut rank_zero = RankZero {
        link,
        worker,
        request,
        background: Background::start().map_err(RunError::Runtime)?,
        status: StatusFile::new(&request.home).map_err(RunError::Runtime)?,
        next_status: Instant::now() + STATUS_INTERVAL,
        start: Instant::now(),
        time_left: None,
    };
    let mut phase = rank_zero.first_phase()?;
    let mut backoff = PollBackoff::new();
    loop {
        let heard = rank_zero.listen(backoff.wait())?;
        backoff.after(!heard.is_empty());
        phase = match phase {
            Phase::Gathering(gathering) => rank_zero.gather(gathering, heard)?,
            Phase::Recovering(recovering) => rank_zero.recover(*recovering, heard)?,
            Phase::Reading(reading) => rank_zero.read(reading, heard)?,
            Phase::Concluding(concluding) => match concluding.report.poll()? {
                None => Phase::Concluding(concluding),
                Some(report) => {
                    let report = report?;
                    rank_zero.dismiss_ranks(&concluding.lost)?;
                    return Ok(report);
                }
            },
        };
        rank_zero.write_status(&phase);
    }
}

/// Phase of the run. Each phase owns what it needs.
enum Phase {
    /// The run directory is prepared; the ranks report.
    Gathering(Gathering),
    /// The ranks seal and read the files of earlier starts.
    Recovering(Box<Recovering>),
    /// Pages are dealt until every rank has sealed its shards.
    Reading(Box<Reading>),
    /// The catalogue and the report are written.
    Concluding(Concluding),
}

struct Reading {
    coordinator: Coordinator,
    prepared: Prepared,
    stop_file: StopFile,
}

struct Concluding {
    report: Pending<Result<EndReport, RunError>>,
    /// Ranks that became silent.
    lost: BTreeSet<RankId>,
}

/// Rank 0's main thread: it exchanges messages with all ranks and runs its own worker.
struct RankZero<'a, 'b, T> {
    link: &'a mut PeerLink<'b, T>,
    worker: Worker,
    request: &'a RunRequest,
    background: Background,
    status: StatusFile,
    next_status: Instant,
    start: Instant,
    /// Time that the run may take from its start; `None` without a limit or before it is known.
    time_left: Option<Duration>,
}

impl<T: Transport> RankZero<'_, '_, T> {
    fn first_phase(&self) -> Result<Phase, RunError> {
        let runtime = self.worker.runtime().clone();
        let mut gathering = Gathering::start(self.request, runtime, self.worker.cores(), &self.background);
        gathering.roster.record(RankId::COORDINATOR, ToCoordinator::Hello(self.worker.hello()))?;
        Ok(Phase::Gathering(gathering))
    }

    fn gather(&mut self, mut gathering: Gathering, heard: Heard) -> Result<Phase, RunError> {
        for (rank, message) in heard {
            gathering.roster.record(rank, message)?;
        }
        let prepared = gathering.poll()?;
        if let Some(left) = gathering.take_time_left() {
            self.time_left = left;
        }
        self.check_deadline()?;
        let Some(prepared) = prepared else { return Ok(Phase::Gathering(gathering)) };
        let recovering = Recovering::start(gathering.roster, prepared, self.request, &self.background);
        Ok(Phase::Recovering(Box::new(recovering)))
    }

    fn recover(&mut self, mut recovering: Recovering, heard: Heard) -> Result<Phase, RunError> {
        for (rank, message) in heard {
            recovering.record(rank, message)?;
        }
        self.check_deadline()?;
        if let Some(rank) = recovering.awaited_rank().filter(|rank| self.link.is_silent(*rank)) {
            return Err(RunError::RankSilent { rank, limit: self.request.configuration.schedule.silence_limit });
        }
        let mut out = Outgoing::new();
        let advanced = recovering.advance(self.link.size(), self.request, &self.background, &mut out)?;
        self.send_all(out)?;
        match advanced {
            ControlFlow::Continue(recovering) => Ok(Phase::Recovering(Box::new(recovering))),
            ControlFlow::Break((roster, prepared)) => self.begin_reading(roster, prepared),
        }
    }

    fn begin_reading(&mut self, roster: Roster, mut prepared: Prepared) -> Result<Phase, RunError> {
        let (known, elapsed) = (prepared.restored.len(), self.start.elapsed());
        tracing::info!(pages = prepared.plan.pages(), known, took = %seconds_text(elapsed), "the run is prepared");
        let (ranks, settings) = (self.link.size(), self.worker.hello().settings);
        let mut coordinator =
            Coordinator::new(&mut prepared, ranks, settings, self.request, self.start, self.time_left)
                .map_err(RunError::Runtime)?;
        let stop_file = StopFile::watch(&self.request.home).map_err(RunError::Runtime)?;
        let begin = ToWorker::Begin { run_id: prepared.plan.run_id.clone() };
        let mut out: Outgoing = (0..ranks).map(|rank| (RankId(rank), begin.clone())).collect();
        for (rank, message) in roster.into_messages() {
            coordinator.handle(rank, message, &mut out)?;
        }
        self.send_all(out)?;
        Ok(Phase::Reading(Box::new(Reading { coordinator, prepared, stop_file })))
    }

    fn read(&mut self, mut reading: Box<Reading>, heard: Heard) -> Result<Phase, RunError> {
        let mut out = Outgoing::new();
        let coordinator = &mut reading.coordinator;
        for (rank, message) in heard {
            coordinator.handle(rank, message, &mut out)?;
        }
        for rank in self.link.take_heard() {
            coordinator.heard_from(rank, &mut out);
        }
        coordinator.tick(reading.stop_file.request(), &self.status, &mut out);
        self.send_all(out)?;
        if !reading.coordinator.is_over() {
            return Ok(Phase::Reading(reading));
        }
        let Reading { coordinator, prepared, .. } = *reading;
        self.status.write_last(RunPhase::Ending, coordinator.snapshot());
        let ended = coordinator.end().ok_or(RunError::Busy)?;
        let (lost, run_directory) = (ended.lost.clone(), self.request.run_directory.clone());
        // The job drops its arguments before its result is sent: the lock is free when the report arrives.
        let report = self.background.run(move || conclude(&run_directory, &prepared, &ended));
        Ok(Phase::Concluding(Concluding { report, lost }))
    }

    /// Waits up to `wait` for messages of this rank's worker, then receives the messages of the other ranks.
    fn listen(&mut self, wait: Duration) -> Result<Heard, RunError> {
        let own = self.worker.poll(wait)?;
        let own = own.into_iter().map(with_log_count);
        let mut heard: Heard = own.map(|message| (RankId::COORDINATOR, message)).collect();
        while let Some((rank, message)) = self.link.receive::<ToCoordinator>()? {
            if message.task_beats().is_none() {
                heard.push((rank, message));
            }
        }
        self.link.keep_alive(self.worker.task_beats())?;
        self.link.progress();
        Ok(heard)
    }

    fn send_all(&mut self, out: Outgoing) -> Result<(), RunError> {
        for (rank, message) in out {
            match rank {
                RankId::COORDINATOR => self.worker.handle(message)?,
                _ => self.link.send(rank, &message)?,
            }
        }
        self.link.progress();
        Ok(())
    }

    /// Ends the run if its time is over. Before the first page there is nothing to recall or to seal.
    fn check_deadline(&self) -> Result<(), RunError> {
        match self.time_left {
            Some(left) if self.start.elapsed() >= left => Err(RunError::StoppedEarly(StopReason::Deadline)),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes the status in the phases in which the coordinator does not.
    fn write_status(&mut self, phase: &Phase) {
        let phase = match phase {
            Phase::Gathering(_) | Phase::Recovering(_) => RunPhase::Preparing,
            Phase::Reading(_) => return,
            Phase::Concluding(_) => RunPhase::Ending,
        };
        let now = Instant::now();
        if now >= self.next_status {
            self.next_status = now + STATUS_INTERVAL;
            self.status.write(phase, None);
        }
    }

    /// Tells the ranks to end. If a rank is lost, the wait for messages to be sent is limited.
    fn dismiss_ranks(&mut self, lost: &BTreeSet<RankId>) -> Result<(), RunError> {
        let mut backoff = PollBackoff::new();
        for rank in (1..self.link.size()).map(RankId).filter(|rank| !lost.contains(rank)) {
            self.link.send(rank, &ToWorker::Leave)?;
        }
        let last = Instant::now() + LAST_MESSAGES_LIMIT;
        while !self.link.progress() && (lost.is_empty() || Instant::now() < last) {
            std::thread::sleep(backoff.wait());
            backoff.after(false);
        }
        Ok(())
    }
}
