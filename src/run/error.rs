//! Why a run could not do its work.

use std::{io, path::PathBuf, time::Duration};

use super::{
    preparation_error::{PreparationError, cannot_be_written},
    walltime::WalltimeError,
};
use crate::{
    comm::{LinkError, MpiError},
    model::{RankId, StopReason},
    store::StoreError,
    sys::{ExitCode, seconds_text},
    worker::WorkerError,
};

/// A run that could not do its work. Pages are not lost: run the same command again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// MPI cannot be used.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// This rank cannot talk to the others any more.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// This rank cannot read pages.
    #[error(transparent)]
    Worker(Box<WorkerError>),
    /// Ranks run different builds.
    #[error("{rank} on {host} runs bocr {theirs}, but rank 0 runs {ours}: start the same build on all hosts")]
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
    /// Ranks have different settings.
    #[error(
        "{rank} on {host} has other settings or profiles than rank 0: give all ranks the same configuration, profile and prompt files"
    )]
    MixedSettings {
        /// The other rank.
        rank: RankId,
        /// Its host.
        host: String,
    },
    /// Asked to stop, or out of time, before the first page.
    #[error("stopped while the run was being prepared ({0}): run the same command again to continue")]
    StoppedEarly(StopReason),
    /// The run cannot begin.
    #[error(transparent)]
    Preparation(Box<PreparationError>),
    /// The catalogue cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refuses threads.
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
    /// The scheduler does not tell how long the job may run.
    #[error(transparent)]
    Walltime(#[from] WalltimeError),
    /// A rank fell silent before the first page.
    #[error(
        "{rank} sent nothing for {} while the run was prepared: run the same command again to continue", seconds_text(*limit)
    )]
    RankSilent {
        /// The rank.
        rank: RankId,
        /// For how long.
        limit: Duration,
    },
    /// A defect: a message that does not belong to this phase of the run.
    #[error("{0} sent a message that does not belong to this phase of the run")]
    OutOfPhase(RankId),
    /// A defect: rank 0's work in the background ended without a result, or the run without an outcome.
    #[error("the run ended while work was under way")]
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
    /// The exit code: 2 for what the user must correct, 75 where the same command continues, 1 otherwise.
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
            RunError::Walltime(_) => ExitCode::WrongUsage,
            RunError::Mpi(_)
            | RunError::Store(_)
            | RunError::Runtime(_)
            | RunError::Output { .. }
            | RunError::OutOfPhase(_)
            | RunError::Busy => ExitCode::Failure,
        }
    }
}
