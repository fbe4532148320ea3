//! Why a run could not do its work.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    comm::{CodecError, MpiError},
    corpus::CorpusError,
    engine::EngineError,
    imaging::{LibraryNotFound, StartError},
    model::{Engine, RankId, StopReason},
    node::GpuError,
    server::{ClaimError, FolderError},
    store::StoreError,
};

use super::{
    preparation::{PreparationError, cannot_be_written},
    walltime::WalltimeError,
};

/// A run that could not do its work. Pages are not lost: run the same command again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// MPI cannot be used.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// Ranks do not understand each other.
    #[error("a message between ranks")]
    Codec(#[from] CodecError),
    /// Ranks run different builds.
    #[error("{rank} on {host} runs bocr {theirs}, rank 0 runs {ours}: start the same build everywhere")]
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
    Preparation(#[from] PreparationError),
    /// The plan cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The plan that rank 0 wrote is not there.
    #[error("there is no plan in {0}: is the run directory on a file system that all ranks share?")]
    NoPlan(PathBuf),
    /// A profile cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A profile in the wrong place.
    #[error("profile {profile} is not one of {engine}")]
    ProfileOfOtherEngine {
        /// Its name.
        profile: String,
        /// Where it was configured.
        engine: Engine,
    },
    /// Servers that do not fit on their GPU.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Nobody reads.
    #[error("the roles {0} serve no chandra: every page goes to chandra first")]
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
    /// The operating system refuses threads, signals or our own path.
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
    /// The process that started this rank is gone.
    #[error("the launcher of this rank is gone: run the same command again to continue")]
    LauncherGone,
    /// Rank 0 is not heard of any more.
    #[error("nothing was heard of rank 0 for {0:?}: run the same command again to continue")]
    CoordinatorSilent(Duration),
    /// A rank fell silent before the first page.
    #[error(
        "nothing was heard of {rank} for {limit:?} while the run was prepared: run the same command again to continue"
    )]
    RankSilent {
        /// The rank.
        rank: RankId,
        /// For how long.
        limit: Duration,
    },
    /// A defect: pages came before the plan.
    #[error("rank 0 dealt pages before the plan")]
    TooEarly,
    /// A defect: the run ended with pages under way.
    #[error("the run ended while pages were under way")]
    Busy,
}

impl RunError {
    /// The exit code: 2 for what the user must correct, 75 where the same command continues, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Preparation(error) => error.exit_code(),
            RunError::Store(error) if error.is_temporary() => 75,
            RunError::Output { source, .. } if cannot_be_written(source) => 75,
            RunError::StoppedEarly(_) => 75,
            RunError::MixedVersions { .. } | RunError::MixedSettings { .. } => 2,
            RunError::LauncherGone | RunError::CoordinatorSilent(_) | RunError::RankSilent { .. } => 75,
            RunError::Walltime(_)
            | RunError::ProfileOfOtherEngine { .. }
            | RunError::NoFirstEngine(_)
            | RunError::Claim(_)
            | RunError::Engine(_)
            | RunError::Gpu(_)
            | RunError::ServerFolder(_)
            | RunError::Pdfium(_) => 2,
            _ => 1,
        }
    }
}
