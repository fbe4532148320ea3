//! Why an experiment ends early.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    comm::{CodecError, MpiError},
    corpus::CorpusError,
    report::RunOutcome,
    run::{RunError, WalltimeError},
    store::StoreError,
    sys::{ExitCode, seconds_text},
    worker::WorkerError,
};

/// Why an experiment ends early. What was measured is kept: the same command continues.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// MPI failed.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The servers or renderers of this rank cannot be used.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The input cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The ranks do not understand each other.
    #[error("cannot read or write an order between ranks")]
    Codec(#[from] CodecError),
    /// The job's scheduler did not report its walltime.
    #[error(transparent)]
    Walltime(#[from] WalltimeError),
    /// No document of the input has a page.
    #[error("no document of the input has pages that can be read: name another folder with --input")]
    NoPages,
    /// A number of ranks cannot be measured.
    #[error("--ranks {wanted} needs {wanted} ranks, but this job has {available}: start more, or leave it out")]
    TooFewRanks { wanted: u32, available: u32 },
    /// A defect: rank 0 orders an arm that this rank does not know.
    #[error("rank 0 orders arm {0}, which this rank does not know: give all ranks the same arms")]
    UnknownArm(u32),
    /// The texts of a run cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ranks have different roles.
    #[error(
        "the ranks have different roles ({0}): a part of them would lack an engine; give all ranks the same role, e.g. \
         --roles chandra or --roles chandra/deepseek"
    )]
    UnequalRoles(String),
    /// The folder has another experiment.
    #[error("{folder} has an experiment with another {setting}: name another folder with --output")]
    OtherExperiment { folder: PathBuf, setting: &'static str },
    /// The file has no measurement.
    #[error("{0} has no results: name the folder of an experiment")]
    NoResults(PathBuf),
    /// A file of the experiment cannot be written or read.
    #[error("cannot write or read {path}: check its permissions and its disk, and give the same command again")]
    File { path: PathBuf, source: io::Error },
    /// A plot cannot be drawn.
    #[error("cannot draw {path}: {reason}")]
    Plot { path: PathBuf, reason: String },
    /// A run has lost a rank or was stopped: its times are not valid.
    #[error("the run in {folder} ended early ({}): run the same command again to continue", outcome_text(outcome))]
    Stopped { folder: PathBuf, outcome: Box<RunOutcome> },
    /// The next measurement would not end in time.
    #[error(
        "the next measurement takes about {}, and {} are left: run the same command again to continue",
        seconds_text(*needed), seconds_text(*left)
    )]
    NoTime { needed: Duration, left: Duration },
    /// mpirun has ended.
    #[error("mpirun, which started this rank, has ended: run the same command again to continue")]
    LauncherGone,
}

fn outcome_text(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Stopped(reason) => reason.to_string(),
        RunOutcome::Complete | RunOutcome::CompleteWithFailures => "a rank was lost".into(),
    }
}

impl ExperimentError {
    /// A file that cannot be written or read.
    pub(super) fn file(path: &Path, source: io::Error) -> ExperimentError {
        ExperimentError::File { path: path.to_owned(), source }
    }

    /// The exit code of the command.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            ExperimentError::Run(error) => error.exit_code(),
            ExperimentError::Worker(error) => error.exit_code(),
            ExperimentError::Walltime(error) => error.exit_code(),
            ExperimentError::Stopped { .. } | ExperimentError::NoTime { .. } | ExperimentError::LauncherGone => {
                ExitCode::StoppedEarly
            }
            ExperimentError::Mpi(_)
            | ExperimentError::Codec(_)
            | ExperimentError::Corpus(CorpusError::Inspect { .. } | CorpusError::Threads { .. })
            | ExperimentError::File { .. }
            | ExperimentError::UnknownArm(_)
            | ExperimentError::Store(_)
            | ExperimentError::Plot { .. } => ExitCode::Failure,
            ExperimentError::Corpus(_)
            | ExperimentError::NoPages
            | ExperimentError::TooFewRanks { .. }
            | ExperimentError::UnequalRoles(_)
            | ExperimentError::NoResults(_)
            | ExperimentError::OtherExperiment { .. } => ExitCode::WrongUsage,
        }
    }
}
