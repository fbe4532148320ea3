//! The errors of the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use crate::{corpus::CorpusError, model::PageRef};

/// An error of the store. Every variant names the file, and says what to do if the user can correct the error.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system is full, or the user's quota on it is used up. Records that were reported durable are safe.
    #[error(
        "no space left in {}: free some space or raise the quota there, and give the same command again; nothing that \
         was recorded is lost",
        path.display()
    )]
    Full { path: PathBuf },
    /// The file system is read-only, from the start or since an error. Records that were reported durable are safe.
    #[error(
        "{} is on a read-only file system: make it writable (a disk error may have made it read-only), and give the \
         same command again; nothing that was recorded is lost",
        path.display()
    )]
    ReadOnly { path: PathBuf },
    /// The directory was deleted, renamed or unmounted while its files were being written.
    #[error(
        "{} no longer exists: put it back or mount it again, and give the same command again; pages whose records were \
         written since then are read again",
        path.display()
    )]
    Vanished { path: PathBuf },
    /// A running process has the lock on a journal.
    #[error("another process still writes {}: wait until that process ends, or stop it", path.display())]
    InUse { path: PathBuf },
    /// A journal or shard of another run.
    #[error(
        "{} belongs to run {found}, not to run {expected}: move it away, or use its own run directory",
        path.display()
    )]
    OtherRun { path: PathBuf, found: String, expected: String },
    /// An operating system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A call of the HDF5 library failed.
    #[error("cannot {action} {}: {reason}", path.display())]
    Hdf5 { action: &'static str, path: PathBuf, reason: String },
    /// The contents of a file are not valid.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// The header of a journal cannot be read, so the run and the rank of its records are unknown.
    #[error(
        "the beginning of {} cannot be read: the next start, or `bocr verify --repair`, keeps it as {}.damaged, and \
         its pages are read again",
        path.display(), path.display()
    )]
    HeaderLost { path: PathBuf },
    /// Records that had been reported durable could not be read back when their journal was sealed.
    #[error(
        "{records} records in {} have become unreadable because of a disk error: give the same command again to read \
         their pages again",
        path.display()
    )]
    RecordsLost {
        /// The journal, under its present name.
        path: PathBuf,
        records: u64,
    },
    /// The plan cannot be read. It is needed when a journal has lost a document.
    #[error(transparent)]
    Plan(CorpusError),
    /// A version of the program with another file format wrote the file.
    #[error(
        "{} has format version {found}, this program reads {expected}: use the program that wrote it",
        path.display()
    )]
    Version { path: PathBuf, found: u32, expected: u32 },
    /// The catalogue names a shard that does not exist.
    #[error("shard {} is missing: put it back, or run the same command again to read its pages again", path.display())]
    MissingShard { path: PathBuf },
    /// A run directory without shards or catalogue.
    #[error(
        "{} has no sealed shard: check that it is a run directory, and that the run has begun to read",
        path.display()
    )]
    NothingToRead { path: PathBuf },
    /// A shard has the name of a journal's shard, but was not made from that journal.
    #[error("{} exists, but was not made from {}: move one of the two away", shard.display(), journal.display())]
    ForeignShard { shard: PathBuf, journal: PathBuf },
    /// The page of a record is not in the plan.
    #[error("{page} is not in the plan of {documents} documents")]
    UnknownDocument { page: PageRef, documents: usize },
    /// The name of a document cannot be the name of an export file.
    #[error("document name `{name}` leads out of the output folder: rename the input")]
    UnsafeName { name: String },
    /// A number of a record is too large for its column in the shard.
    #[error("record of {page} has too many {what} for the shard format")]
    TooMany { page: PageRef, what: &'static str },
    /// A value cannot be serialised.
    #[error("cannot encode {what}: {reason}")]
    Encode { what: &'static str, reason: String },
    /// A defect of this program: the sealing thread panicked. The journal is whole, and the next start seals it.
    #[error("the thread that seals {} panicked: give the same command again", path.display())]
    SealingPanicked { path: PathBuf },
    /// The store thread has ended; the event that it sent before has the reason.
    #[error("the store thread of {} has stopped: its earlier error says why", path.display())]
    Stopped { path: PathBuf },
    /// The thread pool cannot be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads { threads: usize, reason: String },
}

/// The result type of this module.
pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// Whether the same command can continue the run once the directory is writable again.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            StoreError::Full { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::Vanished { .. }
                | StoreError::InUse { .. }
                | StoreError::Stopped { .. }
                | StoreError::RecordsLost { .. }
        )
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        StoreError::Damaged { path: path.into(), reason: reason.into() }
    }
}

/// Returns an error if a file is of another run.
pub(super) fn check_run(path: &Path, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(StoreError::OtherRun { path: path.into(), found: found.into(), expected: expected.into() })
}

/// Adds the action and the file to an error, and recognises full and read-only file systems.
pub(super) trait Context<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path: directory_of(path) },
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path: directory_of(path) },
            _ => StoreError::Io { action, path: path.into(), source },
        })
    }
}

impl<T> Context<T> for hdf5::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| {
            let reason = error.to_string();
            if names(&reason, Errno::NOSPC) || names(&reason, Errno::DQUOT) {
                StoreError::Full { path: directory_of(path) }
            } else if names(&reason, Errno::ROFS) {
                StoreError::ReadOnly { path: directory_of(path) }
            } else {
                StoreError::Hdf5 { action, path: path.into(), reason }
            }
        })
    }
}

/// Whether an error of the HDF5 library names this `errno`. The library's error stack has it as text only.
fn names(reason: &str, code: Errno) -> bool {
    reason.contains(&format!("errno = {},", code.raw_os_error()))
}

/// The directory to name in an error of the file system of `path`.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !path.is_dir() => parent.into(),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_file_system_name_the_directory_and_other_errors_the_file() {
        let error_of = |code: Errno| {
            let failed: io::Result<()> = Err(io::Error::from_raw_os_error(code.raw_os_error()));
            failed.doing("write", Path::new("run/store/rank-00000.0000.journal")).unwrap_err()
        };
        for code in [Errno::NOSPC, Errno::DQUOT] {
            let error = error_of(code);
            assert!(matches!(&error, StoreError::Full { path } if path == Path::new("run/store")), "{error}");
        }
        let error = error_of(Errno::ROFS);
        assert!(matches!(&error, StoreError::ReadOnly { path } if path == Path::new("run/store")), "{error}");
        let error = error_of(Errno::ACCESS).to_string();
        assert!(error.starts_with("cannot write run/store/rank-00000.0000.journal: "), "{error}");
    }
}
