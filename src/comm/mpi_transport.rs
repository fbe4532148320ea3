//! MPI, from the main thread only: non-blocking sends and receives, matched probes, no collective calls after the start.

use std::{
    collections::{BTreeMap, VecDeque},
    env, fs, io,
    os::fd::{BorrowedFd, RawFd},
};

use mpi::{
    Threading,
    environment::Universe,
    point_to_point::{Message, Status},
    request::{Request, StaticScope},
    topology::{Process, SimpleCommunicator},
    traits::{Communicator, Destination, Equivalence, Source},
};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

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
    /// The open files of this process cannot be listed.
    #[error("cannot keep the connections of mpirun from the servers of this rank")]
    Descriptors(#[from] io::Error),
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
    outboxes: Vec<VecDeque<Transfer>>,
    /// Frames whose beginning has arrived, by sender and in order. The rest of one never arrives if its sender is cut
    /// off.
    arriving: BTreeMap<RankId, VecDeque<Transfer>>,
    /// Declared last, so that it is dropped last: MPI must end after everything that uses it.
    _universe: Universe,
}

/// A frame that MPI sends or receives.
struct Transfer {
    request: Request<'static, [u8], StaticScope>,
    /// Made from a box, which MPI uses until the request has completed.
    frame: *mut [u8],
}

impl Transfer {
    fn send(to: &Process<'_>, frame: Vec<u8>) -> Transfer {
        let frame = Box::into_raw(frame.into_boxed_slice());
        // SAFETY: the pointer is of a box that is freed only after the request has completed.
        let request = to.immediate_send(StaticScope, unsafe { &*frame });
        Transfer { request, frame }
    }

    fn receive(message: Message, status: &Status) -> Transfer {
        let length = status.count(u8::equivalent_datatype());
        let frame = Box::into_raw(vec![0; usize::try_from(length).unwrap_or_default()].into_boxed_slice());
        // SAFETY: as in `send`, and nothing else refers to the box.
        let request = message.immediate_matched_receive_into(StaticScope, unsafe { &mut *frame });
        Transfer { request, frame }
    }

    /// The frame, if the transfer has completed.
    fn complete(self) -> Result<Vec<u8>, Transfer> {
        let Transfer { request, frame } = self;
        match request.test() {
            // SAFETY: the pointer is that of `Box::into_raw`, MPI no longer uses it, and the request that held the
            // only reference is consumed.
            Ok(_) => Ok(unsafe { Box::from_raw(frame) }.into_vec()),
            Err(request) => Err(Transfer { request, frame }),
        }
    }
}

/// Removes the first transfer of a queue and gives its frame, if it has completed.
fn take_first(queue: &mut VecDeque<Transfer>) -> Option<Vec<u8>> {
    let completed = queue.pop_front()?.complete();
    completed.map_err(|transfer| queue.push_front(transfer)).ok()
}

/// Keeps the open files of MPI and of its launcher from the children of this process. A server that outlives its rank
/// would hold the connections of the rank to MPICH's launcher, which then does not notice the death of the rank
/// (`docs/facts/mpi.md`, "Children of a rank").
fn keep_descriptors_from_children() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // SAFETY: it is borrowed for one call, which only sets a flag. A thread of MPI may have closed it just now.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            match fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
                Ok(()) | Err(Errno::BADF) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

impl MpiTransport {
    /// Initialises MPI on this thread, which must be the main thread and the only one to use the transport.
    ///
    /// # Errors
    /// MPI is already initialised, it provides no thread level that allows other threads, or the open files of this
    /// process cannot be listed.
    pub fn start() -> Result<Self, MpiError> {
        let (universe, provided) =
            mpi::initialize_with_threading(Threading::Funneled).ok_or(MpiError::AlreadyInitialized)?;
        if provided < Threading::Funneled {
            return Err(MpiError::ThreadLevel(provided));
        }
        keep_descriptors_from_children()?;
        let world = universe.world();
        let node = world.split_shared(world.rank());
        let local = LocalPosition { rank: node.rank() as u32, size: node.size() as u32 };
        let outboxes = (0..world.size()).map(|_| VecDeque::new()).collect();
        Ok(MpiTransport { world, local, outboxes, arriving: BTreeMap::new(), _universe: universe })
    }

    /// Whether `MPI_Finalize` may wait for ever although all ranks call it: with MPICH on several hosts
    /// (`docs/facts/mpi.md`, "The end of MPICH").
    pub fn may_hang_in_finalize(&self) -> bool {
        let is_mpich = mpi::environment::library_version().is_ok_and(|version| version.contains("MPICH"));
        is_mpich && self.local.size < self.size()
    }

    /// The first frame of a sender that has arrived as a whole.
    fn take_arrived(&mut self) -> Option<(RankId, Vec<u8>)> {
        let found = self.arriving.iter_mut().find_map(|(from, queue)| Some((*from, take_first(queue)?)));
        self.arriving.retain(|_, queue| !queue.is_empty());
        found
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
        let transfer = Transfer::send(&self.world.process_at_rank(to.0 as i32), frame);
        self.outboxes[to.0 as usize].push_back(transfer);
    }

    fn receive(&mut self) -> Option<(RankId, Vec<u8>)> {
        loop {
            if let Some(arrived) = self.take_arrived() {
                return Some(arrived);
            }
            let (message, status) = self.world.any_process().immediate_matched_probe()?;
            let from = RankId(status.source_rank() as u32);
            self.arriving.entry(from).or_default().push_back(Transfer::receive(message, &status));
        }
    }

    fn progress(&mut self) -> bool {
        for outbox in &mut self.outboxes {
            while take_first(outbox).is_some() {}
        }
        self.outboxes.iter().all(VecDeque::is_empty)
    }

    fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }
}

impl Drop for MpiTransport {
    fn drop(&mut self) {
        // A request that did not complete belongs to a peer that has ended. Its frame stays leaked on purpose, because
        // dropping an open request panics.
        let arriving = std::mem::take(&mut self.arriving).into_values();
        for transfer in self.outboxes.drain(..).chain(arriving).flatten() {
            std::mem::forget(transfer);
        }
    }
}
