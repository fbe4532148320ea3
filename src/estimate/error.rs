//! An estimate that cannot be made.

use std::{io, path::PathBuf, time::Duration};

use super::clock::clock;
use crate::{
    corpus::CorpusError,
    engine::EngineError,
    imaging::{LibraryNotFound, StartError},
    store::StoreError,
    sys::ExitCode,
};

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// Nothing to look at.
    #[error("no input is given: use --input PATH, --list FILE, or `input` in the table [job] of the job file")]
    NoInput,
    /// The inputs cannot be looked at.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A profile cannot be loaded.
    #[error(transparent)]
    Profile(#[from] EngineError),
    /// A report cannot be used.
    #[error("report {path}: {reason}; give the report.json of a run that has ended")]
    Report {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// No job of this walltime reads a page.
    #[error(
        "a walltime of {} is too short: {} s of it are kept for the end, and the first page is read after {:.0} s; ask for \
         {} at least", clock(*walltime), kept.as_secs(), first_page.as_secs_f64().ceil(), clock(*least)
    )]
    TooShort {
        /// The walltime.
        walltime: Duration,
        /// What is kept of it.
        kept: Duration,
        /// From the job's start to the first page.
        first_page: Duration,
        /// A walltime that is enough for one.
        least: Duration,
    },
    /// What a run directory holds cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No PDFium.
    #[error(transparent)]
    Library(#[from] LibraryNotFound),
    /// No renderer child can be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The renderer children are gone.
    #[error("{0}")]
    Renderers(String),
    /// The system refuses threads or the path of this program.
    #[error("cannot start: {0}")]
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
