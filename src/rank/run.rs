//! A run from start to exit code.

use std::{
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    comm::{
        CodecError, InProcess, MpiError, MpiTransport, ToCoordinator, ToWorker, Transport, decode, encode,
        launched_by_mpi,
    },
    corpus::CorpusError,
    engine::EngineError,
    imaging::{LibraryNotFound, StartError},
    model::{Engine, Outcome, RankId, configuration::Configuration, error::chain},
    report::{EndReport, REPORT_FILE},
    store::{StoreError, catalogue},
};

use super::{
    coordinator::{Coordinator, Ended, Outgoing},
    logging,
    planned::renderer_pool,
    preparation::{Inputs, PreparationError, Prepared, prepare},
    pump::Idle,
    worker::Worker,
};

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The `bocr` program: a rank starts it again as renderer child, guard and stand-in.
    pub program: PathBuf,
    /// The inputs; ignored where the run directory has a frozen plan.
    pub inputs: Inputs,
    /// The run directory, on a file system that all ranks share.
    pub run_directory: PathBuf,
    /// The effective configuration.
    pub configuration: Configuration,
    /// Threads for planning.
    pub threads: NonZeroUsize,
    /// Stop dealing pages after this long, so that all is sealed in time.
    pub deadline: Option<Duration>,
}

/// A run that could not do its work. Pages are not lost: run the same command again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// MPI cannot be used.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// Ranks do not understand each other.
    #[error("a message between ranks")]
    Codec(#[from] CodecError),
    /// Ranks run different builds.
    #[error("{rank} on {host} runs bocr {theirs}, rank 0 runs {ours}: start the same build everywhere")]
    MixedVersions {
        /// The other rank.
        rank: RankId,
        /// Its host.
        host: String,
        /// Its version.
        theirs: String,
        /// Ours.
        ours: &'static str,
    },
    /// The run cannot begin.
    #[error(transparent)]
    Preparation(#[from] PreparationError),
    /// The plan cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The plan that rank 0 wrote is not there.
    #[error("there is no plan in {0}: is the run directory on a file system that all ranks share?")]
    NoPlan(PathBuf),
    /// A profile cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A profile in the wrong place.
    #[error("profile {profile} is not one of {engine}")]
    ProfileOfOtherEngine {
        /// Its name.
        profile: String,
        /// Where it was configured.
        engine: Engine,
    },
    /// Nobody reads.
    #[error("the roles {0} serve no chandra: every page goes to chandra first")]
    NoFirstEngine(String),
    /// PDFium is not there.
    #[error(transparent)]
    Pdfium(#[from] LibraryNotFound),
    /// Renderer children cannot be started.
    #[error(transparent)]
    Renderers(#[from] StartError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration has no text form.
    #[error("cannot write the effective configuration")]
    Configuration(#[source] toml::ser::Error),
    /// The operating system refuses threads, signals or our own path.
    #[error("cannot start this rank's tasks")]
    Runtime(#[source] io::Error),
    /// The logs or the report cannot be written.
    #[error("cannot write {path}")]
    Output {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A defect: pages came before the plan.
    #[error("rank 0 dealt pages before the plan")]
    TooEarly,
    /// A defect: the run ended with pages under way.
    #[error("the run ended while pages were under way")]
    Busy,
}

impl RunError {
    /// The exit code: 2 for what the user must correct, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Preparation(
                PreparationError::NoInput(_) | PreparationError::Corpus(_) | PreparationError::Locked(_),
            )
            | RunError::ProfileOfOtherEngine { .. }
            | RunError::NoFirstEngine(_)
            | RunError::Engine(_)
            | RunError::Pdfium(_) => 2,
            _ => 1,
        }
    }
}

/// Runs this process's rank to its end. Rank 0 returns the run's report, the others `None`.
///
/// # Errors
/// Whatever keeps this rank from working. Under MPI all other ranks are ended too: the launcher starts again.
pub fn run(request: &RunRequest) -> Result<Option<EndReport>, RunError> {
    logging::end_the_process_on_panic();
    if launched_by_mpi() {
        run_on(&mut MpiTransport::start()?, request)
    } else {
        let [mut alone]: [InProcess; 1] = InProcess::set(1).try_into().unwrap_or_else(|_| unreachable!("a set of one"));
        run_on(&mut alone, request)
    }
}

/// Runs one rank over a transport: what [`run`] does after choosing it.
///
/// # Errors
/// As [`run`].
pub fn run_on(transport: &mut impl Transport, request: &RunRequest) -> Result<Option<EndReport>, RunError> {
    let rank = transport.rank();
    let result = start_worker(transport, request).and_then(|worker| {
        if rank == RankId::COORDINATOR {
            coordinate(transport, worker, request).map(Some)
        } else {
            follow(transport, worker).map(|()| None)
        }
    });
    if let Err(error) = &result {
        tracing::info!("this rank cannot go on: {}", chain(error));
        if transport.size() > 1 {
            eprintln!("bocr: {rank} on {}: {}", rustix::system::uname().nodename().to_string_lossy(), chain(error));
            transport.abort(i32::from(error.exit_code()));
        }
    }
    result
}

fn start_worker(transport: &impl Transport, request: &RunRequest) -> Result<Worker, RunError> {
    let output = |source| RunError::Output { path: request.run_directory.clone(), source };
    std::fs::create_dir_all(&request.run_directory).map_err(output)?;
    logging::start(&request.run_directory, transport.rank()).map_err(output)?;
    Worker::start(transport.rank(), transport.local(), request)
}

/// A worker's loop: local events out, messages in.
fn follow(transport: &mut impl Transport, mut worker: Worker) -> Result<(), RunError> {
    send(transport, RankId::COORDINATOR, &ToCoordinator::Hello(worker.hello()))?;
    let mut idle = Idle::new();
    let mut leaving = false;
    loop {
        let mut busy = false;
        for message in worker.poll(idle.wait()) {
            send(transport, RankId::COORDINATOR, &message)?;
            busy = true;
        }
        while let Some((_, message)) = receive::<ToWorker>(transport)? {
            busy = true;
            leaving |= message == ToWorker::Leave;
            if let Some(answer) = worker.handle(message)? {
                send(transport, RankId::COORDINATOR, &answer)?;
            }
        }
        if transport.progress() && leaving {
            return Ok(());
        }
        idle.after(busy);
    }
}

/// Rank 0: prepares the run, then both its loops in one.
fn coordinate(transport: &mut impl Transport, mut worker: Worker, request: &RunRequest) -> Result<EndReport, RunError> {
    let start = Instant::now();
    let pool = || {
        Ok((
            worker.runtime().block_on(renderer_pool(&request.program, &request.configuration))?,
            worker.runtime().handle().clone(),
        ))
    };
    let mut prepared = prepare(&request.run_directory, &request.inputs, &request.configuration, request.threads, pool)?;
    let unit_pages = request.configuration.schedule.unit_pages.get();
    let mut coordinator =
        Coordinator::new(&mut prepared, transport.size(), unit_pages, request.deadline, &request.run_directory, start);
    let mut out: Outgoing = Vec::new();
    let begin = ToWorker::Begin { run_id: prepared.plan.run_id.clone() };
    out.extend((0..transport.size()).map(|rank| (RankId(rank), begin.clone())));
    coordinator.handle(RankId::COORDINATOR, ToCoordinator::Hello(worker.hello()), &mut out)?;
    let mut idle = Idle::new();
    while !coordinator.is_over() {
        let mut busy = false;
        for message in worker.poll(idle.wait()) {
            coordinator.handle(RankId::COORDINATOR, message, &mut out)?;
            busy = true;
        }
        while let Some((from, message)) = receive::<ToCoordinator>(transport)? {
            coordinator.handle(from, message, &mut out)?;
            busy = true;
        }
        coordinator.tick(&mut out);
        deliver(transport, &mut worker, &mut coordinator, &mut out)?;
        transport.progress();
        idle.after(busy);
    }
    let ended = coordinator.end().ok_or(RunError::Busy)?;
    let report = conclude(&request.run_directory, &prepared, &ended)?;
    for rank in 1..transport.size() {
        send(transport, RankId(rank), &ToWorker::Leave)?;
    }
    while !transport.progress() {
        std::thread::sleep(idle.wait());
    }
    Ok(report)
}

/// Sends what is to be sent; what is for rank 0 itself goes to its own worker.
fn deliver(
    transport: &mut impl Transport,
    worker: &mut Worker,
    coordinator: &mut Coordinator,
    out: &mut Outgoing,
) -> Result<(), RunError> {
    let mut own = Vec::new();
    for (rank, message) in out.drain(..) {
        if rank == RankId::COORDINATOR {
            own.push(message);
        } else {
            send(transport, rank, &message)?;
        }
    }
    // The others' messages go first: sealing rank 0's own journal takes seconds.
    transport.progress();
    for message in own {
        if let Some(answer) = worker.handle(message)? {
            coordinator.handle(RankId::COORDINATOR, answer, out)?;
        }
    }
    Ok(())
}

/// Writes the catalogue and the report. A run that stops early, perhaps because the disk is full, ends as it should
/// without them: the next start writes them.
fn conclude(run_directory: &Path, prepared: &Prepared, ended: &Ended) -> Result<EndReport, RunError> {
    let report = EndReport::new(
        &prepared.plan.run_id,
        ended.outcome,
        ended.scheduler.counts(),
        prepared.plan.documents.len() as u64,
        prepared.refused(),
        ended.elapsed,
        &ended.summaries,
    );
    match write_conclusion(run_directory, prepared, &report) {
        Err(error) if matches!(ended.outcome, Outcome::Stopped(_)) => tracing::warn!("{}", chain(&error)),
        result => result?,
    }
    Ok(report)
}

fn write_conclusion(run_directory: &Path, prepared: &Prepared, report: &EndReport) -> Result<(), RunError> {
    catalogue::write(run_directory, &prepared.plan.documents)?;
    // A start that found everything settled leaves the report of the start that did it.
    if !report.did_nothing() || !run_directory.join(REPORT_FILE).exists() {
        report.write(run_directory).map_err(|source| RunError::Output { path: run_directory.to_owned(), source })?;
    }
    Ok(())
}

fn send<M: Serialize>(transport: &mut impl Transport, to: RankId, message: &M) -> Result<(), RunError> {
    transport.send(to, encode(message)?);
    Ok(())
}

fn receive<M: DeserializeOwned>(transport: &mut impl Transport) -> Result<Option<(RankId, M)>, RunError> {
    let Some((from, frame)) = transport.receive() else { return Ok(None) };
    Ok(Some((from, decode(&frame)?)))
}
