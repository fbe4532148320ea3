//! Errors of a run.

use std::{io, path::PathBuf, time::Duration};

use super::{
    preparation_error::{PreparationError, cannot_be_written},
    walltime::WalltimeError,
};
use crate::{
    comm::{LinkError, MpiError},
    model::{EngineName, RankId, StopReason},
    store::StoreError,
    sys::{ExitCode, PROGRAM_VERSION, seconds_text},
    worker::WorkerError,
};

/// An error that ended this rank's work. No page is lost: the same command continues the run.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// MPI failed.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// The connection to the other ranks failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The worker of this rank failed.
    #[error(transparent)]
    Worker(Box<WorkerError>),
    /// Ranks run different builds.
    #[error(
        "{rank} on {host} runs bocr {theirs}, but rank 0 runs {PROGRAM_VERSION}: start the same build on all hosts"
    )]
    MixedVersions { rank: RankId, host: String, theirs: String },
    /// Ranks have different settings.
    #[error(
        "{rank} on {host} has other settings or profiles than rank 0: give all ranks the same configuration, profile and prompt files"
    )]
    MixedSettings { rank: RankId, host: String },
    /// A stop request or the deadline came before the first page.
    #[error("stopped while the run was being prepared ({0}): run the same command again to continue")]
    StoppedEarly(StopReason<EngineName>),
    /// The run cannot start.
    #[error(transparent)]
    Preparation(Box<PreparationError>),
    /// The store failed, e.g. writing the catalogue.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused a thread.
    #[error(
        "cannot start the threads of this rank: raise the limit on processes (`ulimit -u`) of its host, and give \
         the same command again"
    )]
    Runtime(#[source] io::Error),
    /// A log or the report cannot be written.
    #[error("cannot write {path}: check its permissions and its disk, and give the same command again")]
    Output { path: PathBuf, source: io::Error },
    /// The job's scheduler did not report its walltime.
    #[error(transparent)]
    Walltime(#[from] WalltimeError),
    /// A rank became silent before the first page.
    #[error(
        "{rank} sent nothing for {} while the run was prepared: run the same command again to continue", seconds_text(*limit)
    )]
    RankSilent { rank: RankId, limit: Duration },
    /// A defect: a message that does not belong to this phase of the run.
    #[error("{0} sent a message that does not belong to this phase of the run")]
    OutOfPhase(RankId),
    /// A defect: a background job of rank 0 ended without a result, or the run ended without an outcome.
    #[error(
        "rank 0 ended without the result of its work: this is a defect of bocr; give the same command again to continue"
    )]
    Busy,
}

impl From<WorkerError> for RunError {
    fn from(error: WorkerError) -> Self {
        RunError::Worker(Box::new(error))
    }
}

impl From<PreparationError> for RunError {
    fn from(error: PreparationError) -> Self {
        RunError::Preparation(Box::new(error))
    }
}

impl RunError {
    /// The exit code: 2 if the user must correct something, 75 if the same command continues, otherwise 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            RunError::Preparation(error) => error.exit_code(),
            RunError::Store(error) if error.is_temporary() => ExitCode::StoppedEarly,
            RunError::Output { source, .. } if cannot_be_written(source) => ExitCode::StoppedEarly,
            RunError::StoppedEarly(_) => ExitCode::StoppedEarly,
            RunError::MixedVersions { .. } | RunError::MixedSettings { .. } => ExitCode::WrongUsage,
            RunError::Link(error) => error.exit_code(),
            RunError::Worker(error) => error.exit_code(),
            RunError::RankSilent { .. } => ExitCode::StoppedEarly,
            RunError::Walltime(error) => error.exit_code(),
            RunError::Mpi(_)
            | RunError::Store(_)
            | RunError::Runtime(_)
            | RunError::Output { .. }
            | RunError::OutOfPhase(_)
            | RunError::Busy => ExitCode::Failure,
        }
    }
}
