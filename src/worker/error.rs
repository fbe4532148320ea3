//! Why a rank cannot read pages.

use std::{io, path::PathBuf};

use crate::{
    corpus::CorpusError,
    engine::EngineError,
    imaging::{LibraryNotFound, StartError},
    model::Engine,
    node::GpuError,
    server::{FolderError, MemoryShareError},
    store::StoreError,
    sys::ExitCode,
};

/// A rank that cannot read pages. Pages are not lost: run the same command again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The plan cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The plan that rank 0 wrote is not there.
    #[error("there is no plan in {0}: put the run directory on a file system that all ranks share")]
    NoPlan(PathBuf),
    /// A profile cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The profile configured for an engine belongs to another one.
    #[error("profile {profile} is not a profile of {engine}: choose one with `bocr profiles`")]
    ProfileOfOtherEngine {
        /// Name of the profile.
        profile: String,
        /// The engine that it was configured for.
        engine: Engine,
    },
    /// Servers that do not fit on their GPU.
    #[error(transparent)]
    MemoryShare(#[from] MemoryShareError),
    /// No rank serves the engine that reads every page first.
    #[error("no rank of the roles {0} serves chandra, and every page goes to chandra first: add chandra to --roles")]
    NoFirstEngine(String),
    /// No GPU for this rank's server.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// What an earlier start left of its servers cannot be looked at.
    #[error(transparent)]
    ServerFolder(#[from] FolderError),
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
    /// The operating system refuses threads or signals.
    #[error("cannot start this rank's tasks")]
    Runtime(#[source] io::Error),
    /// A defect: pages came before the plan.
    #[error("rank 0 sent pages before the plan: this is a fault of bocr")]
    TooEarly,
    /// A defect: the run ended with pages under way.
    #[error("the run ended while this rank still had pages: this is a fault of bocr")]
    Busy,
}

impl WorkerError {
    /// The exit code: 2 for what the user must correct, 75 where the same command continues, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            WorkerError::Store(error) if error.is_temporary() => ExitCode::StoppedEarly,
            WorkerError::ProfileOfOtherEngine { .. }
            | WorkerError::NoFirstEngine(_)
            | WorkerError::MemoryShare(_)
            | WorkerError::Engine(_)
            | WorkerError::Gpu(_)
            | WorkerError::ServerFolder(_)
            | WorkerError::Pdfium(_) => ExitCode::WrongUsage,
            WorkerError::Corpus(_)
            | WorkerError::NoPlan(_)
            | WorkerError::Renderers(_)
            | WorkerError::Store(_)
            | WorkerError::Configuration(_)
            | WorkerError::Runtime(_)
            | WorkerError::TooEarly
            | WorkerError::Busy => ExitCode::Failure,
        }
    }
}
