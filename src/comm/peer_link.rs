//! A rank's link to its peers: typed messages over the transport, signs of life, and which ranks have become silent.
//!
//! MPI does not report a cut link, at least not within the 25 s that were observed (Open MPI 4.1.4:
//! `docs/facts/mpi.md`, "When a rank dies"). So every rank sends a message at least every sixth of the silence limit.
//! Rank 0 gives up a rank that it has not heard from for the limit. A rank that has not heard from rank 0 for the limit
//! ends, so that it does not write beside its successor.
//!
//! The main thread of a rank sends its signs of life, but pages are read by its task side. So a sign of life tells the
//! progress of the task side too, and one that tells none does not count. The task side of rank 0 is checked by rank 0.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    codec::{CodecError, decode, encode},
    message::{Message, ToCoordinator, ToWorker},
    transport::Transport,
};
use crate::sys::seconds_text;
use crate::{model::RankId, sys::ExitCode};
use rustix::process::{Pid, getppid};

/// Signs of life per silence limit: several may be late.
const BEATS: u32 = 6;

/// The link to the other ranks failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Ranks do not understand each other's messages.
    #[error("cannot read or write a message between ranks")]
    Codec(#[from] CodecError),
    /// The process that started this rank has ended.
    #[error("mpirun, which started this rank, has ended: run the same command again to continue")]
    LauncherGone,
    /// Rank 0 sent nothing for this long.
    #[error("rank 0 sent nothing for {}: run the same command again to continue", seconds_text(*.0))]
    CoordinatorSilent(Duration),
    /// The task side of rank 0 made no progress for this long.
    #[error(
        "the tasks of rank 0 made no progress for {}, because the threads that run them hang: run the same command \
         again to continue", seconds_text(*.0)
    )]
    TasksHang(Duration),
}

impl LinkError {
    /// The exit code: 75 if the same command continues, otherwise 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            LinkError::Codec(_) => ExitCode::Failure,
            LinkError::LauncherGone | LinkError::CoordinatorSilent(_) | LinkError::TasksHang(_) => {
                ExitCode::StoppedEarly
            }
        }
    }
}

/// A rank's link to its peers.
pub struct PeerLink<'a, T> {
    transport: &'a mut T,
    silence_limit: Duration,
    next_beat: Instant,
    /// When each rank was last heard from; for rank 0 itself, when its task side last made progress.
    heard: Vec<Instant>,
    /// The last progress that each rank told of its task side.
    task_beats: Vec<Option<u64>>,
    /// Ranks heard from since the last call of [`PeerLink::take_heard`].
    lately: BTreeSet<RankId>,
    /// The process that started this one under MPI. A rank without its launcher must end.
    launcher: Option<Option<Pid>>,
}

impl<'a, T: Transport> PeerLink<'a, T> {
    /// The link over `transport`. Under a launcher, the rank ends when its parent process ends.
    pub fn new(transport: &'a mut T, silence_limit: Duration, under_launcher: bool) -> Self {
        let now = Instant::now();
        let launcher = under_launcher.then(getppid);
        let ranks = transport.size() as usize;
        PeerLink {
            transport,
            silence_limit,
            next_beat: now,
            heard: vec![now; ranks],
            task_beats: vec![None; ranks],
            lately: BTreeSet::new(),
            launcher,
        }
    }

    /// This rank.
    pub fn rank(&self) -> RankId {
        self.transport.rank()
    }

    /// Number of ranks.
    pub fn size(&self) -> u32 {
        self.transport.size()
    }

    /// Puts a message into the outbox of a peer.
    ///
    /// # Errors
    /// The message cannot be encoded.
    pub fn send<M: Message>(&mut self, to: RankId, message: &M) -> Result<(), LinkError> {
        self.transport.send(to, encode(message)?);
        Ok(())
    }

    /// The next message that has arrived, with its sender.
    ///
    /// # Errors
    /// The message cannot be decoded.
    pub fn receive<M: Message>(&mut self) -> Result<Option<(RankId, M)>, LinkError> {
        let Some((from, frame)) = self.transport.receive() else { return Ok(None) };
        let message: M = decode(&frame)?;
        if message.task_beats().is_none_or(|beats| self.makes_progress(from, beats)) {
            self.heard[from.0 as usize] = Instant::now();
            self.lately.insert(from);
        } else {
            let limit = seconds_text(self.silence_limit);
            tracing::warn!("{from} sends signs of life, but its tasks make no progress: after {limit} it is lost");
        }
        Ok(Some((from, message)))
    }

    /// Notes the progress of a rank's task side; false if there is none since the last time.
    fn makes_progress(&mut self, rank: RankId, beats: u64) -> bool {
        self.task_beats[rank.0 as usize].replace(beats) != Some(beats)
    }

    /// Ranks heard from since the last call.
    pub fn take_heard(&mut self) -> BTreeSet<RankId> {
        std::mem::take(&mut self.lately)
    }

    /// Whether another rank has not been heard from for the silence limit.
    pub fn is_silent(&self, rank: RankId) -> bool {
        rank != self.rank() && self.is_late(rank)
    }

    fn is_late(&self, rank: RankId) -> bool {
        self.heard[rank.0 as usize].elapsed() > self.silence_limit
    }

    /// Advances outgoing messages; true when all have been sent.
    pub fn progress(&mut self) -> bool {
        self.transport.progress()
    }

    /// Sends signs of life when they are due, and checks those of the launcher and of rank 0. `task_beats` is how often
    /// this rank's task side has shown progress.
    ///
    /// # Errors
    /// The launcher has ended, rank 0 has been silent for the limit, or its task side hangs.
    pub fn keep_alive(&mut self, task_beats: u64) -> Result<(), LinkError> {
        let now = Instant::now();
        if now < self.next_beat {
            return Ok(());
        }
        self.next_beat = now + self.silence_limit / BEATS;
        if self.launcher.is_some_and(|launcher| launcher != getppid()) {
            return Err(LinkError::LauncherGone);
        }
        if self.rank() == RankId::COORDINATOR {
            if self.makes_progress(RankId::COORDINATOR, task_beats) {
                self.heard[0] = now;
            } else if self.is_late(RankId::COORDINATOR) {
                return Err(LinkError::TasksHang(self.silence_limit));
            }
            for rank in 1..self.size() {
                self.send(RankId(rank), &ToWorker::Alive)?;
            }
            return Ok(());
        }
        if self.is_silent(RankId::COORDINATOR) {
            return Err(LinkError::CoordinatorSilent(self.silence_limit));
        }
        self.send(RankId::COORDINATOR, &ToCoordinator::Alive { task_beats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::InProcess;

    const LIMIT: Duration = Duration::from_millis(200);

    /// Lets both ranks exchange signs of life for twice the limit. `beats` counts the progress of rank 0 and of rank 1.
    fn after_twice_the_limit(beats: impl Fn(u64) -> [u64; 2]) -> (bool, Result<(), LinkError>) {
        let [mut first, mut second] = InProcess::set(2).try_into().unwrap();
        let mut coordinator = PeerLink::new(&mut first, LIMIT, false);
        let mut worker = PeerLink::new(&mut second, LIMIT, false);
        let since = Instant::now();
        let mut result = Ok(());
        for turn in 0.. {
            let [of_coordinator, of_worker] = beats(turn);
            result = result.and_then(|()| coordinator.keep_alive(of_coordinator));
            worker.keep_alive(of_worker).unwrap();
            while coordinator.receive::<ToCoordinator>().unwrap().is_some() {}
            while worker.receive::<ToWorker>().unwrap().is_some() {}
            if result.is_err() || since.elapsed() > 2 * LIMIT {
                break;
            }
            std::thread::yield_now();
        }
        (coordinator.is_silent(RankId(1)), result)
    }

    #[test]
    fn a_rank_whose_tasks_make_no_progress_is_silent_whatever_its_main_thread_sends() {
        let (silent, result) = after_twice_the_limit(|turn| [turn, turn]);
        assert!(!silent && result.is_ok());
        let (silent, result) = after_twice_the_limit(|turn| [turn, 7]);
        assert!(silent && result.is_ok());
        let (silent, result) = after_twice_the_limit(|turn| [7, turn]);
        assert!(!silent && matches!(result, Err(LinkError::TasksHang(LIMIT))));
    }
}
