//! MPI, from the main thread only: non-blocking sends, matched probes, no collective calls after the start.

use std::{collections::VecDeque, env, ptr};

use mpi::{
    Threading,
    environment::Universe,
    point_to_point::MatchedReceiveVec,
    request::{Request, StaticScope},
    topology::SimpleCommunicator,
    traits::{Communicator, Destination, Source},
};

use crate::model::RankId;

use super::transport::{LocalPosition, Transport};

/// MPI is not usable.
#[derive(Debug, thiserror::Error)]
pub enum MpiError {
    /// `MPI_Init` was called before.
    #[error("MPI is already initialised in this process")]
    AlreadyInitialized,
    /// The library does not provide the thread level that bocr needs.
    #[error("the MPI library only provides thread level {}, but bocr needs Funneled: unset OMPI_MPI_THREAD_LEVEL", level_name(*.0))]
    ThreadLevel(Threading),
}

fn level_name(level: Threading) -> &'static str {
    match level {
        Threading::Single => "Single",
        Threading::Funneled => "Funneled",
        Threading::Serialized => "Serialized",
        Threading::Multiple => "Multiple",
    }
}

/// Whether an MPI launcher started this process. Without one the process is a single rank and does not use MPI.
pub fn launched_by_mpi() -> bool {
    ["OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK", "PALS_RANKID", "MPI_LOCALNRANKS"]
        .iter()
        .any(|name| env::var_os(name).is_some())
}

/// A rank of `MPI_COMM_WORLD`.
///
/// Dropping it finalises MPI, which waits for all ranks.
pub struct MpiTransport {
    world: SimpleCommunicator,
    local: LocalPosition,
    /// One queue per peer, so that the queue of a dead peer does not block the others.
    outboxes: Vec<VecDeque<Outgoing>>,
    /// Declared last, so that it is dropped last: MPI must end after everything that uses it.
    _universe: Universe,
}

type Outgoing = Request<'static, [u8], StaticScope>;

impl MpiTransport {
    /// Initialises MPI on this thread, which must be the main thread and the only one to use the transport.
    ///
    /// # Errors
    /// MPI is already initialised, or it provides no thread level that allows other threads.
    pub fn start() -> Result<Self, MpiError> {
        let (universe, provided) =
            mpi::initialize_with_threading(Threading::Funneled).ok_or(MpiError::AlreadyInitialized)?;
        if provided < Threading::Funneled {
            return Err(MpiError::ThreadLevel(provided));
        }
        let world = universe.world();
        let node = world.split_shared(world.rank());
        let local = LocalPosition { rank: node.rank() as u32, size: node.size() as u32 };
        let outboxes = (0..world.size()).map(|_| VecDeque::new()).collect();
        Ok(MpiTransport { world, local, outboxes, _universe: universe })
    }
}

impl Transport for MpiTransport {
    fn rank(&self) -> RankId {
        RankId(self.world.rank() as u32)
    }

    fn size(&self) -> u32 {
        self.world.size() as u32
    }

    fn local(&self) -> LocalPosition {
        self.local
    }

    fn send(&mut self, to: RankId, frame: Vec<u8>) {
        let frame: &'static [u8] = Box::leak(frame.into_boxed_slice());
        let request = self.world.process_at_rank(to.0 as i32).immediate_send(StaticScope, frame);
        self.outboxes[to.0 as usize].push_back(request);
    }

    fn receive(&mut self) -> Option<(RankId, Vec<u8>)> {
        let (frame, status) = self.world.any_process().immediate_matched_probe()?.matched_receive_vec::<u8>();
        Some((RankId(status.source_rank() as u32), frame))
    }

    fn progress(&mut self) -> bool {
        let mut empty = true;
        for outbox in &mut self.outboxes {
            while let Some(request) = outbox.pop_front() {
                match request.test_with_data() {
                    // SAFETY: `send` leaked this very slice from a box, MPI no longer uses it, and the request that
                    // held the only reference is consumed.
                    Ok((_, frame)) => drop(unsafe { Box::from_raw(ptr::from_ref(frame).cast_mut()) }),
                    Err(request) => {
                        outbox.push_front(request);
                        empty = false;
                        break;
                    }
                }
            }
        }
        empty
    }

    fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }
}

impl Drop for MpiTransport {
    fn drop(&mut self) {
        // A request that did not complete belongs to a peer that has ended. Its frame stays leaked on purpose, because
        // dropping an open request panics.
        for request in self.outboxes.drain(..).flatten() {
            std::mem::forget(request);
        }
    }
}
