//! Errors that keep a rank from reading pages.

use std::{io, path::PathBuf};

use crate::{
    corpus::CorpusError,
    engine::EngineError,
    imaging::{LibraryNotFound, StartError},
    node::GpuError,
    server::{FolderError, MemoryShareError},
    store::StoreError,
    sys::ExitCode,
};

/// An error that keeps a rank from reading pages. No page is lost: the same command continues the run.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The plan cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The plan that rank 0 wrote does not exist here.
    #[error("there is no plan in {0}: put the run directory on a file system that all ranks share")]
    NoPlan(PathBuf),
    /// A profile is not usable.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The servers do not fit on their GPU.
    #[error(transparent)]
    MemoryShare(#[from] MemoryShareError),
    /// No GPU for this rank's server.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The server files of an earlier start cannot be read.
    #[error(transparent)]
    ServerFolder(#[from] FolderError),
    /// PDFium was not found.
    #[error(transparent)]
    Pdfium(#[from] LibraryNotFound),
    /// Renderer children cannot be started.
    #[error(transparent)]
    Renderers(#[from] StartError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration cannot be written as TOML.
    #[error("cannot write the effective configuration")]
    Configuration(#[source] toml::ser::Error),
    /// The operating system refused threads or signal handlers.
    #[error("cannot start the threads of this rank: raise the limit on processes (`ulimit -u`) of its host")]
    Runtime(#[source] io::Error),
    /// A defect: pages arrived before the plan.
    #[error("rank 0 sent pages before the plan: this is a defect of bocr; give the same command again")]
    TooEarly,
    /// A defect: the run ended with pages in progress.
    #[error("the run ended while this rank still had pages: this is a defect of bocr; give the same command again")]
    Busy,
}

impl WorkerError {
    /// The exit code: 2 if the user must correct something, 75 if the same command continues, otherwise 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            WorkerError::Store(error) if error.is_temporary() => ExitCode::StoppedEarly,
            WorkerError::MemoryShare(_)
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
