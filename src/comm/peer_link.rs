//! A rank's link to its peers: typed messages over the transport, signs of life, and which ranks have become silent.
//!
//! MPI does not report a cut link, at least not within the 25 s that were observed (Open MPI 4.1.4:
//! `docs/facts/mpi.md`, "When a rank dies"). So every rank sends a message at least every sixth of the silence limit.
//! Rank 0 gives up a rank that it has not heard from for the limit. A rank that has not heard from rank 0 for the limit
//! ends, so that it does not write beside its successor.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustix::process::{Pid, getppid};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    codec::{CodecError, decode, encode},
    message::{ToCoordinator, ToWorker},
    transport::Transport,
};
use crate::sys::seconds_text;
use crate::{model::RankId, sys::ExitCode};

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
}

impl LinkError {
    /// The exit code: 75 if the same command continues, otherwise 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            LinkError::Codec(_) => ExitCode::Failure,
            LinkError::LauncherGone | LinkError::CoordinatorSilent(_) => ExitCode::StoppedEarly,
        }
    }
}

/// A rank's link to its peers.
pub struct PeerLink<'a, T> {
    transport: &'a mut T,
    silence_limit: Duration,
    next_beat: Instant,
    /// When each rank was last heard from. The entry of this rank is not used.
    heard: Vec<Instant>,
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
        let heard = vec![now; transport.size() as usize];
        PeerLink { transport, silence_limit, next_beat: now, heard, lately: BTreeSet::new(), launcher }
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
    pub fn send<M: Serialize>(&mut self, to: RankId, message: &M) -> Result<(), LinkError> {
        self.transport.send(to, encode(message)?);
        Ok(())
    }

    /// The next message that has arrived, with its sender.
    ///
    /// # Errors
    /// The message cannot be decoded.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<(RankId, M)>, LinkError> {
        let Some((from, frame)) = self.transport.receive() else { return Ok(None) };
        self.heard[from.0 as usize] = Instant::now();
        self.lately.insert(from);
        Ok(Some((from, decode(&frame)?)))
    }

    /// Ranks heard from since the last call.
    pub fn take_heard(&mut self) -> BTreeSet<RankId> {
        std::mem::take(&mut self.lately)
    }

    /// Whether another rank has not been heard from for the silence limit.
    pub fn is_silent(&self, rank: RankId) -> bool {
        rank != self.rank() && self.heard[rank.0 as usize].elapsed() > self.silence_limit
    }

    /// Advances outgoing messages; true when all have been sent.
    pub fn progress(&mut self) -> bool {
        self.transport.progress()
    }

    /// Sends signs of life when they are due, and checks those of the launcher and of rank 0.
    ///
    /// # Errors
    /// The launcher has ended, or rank 0 has been silent for the limit.
    pub fn keep_alive(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        if now < self.next_beat {
            return Ok(());
        }
        self.next_beat = now + self.silence_limit / BEATS;
        if self.launcher.is_some_and(|launcher| launcher != getppid()) {
            return Err(LinkError::LauncherGone);
        }
        if self.rank() == RankId::COORDINATOR {
            for rank in 1..self.size() {
                self.send(RankId(rank), &ToWorker::Alive)?;
            }
            return Ok(());
        }
        if self.is_silent(RankId::COORDINATOR) {
            return Err(LinkError::CoordinatorSilent(self.silence_limit));
        }
        self.send(RankId::COORDINATOR, &ToCoordinator::Alive)
    }
}
