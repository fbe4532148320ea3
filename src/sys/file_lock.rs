//! An exclusive lock on an open file: `flock` of the system.
//!
//! The lock belongs to the open file, so it ends with the process in every case.
//!
//! Some parallel file systems have no locks. [`try_lock`] reports this case separately from errors
//! ([`LockAttempt::NoLocks`]), and the caller decides by the location of the file:
//!
//! - The node's own disk always has locks. [`LockAttempt::required`] makes their absence an error.
//! - A run directory may have none. Its users continue with a warning; the run lock then relies on its heartbeat.

use std::{
    fs::{File, TryLockError},
    io, thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

/// Pause between two attempts, because `flock` itself has no timeout.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// Result of an attempt to lock a file.
#[derive(Debug)]
pub enum LockAttempt {
    /// The lock is held until the file is closed.
    Taken,
    /// Another open file holds the lock.
    Busy,
    /// The file system has no locks, so other processes are not kept out.
    NoLocks(io::Error),
}

impl LockAttempt {
    /// Whether the lock is held, for a file on a disk that must have locks.
    ///
    /// # Errors
    /// The file system has no locks.
    pub fn required(self) -> io::Result<bool> {
        match self {
            LockAttempt::Taken => Ok(true),
            LockAttempt::Busy => Ok(false),
            LockAttempt::NoLocks(error) => Err(error),
        }
    }
}

/// Tries once to lock a file, and does not wait.
///
/// # Errors
/// The system fails for a reason other than missing locks.
pub fn try_lock(file: &File) -> io::Result<LockAttempt> {
    match file.try_lock() {
        Ok(()) => Ok(LockAttempt::Taken),
        Err(TryLockError::WouldBlock) => Ok(LockAttempt::Busy),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(LockAttempt::NoLocks(error)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Tries to lock a file for up to `wait`. [`LockAttempt::Busy`] means that the time is over.
///
/// # Errors
/// As [`try_lock`].
pub fn lock_within(file: &File, wait: Duration) -> io::Result<LockAttempt> {
    let deadline = Instant::now() + wait;
    loop {
        match try_lock(file)? {
            LockAttempt::Busy if Instant::now() < deadline => thread::sleep(BETWEEN_ATTEMPTS),
            attempt => return Ok(attempt),
        }
    }
}

fn has_no_locks(error: &io::Error) -> bool {
    [Errno::NOTSUP, Errno::NOLCK, Errno::NOSYS].iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_locks_are_told_apart_from_other_errors() {
        let error = |code: Errno| io::Error::from_raw_os_error(code.raw_os_error());
        assert!([Errno::NOTSUP, Errno::NOLCK, Errno::NOSYS].into_iter().all(|code| has_no_locks(&error(code))));
        assert!(!has_no_locks(&error(Errno::IO)) && !has_no_locks(&error(Errno::BADF)));
        assert!(LockAttempt::NoLocks(error(Errno::NOSYS)).required().is_err());
    }

    #[test]
    fn a_lock_is_waited_for_up_to_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let [first, second] = [(); 2].map(|()| file.reopen().unwrap());
        assert!(matches!(try_lock(&first).unwrap(), LockAttempt::Taken));
        assert!(matches!(lock_within(&second, Duration::from_millis(60)).unwrap(), LockAttempt::Busy));
        drop(first);
        // A process that another test starts at this moment may hold the lock until it executes.
        assert!(matches!(lock_within(&second, Duration::from_secs(10)).unwrap(), LockAttempt::Taken));
    }
}
