//! The lock on a journal: an exclusive `flock` on the file itself, for as long as its process writes or seals it.
//!
//! The lock belongs to the open file, so it ends with the process in every case. A rank that outlives its run keeps
//! the lock. A process that recovers the run directory then waits or fails; it does not seal a journal that is still
//! written.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use super::error::{Context, Result, StoreError, directory_of};
use crate::sys::{self, LockAttempt};

/// Pause between two attempts to take the lock, because `flock` itself has no timeout.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// A journal that this process has locked.
#[derive(Debug)]
pub(super) struct JournalLock {
    path: PathBuf,
    file: File,
}

impl JournalLock {
    /// Creates and locks a journal; an existing file is never changed.
    pub(super) fn create(path: &Path) -> Result<JournalLock> {
        let lock = match OpenOptions::new().append(true).create_new(true).open(path) {
            Err(error) if is_gone(&error) => return Err(vanished_error(path)),
            file => JournalLock { path: path.into(), file: file.doing("create journal", path)? },
        };
        if lock.try_lock()? { Ok(lock) } else { Err(StoreError::InUse { path: path.into() }) }
    }

    /// Locks an existing journal and waits up to `wait` for its present owner; `None` where the file no longer exists,
    /// because its owner has sealed it meanwhile.
    pub(super) fn acquire(path: &Path, wait: Duration) -> Result<Option<JournalLock>> {
        let deadline = Instant::now() + wait;
        loop {
            // NFS grants an exclusive lock only on a file that is open for writing.
            let lock = match OpenOptions::new().read(true).append(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => JournalLock { path: path.into(), file: file.doing("open journal", path)? },
            };
            // The owner may have sealed and deleted the file between the opening and the lock: then open it again.
            if lock.try_lock()? && lock.is_in_place()? {
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Err(StoreError::InUse { path: path.into() });
            }
            thread::sleep(BETWEEN_TRIES);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Returns an error if the path no longer names the open file: what is written to it then cannot be found again.
    pub(super) fn check_in_place(&self) -> Result<()> {
        if self.is_in_place()? { Ok(()) } else { Err(vanished_error(&self.path)) }
    }

    fn is_in_place(&self) -> Result<bool> {
        let open = self.file.metadata().doing("look at journal", &self.path)?;
        match std::fs::metadata(&self.path) {
            Err(error) if is_gone(&error) => Ok(false),
            named => {
                let named = named.doing("look at journal", &self.path)?;
                Ok((named.dev(), named.ino()) == (open.dev(), open.ino()))
            }
        }
    }

    /// `false` where another process has the lock. On a file system without locks the journal counts as free, with a
    /// warning.
    fn try_lock(&self) -> Result<bool> {
        match sys::try_lock(&self.file).doing("lock journal", &self.path)? {
            LockAttempt::Taken => Ok(true),
            LockAttempt::Busy => Ok(false),
            LockAttempt::NoLocks(error) => {
                static WARNED: Once = Once::new();
                WARNED.call_once(|| {
                    let directory = directory_of(&self.path);
                    tracing::warn!(
                        %error,
                        "{} is on a file system without locks: make sure that no other run uses it",
                        directory.display()
                    );
                });
                Ok(true)
            }
        }
    }
}

/// Whether the error says that the directory was deleted or unmounted, or that its NFS handle is stale.
fn is_gone(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::StaleNetworkFileHandle)
}

fn vanished_error(path: &Path) -> StoreError {
    StoreError::Vanished { path: directory_of(path) }
}
