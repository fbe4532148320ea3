//! A run from start to exit code.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    comm::{
        InProcess, MpiError, MpiTransport, PeerLink, PollBackoff, ToCoordinator, ToWorker, Transport, launched_by_mpi,
    },
    model::{RankId, error::chain},
    report::EndReport,
    sys::{host_name, remove_dead_segments, write_stderr},
    worker::{ResidentServers, Worker, WorkerRequest},
};

use super::{
    error::RunError,
    logging::{self, with_log_count},
    rank_zero::coordinate,
    request::RunRequest,
    settings,
};

/// Time for rank 0 to print its report before the other ranks end without `MPI_Finalize`.
const REPORT_TIME: Duration = Duration::from_secs(1);

/// Runs the rank of this process to its end. Rank 0 returns the run's report, the other ranks `None`.
///
/// # Errors
/// Any error that keeps this rank from working. Under MPI it also ends all other ranks; the launcher starts the next
/// attempt.
pub fn run(request: &RunRequest) -> Result<Option<EndReport>, RunError> {
    let has_lost_ranks =
        |report: &Option<EndReport>| report.as_ref().is_some_and(|report| !report.lost_ranks.is_empty());
    over_ranks(|mut transport| run_on(&mut transport, request), has_lost_ranks)
}

/// Does `work` on the rank of this process: over MPI, if mpirun has started it.
///
/// # Errors
/// MPI failed, or what `work` returns.
pub fn over_ranks<R, E: From<MpiError>>(
    work: impl FnOnce(&mut dyn Transport) -> Result<R, E>,
    has_lost_ranks: impl Fn(&R) -> bool,
) -> Result<R, E> {
    logging::end_the_process_on_panic();
    if !launched_by_mpi() {
        let [mut alone]: [InProcess; 1] = InProcess::set(1).try_into().unwrap_or_else(|_| unreachable!("a set of one"));
        return work(&mut alone);
    }
    // Those of this start do not exist yet, or are used by another rank of this node.
    if let Err(error) = remove_dead_segments() {
        write_stderr(&format!("bocr: cannot remove the shared memory of killed ranks from {}: {error}\n", host_name()));
    }
    let mut transport = MpiTransport::start()?;
    let result = work(&mut transport);
    let Ok(done) = &result else { return result };
    if has_lost_ranks(done) {
        // MPI_Finalize would wait for the lost rank for ever. Without it the launcher ends the other ranks, which have
        // nothing left to do.
        std::mem::forget(transport);
    } else if transport.may_hang_in_finalize() {
        if transport.rank() != RankId::COORDINATOR {
            // The launcher ends all ranks when the first has ended.
            std::thread::sleep(REPORT_TIME);
        }
        std::mem::forget(transport);
    }
    result
}

/// Runs one rank over the given transport, which [`run`] chooses.
///
/// # Errors
/// As [`run`].
pub fn run_on(transport: &mut impl Transport, request: &RunRequest) -> Result<Option<EndReport>, RunError> {
    run_with(transport, request, None)
}

/// Runs one rank as [`run_on`] does, with servers that outlive the run.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    transport: &mut impl Transport,
    request: &RunRequest,
    resident: Option<Arc<ResidentServers>>,
) -> Result<Option<EndReport>, RunError> {
    let rank = transport.rank();
    let result = start_worker(transport, request, resident).and_then(|worker| {
        let mut link = PeerLink::new(transport, request.configuration.schedule.silence_limit, launched_by_mpi());
        if rank == RankId::COORDINATOR {
            coordinate(&mut link, worker, request).map(Some)
        } else {
            serve_rank(&mut link, worker).map(|()| None)
        }
    });
    if let Err(error) = &result {
        tracing::info!("this rank ends: {}", chain(error));
        if transport.size() > 1 {
            let host = host_name();
            write_stderr(&format!("bocr: {rank} on {host}: {}\n", chain(error)));
            logging::flush();
            abort_if_mpi_hangs();
            transport.abort(i32::from(error.exit_code()));
        }
    }
    logging::flush();
    result
}

fn start_worker(
    transport: &impl Transport,
    request: &RunRequest,
    resident: Option<Arc<ResidentServers>>,
) -> Result<Worker, RunError> {
    let output = |source| RunError::Output { path: request.run_directory.clone(), source };
    std::fs::create_dir_all(&request.run_directory).map_err(output)?;
    // The rank's log of an experiment is that of its first run.
    logging::start(&request.home, transport.rank()).map_err(output)?;
    // The files that the rank writes itself are in the run's own folder.
    std::fs::create_dir_all(request.run_directory.join("logs")).map_err(output)?;
    let worker_request = WorkerRequest {
        program: request.program.clone(),
        run_directory: request.run_directory.clone(),
        home: request.home.clone(),
        configuration: request.configuration.clone(),
        settings_digest: settings::digest(&request.configuration)?,
        linger: request.linger,
    };
    Ok(Worker::start(transport.rank(), transport.size(), transport.local(), worker_request, resident)?)
}

/// The loop of every rank but 0: sends the worker's messages and handles those of rank 0.
fn serve_rank(link: &mut PeerLink<impl Transport>, mut worker: Worker) -> Result<(), RunError> {
    link.send(RankId::COORDINATOR, &ToCoordinator::Hello(worker.hello()))?;
    let mut backoff = PollBackoff::new();
    let mut leaving = false;
    loop {
        let mut busy = false;
        for message in worker.poll(backoff.wait())?.into_iter().map(with_log_count) {
            link.send(RankId::COORDINATOR, &message)?;
            busy = true;
        }
        while let Some((_, message)) = link.receive::<ToWorker>()? {
            busy = true;
            leaving |= message == ToWorker::Leave;
            worker.handle(message)?;
        }
        if link.progress() && leaving {
            return Ok(());
        }
        link.keep_alive(worker.task_beats())?;
        backoff.after(busy);
    }
}

/// Aborts this process if `MPI_Abort` does not return: the launcher that it asks may have ended or be unreachable.
fn abort_if_mpi_hangs() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let since = Instant::now();
    std::thread::spawn(move || {
        while since.elapsed() < PATIENCE {
            std::thread::sleep(PATIENCE / 10);
        }
        std::process::abort();
    });
}
