//! The hold on a journal: an exclusive `flock` on the file itself, for as long as its process writes or seals it.
//!
//! The lock lies with the open file, so it ends with its process however that ends, and a rank that outlives its run
//! keeps it: whoever recovers the run directory then waits, or refuses, instead of sealing what is still written.

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

/// Between two tries for a lock; `flock` itself has no limit of time.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// A journal that this process holds.
#[derive(Debug)]
pub(super) struct JournalLock {
    path: PathBuf,
    file: File,
}

impl JournalLock {
    /// Creates a journal and holds it; an existing file is never touched.
    pub(super) fn create(path: &Path) -> Result<JournalLock> {
        let hold = match OpenOptions::new().append(true).create_new(true).open(path) {
            Err(error) if is_gone(&error) => return Err(vanished_error(path)),
            file => JournalLock { path: path.into(), file: file.doing("create journal", path)? },
        };
        if hold.try_lock()? { Ok(hold) } else { Err(StoreError::InUse { path: path.into() }) }
    }

    /// Holds an existing journal, waiting for its process up to `wait`; `None` where it is gone, because its process
    /// has sealed it meanwhile.
    pub(super) fn acquire(path: &Path, wait: Duration) -> Result<Option<JournalLock>> {
        let deadline = Instant::now() + wait;
        loop {
            // NFS grants an exclusive lock only on a file that is open for writing.
            let hold = match OpenOptions::new().read(true).append(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => JournalLock { path: path.into(), file: file.doing("open journal", path)? },
            };
            // A lock on a file that was deleted while it was waited for holds nothing: look again.
            if hold.try_lock()? && hold.is_in_place()? {
                return Ok(Some(hold));
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

    /// Whether the path still names the open file: else what was written to it cannot be found again.
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

    /// `false` where another process holds it. File systems without locks count as free, with a warning.
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

/// A directory that was deleted, unmounted, or whose server has forgotten it.
fn is_gone(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::StaleNetworkFileHandle)
}

fn vanished_error(path: &Path) -> StoreError {
    StoreError::Vanished { path: directory_of(path) }
}
