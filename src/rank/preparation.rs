//! What rank 0 does before the first page: the run directory, its lock, the plan, and what earlier starts left.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    corpus::{self, CorpusError, InspectFailure, Plan},
    imaging::{Pool, RenderFailure},
    model::{DocumentState, FailureClass, LeaseId, Verdict, configuration::Configuration},
    report::REPORT_FILE,
    schedule::Restored,
    store::{self, Layout, Leftovers, Recorded, ShardReader, StoreError, StoreFile},
};

pub use crate::corpus::Inputs;

/// Name of the file that asks a run to stop.
pub(super) const STOP_FILE: &str = "stop";

/// How long ranks of an earlier start may still hold their journals.
const JOURNAL_WAIT: Duration = Duration::from_secs(10);

const LOCK_FILE: &str = "lock";
const CONFIGURATION_FILE: &str = "configuration.toml";

/// A run that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PreparationError {
    /// The run directory cannot be made or written.
    #[error("cannot write the run directory: {path}")]
    RunDirectory {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run works in the directory.
    #[error("another bocr run is working in {0}: wait for it, or give another --output")]
    Locked(PathBuf),
    /// Nothing to plan from.
    #[error("{0} has no plan yet: say what to read with --input or --list")]
    NoInput(PathBuf),
    /// The inputs cannot be planned.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// What earlier starts left cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run directory that is ready, held until this is dropped.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) restored: Vec<Restored>,
    pub(super) last_lease: LeaseId,
    /// The lock goes with the file, so also with a killed process.
    _lock: Option<File>,
}

impl Prepared {
    /// Documents that cannot be read, by class.
    pub(super) fn refused(&self) -> BTreeMap<FailureClass, u64> {
        let mut refused = BTreeMap::new();
        for document in &self.plan.documents {
            if let DocumentState::Refused { class, .. } = document.state {
                *refused.entry(class).or_default() += 1;
            }
        }
        refused
    }
}

/// Makes the run directory ready: a new plan, or the frozen one of an earlier start.
pub(super) fn prepare(
    run_directory: &Path,
    inputs: &Inputs,
    configuration: &Configuration,
    threads: NonZeroUsize,
    renderers: impl FnOnce() -> Result<(Pool, tokio::runtime::Handle), super::RunError>,
) -> Result<Prepared, super::RunError> {
    let lock = lock(run_directory)?;
    remove_if_present(run_directory.join(STOP_FILE))?;
    write_configuration(run_directory, configuration)?;
    let plan = match corpus::read(run_directory).map_err(PreparationError::from)? {
        Some(plan) => plan,
        None if inputs.paths.is_empty() && inputs.lists.is_empty() => {
            return Err(PreparationError::NoInput(run_directory.to_owned()).into());
        }
        None => {
            let (pool, runtime) = renderers()?;
            let plan = new_plan(inputs, configuration, threads, &pool, &runtime).map_err(PreparationError::from)?;
            corpus::write(run_directory, &plan).map_err(PreparationError::from)?;
            plan
        }
    };
    for document in &plan.documents {
        if let DocumentState::Refused { class, reason } = &document.state {
            tracing::warn!(%class, "document refused: {reason}");
        }
    }
    let leftovers = Leftovers::find(run_directory).map_err(PreparationError::from)?;
    let recovered =
        store::recover(run_directory, &leftovers, &plan.run_id, JOURNAL_WAIT).map_err(PreparationError::from)?;
    let restored = restore(run_directory, &plan, recovered.records).map_err(PreparationError::from)?;
    if (restored.len() as u64) < plan.pages() {
        // It speaks of an earlier start, which left pages to this one.
        remove_if_present(run_directory.join(REPORT_FILE))?;
    }
    let last_lease = recovered.highest_lease.unwrap_or(LeaseId(0));
    Ok(Prepared { plan, restored, last_lease, _lock: lock })
}

fn new_plan(
    inputs: &Inputs,
    configuration: &Configuration,
    threads: NonZeroUsize,
    pool: &Pool,
    runtime: &tokio::runtime::Handle,
) -> Result<Plan, CorpusError> {
    let inspect = |path: &Path, name: &str| {
        runtime.block_on(pool.inspect(path, configuration.password_for(name))).map_err(|failure| match failure {
            RenderFailure::Page { class, reason } => InspectFailure::Document { class, reason },
            RenderFailure::PoolLost(reason) => InspectFailure::Machine(reason),
        })
    };
    corpus::plan(inputs, inspect, threads)
}

/// How every page stood at the end of the last start, with the attempts of those that another engine may still read.
fn restore(run_directory: &Path, plan: &Plan, records: Vec<Recorded>) -> Result<Vec<Restored>, StoreError> {
    let is_replaced = |record: &Recorded| {
        let document = plan.documents.get(record.page.document.index());
        document.is_some_and(|document| document.state == DocumentState::Replaced)
    };
    let layout = Layout::new(run_directory);
    // The failed pages of a document lie mostly in the shards of one rank.
    let mut open: Option<(StoreFile, ShardReader)> = None;
    let mut attempts_of = |record: &Recorded| {
        let file = StoreFile::from(record.place);
        let shard = match open.take() {
            Some((of, shard)) if of == file => shard,
            _ => ShardReader::open(&layout.shard(file))?,
        };
        let (_, shard) = open.insert((file, shard));
        shard.read_attempts_at(record.place.row.into())
    };
    let restored = |record: Recorded| {
        let attempts = match record.verdict {
            Verdict::Failed(_) => attempts_of(&record)?,
            Verdict::Read | Verdict::Blank => Vec::new(),
        };
        Ok(Restored { page: record.page, verdict: record.verdict, engine: record.engine, attempts })
    };
    records.into_iter().filter(|record| !is_replaced(record)).map(restored).collect()
}

/// Takes the run directory for this process. The lock lies with the open file, so it survives nobody.
fn lock(run_directory: &Path) -> Result<Option<File>, PreparationError> {
    let path = run_directory.join(LOCK_FILE);
    let failed = |source| PreparationError::RunDirectory { path: path.clone(), source };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(PreparationError::Locked(run_directory.to_owned())),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "this file system has no locks: make sure that no other run uses {}", run_directory.display());
            Ok(None)
        }
    }
}

fn remove_if_present(path: PathBuf) -> Result<(), PreparationError> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PreparationError::RunDirectory { path, source }),
        _ => Ok(()),
    }
}

fn write_configuration(run_directory: &Path, configuration: &Configuration) -> Result<(), super::RunError> {
    let path = run_directory.join(CONFIGURATION_FILE);
    let text = configuration.to_toml().map_err(super::RunError::Configuration)?;
    std::fs::write(&path, text).map_err(|source| PreparationError::RunDirectory { path, source })?;
    Ok(())
}
