//! Why a run cannot start.

use std::{io, path::PathBuf};

use super::difference::Difference;
use crate::{corpus::CorpusError, engine::EngineError, store::StoreError, sys::ExitCode};

/// A run that cannot start.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum PreparationError {
    /// The run directory cannot be created or written.
    #[error("cannot write {path} in the run directory: check its permissions and its disk")]
    RunDirectory { path: PathBuf, source: io::Error },
    /// Another run works in the directory.
    #[error("another bocr run is working in {directory}{by}: wait until it ends, or give another --output")]
    Locked { directory: PathBuf, by: String },
    /// The settings differ from those with which the run directory was created.
    #[error(
        "{directory} was started with other settings:{list}\n{remedy}",
        list = differences.iter().map(Difference::to_string).collect::<String>(),
        remedy = if *refusable {
            "these settings would mix results of two kinds in one run directory: give another --output"
        } else {
            "use the settings that it was started with, or accept these with --accept-config"
        }
    )]
    OtherSettings {
        directory: PathBuf,
        differences: Vec<Difference>,
        /// True if a difference would mix results.
        refusable: bool,
    },
    /// `--redo` names no document of the plan.
    #[error("--redo: the plan has no document `{0}`: give its name as in plan.jsonl, or its file name")]
    NoSuchDocument(String),
    /// `--redo` matches several documents.
    #[error("--redo: `{name}` can mean `{one}` or `{other}`: give the whole name")]
    AmbiguousDocument { name: String, one: String, other: String },
    /// `--redo` names a page that the document does not have.
    #[error("--redo: `{name}` has {pages} pages, there is no page {page}: give page numbers up to {pages}")]
    NoSuchPage { name: String, page: u32, pages: u32 },
    /// A file of the run directory is damaged.
    #[error("{path} is damaged ({reason}): move it away, or give another --output")]
    Damaged { path: PathBuf, reason: String },
    /// A profile is not usable.
    #[error(transparent)]
    Profile(#[from] EngineError),
    /// The configuration cannot be written as TOML.
    #[error("cannot write the effective configuration")]
    Configuration(#[source] toml::ser::Error),
    /// The run directory has no plan, and no input was given.
    #[error("{0} has no plan yet: name the files or folders to read with --input or --list")]
    NoInput(PathBuf),
    /// The inputs cannot be planned.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The files of earlier starts cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PreparationError {
    /// The exit code: 2 if the user must correct something, 75 if the same command continues, otherwise 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            PreparationError::Corpus(CorpusError::Inspect { .. }) => ExitCode::StoppedEarly,
            PreparationError::Corpus(CorpusError::PlanFile { source, .. }) if cannot_be_written(source) => {
                ExitCode::StoppedEarly
            }
            PreparationError::Corpus(CorpusError::PlanFile { .. } | CorpusError::Threads { .. }) => ExitCode::Failure,
            PreparationError::Configuration(_) => ExitCode::Failure,
            PreparationError::NoInput(_)
            | PreparationError::Profile(_)
            | PreparationError::Corpus(_)
            | PreparationError::Damaged { .. }
            | PreparationError::Locked { .. }
            | PreparationError::OtherSettings { .. }
            | PreparationError::NoSuchDocument(_)
            | PreparationError::AmbiguousDocument { .. }
            | PreparationError::NoSuchPage { .. } => ExitCode::WrongUsage,
            PreparationError::Store(error) if error.is_temporary() => ExitCode::StoppedEarly,
            PreparationError::RunDirectory { source, .. } if cannot_be_written(source) => ExitCode::StoppedEarly,
            PreparationError::RunDirectory { .. } | PreparationError::Store(_) => ExitCode::Failure,
        }
    }
}

/// Whether an output directory is full or read-only: after that is corrected, the same command continues.
pub(super) fn cannot_be_written(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}
