//! What can go wrong with the files of a run.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::model::PageRef;

/// An error of the store. Every variant names the file, and says what to do where a person can do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system has no room. What was reported durable is safe.
    #[error(
        "no space left for {}: free some space and give the same command again; nothing that was recorded is lost",
        path.display()
    )]
    Full {
        /// The file or directory being written.
        path: PathBuf,
    },
    /// An operating system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The HDF5 library refused.
    #[error("cannot {action} {}: {reason}", path.display())]
    Hdf5 {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The library's own words.
        reason: String,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file was written by a version of the program that this one does not understand.
    #[error("{} has format version {found}, this program reads {expected}: use the program that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is understood.
        expected: u32,
    },
    /// The catalogue names a shard that is not there.
    #[error("shard {} is missing: put it back, or run the same command again to read its pages anew", path.display())]
    MissingShard {
        /// The shard.
        path: PathBuf,
    },
    /// A run directory without shards or catalogue.
    #[error("nothing has been sealed in {}: is it a run directory, and has the run begun to read?", path.display())]
    NothingToRead {
        /// Where shards would be.
        path: PathBuf,
    },
    /// A journal and a shard of the same name have different origins.
    #[error("{} exists but was not made from {}: move one of them away", shard.display(), journal.display())]
    ForeignShard {
        /// The shard that is in the way.
        shard: PathBuf,
        /// The journal that should become this shard.
        journal: PathBuf,
    },
    /// A record does not belong to the plan.
    #[error("{page} is not in the plan of {documents} documents")]
    UnknownDocument {
        /// The page of the record.
        page: PageRef,
        /// Documents in the plan.
        documents: usize,
    },
    /// The name of a document cannot name an export.
    #[error("document name `{name}` leaves the output folder: rename the input")]
    UnsafeName {
        /// The name.
        name: String,
    },
    /// A record has more of something than the format can count.
    #[error("record of {page} has too many {what} for the shard format")]
    TooMany {
        /// The page of the record.
        page: PageRef,
        /// What there is too much of.
        what: &'static str,
    },
    /// A value could not be written in its serialised form.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// What was encoded.
        what: &'static str,
        /// What the codec said.
        reason: String,
    },
    /// The store thread is gone; the event that it sent before says why.
    #[error("the store thread of {} has stopped: its earlier error says why", path.display())]
    Stopped {
        /// The run directory's store.
        path: PathBuf,
    },
    /// The pool of threads could not be made.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the pool said.
        reason: String,
    },
}

/// The result of everything in this room.
pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        StoreError::Damaged { path: path.into(), reason: reason.into() }
    }
}

/// Adds what was tried, and on which file.
pub(super) trait Context<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path: path.into() },
            _ => StoreError::Io { action, path: path.into(), source },
        })
    }
}

impl<T> Context<T> for hdf5::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| {
            let reason = error.to_string();
            // The library hands the system's code on in its error stack only as text.
            let full = ["errno = 28,", "errno = 122,"].iter().any(|code| reason.contains(code));
            if full { StoreError::Full { path: path.into() } } else { StoreError::Hdf5 { action, path: path.into(), reason } }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors_and_names_the_place() {
        let full: io::Result<()> = Err(io::Error::from_raw_os_error(28));
        let error = full.doing("write", Path::new("run/store")).unwrap_err();
        assert!(matches!(&error, StoreError::Full { .. }), "{error}");
        assert!(error.to_string().contains("run/store"));
        let denied: io::Result<()> = Err(io::Error::from_raw_os_error(13));
        let error = denied.doing("write", Path::new("run/store")).unwrap_err().to_string();
        assert!(error.starts_with("cannot write run/store: "), "{error}");
    }
}
