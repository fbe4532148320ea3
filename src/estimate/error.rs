//! The errors of an estimate.

use std::{io, path::PathBuf, time::Duration};

use super::clock::clock;
use crate::{
    corpus::CorpusError,
    engine::EngineError,
    imaging::{LibraryNotFound, StartError},
    store::StoreError,
    sys::ExitCode,
};

/// The reason why an estimate cannot be made.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// No input is given.
    #[error("no input is given: use --input PATH, --list FILE, or `input` in the table [job] of the job file")]
    NoInput,
    /// The inputs cannot be surveyed.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A profile cannot be loaded.
    #[error(transparent)]
    Profile(#[from] EngineError),
    /// A report cannot be used.
    #[error("report {path}: {reason}; give the report.json of a run that has ended")]
    Report { path: PathBuf, reason: io::Error },
    /// A job of this walltime ends before the first page is read.
    #[error(
        "a walltime of {} is too short: {} s of it are reserved for the end, and the first page is read after {:.0} s; \
         ask for {} at least",
        clock(*walltime), kept.as_secs(), first_page.as_secs_f64().ceil(), clock(*least)
    )]
    TooShort {
        walltime: Duration,
        /// Reserved at the end of the walltime.
        kept: Duration,
        /// From the start of the job to the first page.
        first_page: Duration,
        /// The shortest walltime in which a page is read.
        least: Duration,
    },
    /// The records of a run directory cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The PDFium library is not found.
    #[error(transparent)]
    Library(#[from] LibraryNotFound),
    /// No renderer child can be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The renderer children have ended and cannot be started again.
    #[error("{0}")]
    Renderers(String),
    /// A call of the operating system failed: for threads, or for the path of this program or of the run directory.
    #[error("the estimate cannot start: {0}")]
    System(#[from] io::Error),
}

impl EstimateError {
    /// The exit code: 2 for what the user must correct, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            EstimateError::NoInput
            | EstimateError::Profile(_)
            | EstimateError::Report { .. }
            | EstimateError::TooShort { .. } => ExitCode::WrongUsage,
            EstimateError::Corpus(CorpusError::Inspect { .. } | CorpusError::Threads { .. }) => ExitCode::Failure,
            EstimateError::Corpus(_) => ExitCode::WrongUsage,
            EstimateError::Store(_)
            | EstimateError::Library(_)
            | EstimateError::Start(_)
            | EstimateError::Renderers(_)
            | EstimateError::System(_) => ExitCode::Failure,
        }
    }
}
