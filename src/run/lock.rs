//! The lock of a run directory: only one run works in it at a time.
//!
//! The lock is a `flock`, which the system releases when its owner dies. Some parallel file systems have no locks, or
//! locks that hold within one host only. Therefore the owner also writes its identity into the file, and a sign of life
//! every [`BEAT`]. A lock whose owner is on another host is taken only after no sign of life for [`STALE`].

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::preparation_error::PreparationError;
use crate::sys::{LockAttempt, RunningProcess, host_name, try_lock};

const LOCK_FILE: &str = "lock";
const BEAT: Duration = Duration::from_secs(2);
/// Several beats: a network file system may hide a change for some seconds in its attribute cache.
const STALE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);
/// The owner is padded to this many bytes, so that a new beat overwrites the old one in place.
const WIDTH: usize = 256;

/// The process that works in a run directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    host: String,
    process: u32,
    /// Start time of the process, in the system's ticks since boot. It distinguishes a later process with the same id.
    started: u64,
    beat: u64,
}

/// Holds a run directory until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    beats: Option<(Sender<()>, JoinHandle<()>)>,
    file: File,
}

impl RunLock {
    /// Takes the run directory. Waits up to `wait` for an owner that is about to end.
    ///
    /// # Errors
    /// Another run works in the directory, or it cannot be written.
    pub fn take(run_directory: &Path, wait: Duration) -> Result<RunLock, PreparationError> {
        let path = run_directory.join(LOCK_FILE);
        let failed = |source| PreparationError::RunDirectory { path: path.clone(), source };
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let last = Instant::now() + wait;
        loop {
            let system_locks = match try_lock(&file) {
                Ok(LockAttempt::Taken) => true,
                Ok(LockAttempt::Busy) if Instant::now() < last => {
                    std::thread::sleep(POLL);
                    continue;
                }
                Ok(LockAttempt::Busy) => return Err(in_use(run_directory, read_owner(&file))),
                // If a lock fails in another way, signs of life are used instead, too.
                Ok(LockAttempt::NoLocks(error)) | Err(error) => {
                    tracing::warn!(%error, "this file system has no locks: relying on the time stamps in {}", path.display());
                    false
                }
            };
            match read_owner(&file) {
                Some(owner) if owner.may_live(system_locks) && sends_signs_of_life(&file, &owner) => {
                    if Instant::now() >= last {
                        return Err(in_use(run_directory, Some(owner)));
                    }
                    std::thread::sleep(POLL);
                }
                _ => return Self::hold(file).map_err(failed),
            }
        }
    }

    fn hold(file: File) -> io::Result<RunLock> {
        let owner = Owner::this_process();
        write_owner(&file, &owner)?;
        let (stop, stopped) = channel();
        let beating = file.try_clone()?;
        let thread =
            std::thread::Builder::new().name("bocr-lock".into()).spawn(move || renew(&beating, owner, &stopped))?;
        Ok(RunLock { beats: Some((stop, thread)), file })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beats.take() {
            drop(stop);
            let _ = thread.join();
        }
        // An empty file has no owner. A file that cannot be emptied becomes stale soon.
        let _ = self.file.set_len(0);
    }
}

impl Owner {
    fn this_process() -> Owner {
        let process = std::process::id();
        Owner { host: host_name(), process, started: start_of(process).unwrap_or_default(), beat: 0 }
    }

    /// Whether the owner may still work in the directory although its lock was free.
    fn may_live(&self, system_locks: bool) -> bool {
        if self.host != host_name() {
            return true;
        }
        !system_locks && start_of(self.process) == Some(self.started)
    }
}

/// Start time of a process; `None` if it is gone.
fn start_of(process: u32) -> Option<u64> {
    RunningProcess::of(i32::try_from(process).ok()?).map(|process| process.started)
}

fn sends_signs_of_life(file: &File, owner: &Owner) -> bool {
    if owner.host == host_name() {
        return true;
    }
    tracing::info!(host = owner.host, "the run directory was last used on another host: checking whether it still is");
    let last = Instant::now() + STALE;
    while Instant::now() < last {
        if read_owner(file).is_some_and(|now| now != *owner) {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}

fn read_owner(file: &File) -> Option<Owner> {
    let mut bytes = [0; WIDTH];
    let length = file.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(&bytes[..length]).ok()
}

fn write_owner(file: &File, owner: &Owner) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(owner)?;
    bytes.resize(WIDTH.max(bytes.len()), b' ');
    file.write_all_at(&bytes, 0)
}

fn renew(file: &File, mut owner: Owner, stopped: &Receiver<()>) {
    while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        owner.beat += 1;
        // An error is ignored here: if the disk is full or gone, writers of data report it.
        let _ = write_owner(file, &owner);
    }
}

fn in_use(run_directory: &Path, owner: Option<Owner>) -> PreparationError {
    let by = owner.map_or_else(String::new, |owner| format!(" (process {} on {})", owner.process, owner.host));
    PreparationError::Locked { directory: PathBuf::from(run_directory), by }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_elsewhere(directory: &Path) -> (File, Owner) {
        let owner = Owner { host: "another-host".into(), process: 1, started: 1, beat: 0 };
        let file = File::create(directory.join(LOCK_FILE)).unwrap();
        write_owner(&file, &owner).unwrap();
        (file, owner)
    }

    #[test]
    fn a_held_directory_is_refused_and_its_owner_named_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let lock = RunLock::take(directory.path(), Duration::ZERO).unwrap();
        let refused = RunLock::take(directory.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        drop(RunLock::take(directory.path(), Duration::ZERO).unwrap());
    }

    #[test]
    fn an_owner_on_another_host_that_gives_signs_is_respected_though_the_lock_was_free() {
        let directory = tempfile::tempdir().unwrap();
        let (file, owner) = owner_elsewhere(directory.path());
        let (stop, stopped) = channel();
        let beating = std::thread::spawn(move || renew(&file, owner, &stopped));
        let refused = RunLock::take(directory.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(refused.contains("another-host"), "{refused}");
        drop(stop);
        beating.join().unwrap();
    }

    #[test]
    fn without_system_locks_a_living_process_of_this_host_is_told_from_a_later_one_of_its_id() {
        let living = Owner::this_process();
        assert!(living.may_live(false) && !living.may_live(true));
        assert!(!Owner { started: living.started + 1, ..living }.may_live(false));
    }
}
