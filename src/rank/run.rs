//! A run from start to exit code.

use std::{
    io::Write,
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    comm::{InProcess, MpiTransport, ToCoordinator, ToWorker, Transport, launched_by_mpi},
    model::{RankId, configuration::Configuration, error::chain},
    report::EndReport,
};

use super::{
    again::Again, error::RunError, logging, post::Post, preparation::Inputs, pump::Idle, rank_zero::coordinate,
    walltime::TimeLimit, worker::Worker,
};

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The `bocr` program: a rank starts it again as renderer child, guard and stand-in.
    pub program: PathBuf,
    /// The inputs, beside those that earlier starts had.
    pub inputs: Inputs,
    /// The run directory, on a file system that all ranks share.
    pub run_directory: PathBuf,
    /// The effective configuration.
    pub configuration: Configuration,
    /// Whether the configuration may differ from that of earlier starts where that cannot mix results.
    pub accept_configuration: bool,
    /// Settled pages that are to be read again.
    pub again: Vec<Again>,
    /// Threads for planning.
    pub threads: NonZeroUsize,
    /// When the run must have ended.
    pub time_limit: Option<TimeLimit>,
    /// How long to wait for an earlier start that is about to leave the run directory.
    pub wait: Duration,
    /// How long servers outlive a killed rank, to be adopted by the next start.
    pub linger: Duration,
}

/// Runs this process's rank to its end. Rank 0 returns the run's report, the others `None`.
///
/// # Errors
/// Whatever keeps this rank from working. Under MPI all other ranks are ended too: the launcher starts again.
pub fn run(request: &RunRequest) -> Result<Option<EndReport>, RunError> {
    logging::end_the_process_on_panic();
    if !launched_by_mpi() {
        let [mut alone]: [InProcess; 1] = InProcess::set(1).try_into().unwrap_or_else(|_| unreachable!("a set of one"));
        return run_on(&mut alone, request);
    }
    let mut transport = MpiTransport::start()?;
    let result = run_on(&mut transport, request);
    if result.as_ref().is_ok_and(|report| report.as_ref().is_some_and(|report| !report.lost_ranks.is_empty())) {
        // MPI would wait for the lost rank for ever. Without a farewell the launcher ends the other ranks, which have
        // nothing left to do.
        std::mem::forget(transport);
    }
    result
}

/// Runs one rank over a transport: what [`run`] does after choosing it.
///
/// # Errors
/// As [`run`].
pub fn run_on(transport: &mut impl Transport, request: &RunRequest) -> Result<Option<EndReport>, RunError> {
    let rank = transport.rank();
    let result = start_worker(transport, request).and_then(|worker| {
        let mut post = Post::new(transport, request.configuration.schedule.silence_limit, launched_by_mpi());
        if rank == RankId::COORDINATOR {
            coordinate(&mut post, worker, request).map(Some)
        } else {
            follow(&mut post, worker).map(|()| None)
        }
    });
    if let Err(error) = &result {
        tracing::info!("this rank ends: {}", chain(error));
        if transport.size() > 1 {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            // The launcher that reads this may be gone.
            let _ = writeln!(std::io::stderr(), "bocr: {rank} on {host}: {}", chain(error));
            end_if_mpi_cannot();
            transport.abort(i32::from(error.exit_code()));
        }
    }
    result
}

fn start_worker(transport: &impl Transport, request: &RunRequest) -> Result<Worker, RunError> {
    let output = |source| RunError::Output { path: request.run_directory.clone(), source };
    std::fs::create_dir_all(&request.run_directory).map_err(output)?;
    logging::start(&request.run_directory, transport.rank()).map_err(output)?;
    Worker::start(transport.rank(), transport.size(), transport.local(), request)
}

/// A worker's loop: local events out, messages in.
fn follow(post: &mut Post<impl Transport>, mut worker: Worker) -> Result<(), RunError> {
    post.send(RankId::COORDINATOR, &ToCoordinator::Hello(worker.hello()))?;
    let mut idle = Idle::new();
    let mut leaving = false;
    loop {
        let mut busy = false;
        for message in worker.poll(idle.wait())? {
            post.send(RankId::COORDINATOR, &message)?;
            busy = true;
        }
        while let Some((_, message)) = post.receive::<ToWorker>()? {
            busy = true;
            leaving |= message == ToWorker::Leave;
            worker.handle(message)?;
        }
        if post.progress() && leaving {
            return Ok(());
        }
        post.keep_alive()?;
        idle.after(busy);
    }
}

/// MPI's own abort asks a launcher that may be gone or cut off: without an answer the process ends all the same.
fn end_if_mpi_cannot() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let since = Instant::now();
    std::thread::spawn(move || {
        while since.elapsed() < PATIENCE {
            std::thread::sleep(PATIENCE / 10);
        }
        std::process::abort();
    });
}
