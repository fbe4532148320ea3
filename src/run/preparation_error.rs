//! Why a run cannot begin.

use std::{io, path::PathBuf};

use super::difference::Difference;
use crate::{corpus::CorpusError, engine::EngineError, store::StoreError, sys::ExitCode};

/// A run that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PreparationError {
    /// The run directory cannot be made or written.
    #[error("cannot write {path} in the run directory: check its permissions and its disk")]
    RunDirectory {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run works in the directory.
    #[error("another bocr run is working in {directory}{by}: wait until it ends, or give another --output")]
    Locked {
        /// The run directory.
        directory: PathBuf,
        /// Who it is.
        by: String,
    },
    /// The settings are not those that the run directory was begun with.
    #[error(
        "{directory} was started with other settings:{list}\n{remedy}",
        list = differences.iter().map(Difference::to_string).collect::<String>(),
        remedy = match refusable {
            true => "these settings would mix results of two kinds in one run directory: give another --output",
            false => "use the settings that it was started with, or accept these with --accept-config",
        }
    )]
    OtherSettings {
        /// The run directory.
        directory: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
        /// Whether something differs that would mix results.
        refusable: bool,
    },
    /// `--redo` names no document of the plan.
    #[error("--redo: the plan has no document `{0}`: give its name as in plan.jsonl, or its file name")]
    NoSuchDocument(String),
    /// `--redo` names several documents.
    #[error("--redo: `{name}` can mean `{one}` or `{other}`: give the whole name")]
    AmbiguousDocument {
        /// What was said.
        name: String,
        /// One that it may be.
        one: String,
        /// Another.
        other: String,
    },
    /// `--redo` names a page that the document does not have.
    #[error("--redo: `{name}` has {pages} pages, there is no page {page}")]
    NoSuchPage {
        /// The document.
        name: String,
        /// The page number.
        page: u32,
        /// Its pages.
        pages: u32,
    },
    /// A file of the run directory is not what this program writes.
    #[error("{path} is damaged ({reason}): move it away, or give another --output")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A profile cannot be used.
    #[error(transparent)]
    Profile(#[from] EngineError),
    /// The configuration has no text form.
    #[error("cannot write the effective configuration")]
    Configuration(#[source] toml::ser::Error),
    /// Nothing to plan from.
    #[error("{0} has no plan yet: give what to read by --input or --list")]
    NoInput(PathBuf),
    /// The inputs cannot be planned.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// What earlier starts left cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PreparationError {
    /// The exit code: 2 for what the user must correct, 75 where the same command continues, 1 otherwise.
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

/// Whether an output directory is full or read-only: once that is mended, the same command continues.
pub(super) fn cannot_be_written(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}
