//! A rank's end of the conversation: typed messages over the transport, signs of life, and who has fallen silent.
//!
//! MPI tells nobody that a link was cut, for as long as anybody watched (25 s with Open MPI 4.1.4: `docs/facts/mpi.md`,
//! "When a rank dies"). So ranks speak at least every sixth part of the silence limit; rank 0 gives up a rank that it
//! has not heard of for the limit, and a rank that has not heard of rank 0 for so long ends itself, lest it write
//! beside its successor.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustix::process::{Pid, getppid};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    comm::{ToCoordinator, ToWorker, Transport, decode, encode},
    model::RankId,
};

use super::error::RunError;

/// Signs of life in a silence limit: several may be late.
const BEATS: u32 = 6;

/// A rank's end of the conversation.
pub(super) struct Post<'a, T> {
    transport: &'a mut T,
    silence_limit: Duration,
    next_beat: Instant,
    /// When each rank was last heard of; of itself a rank hears nothing.
    heard: Vec<Instant>,
    /// Ranks heard of since this was last asked for.
    lately: BTreeSet<RankId>,
    /// Who started this process under MPI: a rank without its launcher belongs to nobody.
    launcher: Option<Option<Pid>>,
}

impl<'a, T: Transport> Post<'a, T> {
    pub(super) fn new(transport: &'a mut T, silence_limit: Duration, under_launcher: bool) -> Self {
        let now = Instant::now();
        let launcher = under_launcher.then(getppid);
        let heard = vec![now; transport.size() as usize];
        Post { transport, silence_limit, next_beat: now, heard, lately: BTreeSet::new(), launcher }
    }

    pub(super) fn rank(&self) -> RankId {
        self.transport.rank()
    }

    pub(super) fn size(&self) -> u32 {
        self.transport.size()
    }

    pub(super) fn send<M: Serialize>(&mut self, to: RankId, message: &M) -> Result<(), RunError> {
        self.transport.send(to, encode(message)?);
        Ok(())
    }

    pub(super) fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<(RankId, M)>, RunError> {
        let Some((from, frame)) = self.transport.receive() else { return Ok(None) };
        self.heard[from.0 as usize] = Instant::now();
        self.lately.insert(from);
        Ok(Some((from, decode(&frame)?)))
    }

    /// Ranks heard of since the last call.
    pub(super) fn take_heard(&mut self) -> BTreeSet<RankId> {
        std::mem::take(&mut self.lately)
    }

    /// Whether another rank has not been heard of for the silence limit.
    pub(super) fn is_silent(&self, rank: RankId) -> bool {
        rank != self.rank() && self.heard[rank.0 as usize].elapsed() > self.silence_limit
    }

    /// Moves messages on; whether all are out.
    pub(super) fn progress(&mut self) -> bool {
        self.transport.progress()
    }

    /// Gives signs of life when it is time, and looks for those of the launcher and of rank 0.
    pub(super) fn keep_alive(&mut self) -> Result<(), RunError> {
        let now = Instant::now();
        if now < self.next_beat {
            return Ok(());
        }
        self.next_beat = now + self.silence_limit / BEATS;
        if self.launcher.is_some_and(|launcher| launcher != getppid()) {
            return Err(RunError::LauncherGone);
        }
        if self.rank() == RankId::COORDINATOR {
            for rank in 1..self.size() {
                self.send(RankId(rank), &ToWorker::Alive)?;
            }
            return Ok(());
        }
        if self.is_silent(RankId::COORDINATOR) {
            return Err(RunError::CoordinatorSilent(self.silence_limit));
        }
        self.send(RankId::COORDINATOR, &ToCoordinator::Alive)
    }
}
