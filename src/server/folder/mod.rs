//! The private folder of a server: its sockets, the lock of its guard, and what a killed guard has left behind.

mod place;

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    model::{EngineName, error::chain},
    node::{EarlierGpus, NotPrivate},
    sys::{LockAttempt, RunningProcess, boot_id, try_lock, write_stderr},
};

use super::launch_hash::LaunchHash;

/// Variable that names the folder in the environment of the server and all its processes.
pub const FOLDER_VARIABLE: &str = "BOCR_SERVER";

/// How often the folder may be removed between two steps of its next guard before that counts as an error.
const REMOVALS: u32 = 100;

/// A folder that is not private to this user, or cannot be used.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another user owns it, or it is open to others: that user could read the key or pose as the server.
    #[error(transparent)]
    NotPrivate(#[from] NotPrivate),
    /// The operating system refuses.
    #[error("cannot use {folder} for the server's files: set TMPDIR to a writable folder of this node")]
    Io { folder: PathBuf, source: io::Error },
    /// The paths of its sockets would be too long.
    #[error("{folder} is too long for the path of a Unix socket: set TMPDIR to a shorter path")]
    TooLong { folder: PathBuf },
    /// No folder of this node is usable.
    #[error(
        "found no folder for the server's sockets, tried: {}",
        tried.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; ")
    )]
    Nowhere { tried: Vec<FolderError> },
    /// The run directory, whose identity names the folder, cannot be read.
    #[error("cannot read the run directory {path}")]
    RunDirectory { path: PathBuf, source: io::Error },
    /// Processes of an earlier server survive SIGKILL.
    #[error(
        "processes {} of an earlier server in {folder} still run after SIGKILL: end them, or use another node",
        processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Orphans { folder: PathBuf, processes: Vec<i32> },
}

/// What a guard writes about its server, for the next guard and the next lease holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Identifies what was launched.
    pub launch: LaunchHash,
    /// Where the server answers: a URL, or `unix:` and a path.
    pub address: String,
    /// Key that the server demands of its clients.
    pub key: Option<String>,
    /// Process group id of the server.
    pub group: i32,
    /// Start of the group's leader, clock ticks since boot. Together with `boot` it tells the process from a later one
    /// with the same id.
    pub started: u64,
    /// Id of the node's boot.
    pub boot: String,
    /// The server's GPU, as in `CUDA_VISIBLE_DEVICES`.
    pub gpu: Option<String>,
    /// File with the server's output.
    pub log: Option<PathBuf>,
}

/// Path of a server's folder; the folder need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFolder(pub(super) PathBuf);

/// The lock of a folder, held by its guard; released when the process ends at the latest.
#[derive(Debug)]
pub struct FolderLock(#[allow(dead_code, reason = "held, not read")] File);

impl ServerFolder {
    /// The folder of another server of the run on this node.
    pub fn sibling(&self, engine: &EngineName, local_rank: u32) -> ServerFolder {
        ServerFolder(self.0.with_file_name(server_name(engine, local_rank)))
    }

    /// Existing folders of the run's other servers on this node.
    pub fn other_folders(&self) -> Vec<ServerFolder> {
        let entries = self.0.parent().and_then(|run| std::fs::read_dir(run).ok()).into_iter().flatten().flatten();
        entries.map(|entry| ServerFolder(entry.path())).filter(|other| other != self).collect()
    }

    /// The GPUs of the servers that an earlier start of the run has left on this node; `self` is a folder of this rank.
    pub fn earlier_gpus(&self, local_rank: u32) -> EarlierGpus {
        let is_own = |folder: &ServerFolder| folder.local_rank() == Some(local_rank);
        let gpu = |folder: &ServerFolder| folder.record().filter(|record| record.boot == boot_id())?.gpu;
        let all = self.other_folders().into_iter().chain([self.clone()]);
        let (own, others): (Vec<_>, Vec<_>) = all.partition(is_own);
        EarlierGpus { others: others.iter().filter_map(gpu).collect(), own: own.iter().find_map(gpu) }
    }

    /// The place on the node of the rank whose server has the folder: see [`server_name`].
    fn local_rank(&self) -> Option<u32> {
        self.0.file_name()?.to_str()?.rsplit_once('-')?.1.parse().ok()
    }

    /// The folder at this path. The guard gets the path of a folder of [`ServerFolder::of`] as an argument.
    pub fn at(path: &Path) -> ServerFolder {
        ServerFolder(path.to_owned())
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Path of the socket of one start of a server without a port. Each start has a path of its own: the next start
    /// comes up within a fraction of a second, and on a shared path a health probe for the dead server would reach the
    /// new one.
    pub fn socket(&self, start: &str) -> PathBuf {
        self.0.join(format!("server-{start}.sock"))
    }

    /// Path of the socket on which the guard waits for the next lease holder.
    pub fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Whether the folder exists.
    ///
    /// # Errors
    /// The folder exists and is not private.
    pub fn exists(&self) -> Result<bool, FolderError> {
        for folder in self.parent_folders() {
            match std::fs::symlink_metadata(folder) {
                Ok(metadata) => NotPrivate::check(folder, &metadata)?,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(true)
    }

    /// Whether the folder was removed. A folder that cannot be looked at counts as existing.
    pub fn is_gone(&self) -> bool {
        std::fs::symlink_metadata(&self.0).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Makes the folder and takes its lock; `None` while another guard has it.
    ///
    /// # Errors
    /// The folder is not private, or cannot be made.
    pub fn lock(&self) -> Result<Option<FolderLock>, FolderError> {
        // The guards of earlier servers remove this folder and that of the run: either may go away between two steps.
        for _ in 0..REMOVALS {
            if !self.make()? || !self.exists()? {
                continue;
            }
            match self.try_lock() {
                Ok(Lock::Mine(lock)) => return Ok(Some(lock)),
                Ok(Lock::Taken) => return Ok(None),
                Ok(Lock::Absent) => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        Err(self.error(io::Error::new(ErrorKind::NotFound, "it is removed again and again")))
    }

    /// Makes both levels, unless they exist; false where the run's folder was removed in between.
    fn make(&self) -> Result<bool, FolderError> {
        for folder in self.parent_folders() {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == ErrorKind::NotFound && folder == self.0 => return Ok(false),
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(true)
    }

    fn try_lock(&self) -> io::Result<Lock> {
        let path = self.0.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lock::Absent),
            opened => opened?,
        };
        if !try_lock(&file).and_then(LockAttempt::required)? {
            return Ok(Lock::Taken);
        }
        // The last guard removes the file: a lock counts only if its file is still the one at this path.
        let found = std::fs::symlink_metadata(&path).is_ok_and(|found| {
            file.metadata().is_ok_and(|mine| (mine.dev(), mine.ino()) == (found.dev(), found.ino()))
        });
        Ok(if found { Lock::Mine(FolderLock(file)) } else { Lock::Absent })
    }

    /// The guard's record; `None` where there is none, or it cannot be read.
    pub fn record(&self) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.0.join("server.json")).ok()?).ok()
    }

    /// Time since the guard wrote the record, which it does as it starts the server.
    pub fn record_age(&self) -> Option<Duration> {
        std::fs::metadata(self.0.join("server.json")).ok()?.modified().ok()?.elapsed().ok()
    }

    /// Writes the record, readable by this user only.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn write(&self, record: &Record, _lock: &FolderLock) -> io::Result<()> {
        let unfinished = self.0.join("server.json.new");
        let _ = std::fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        std::fs::rename(unfinished, self.0.join("server.json"))
    }

    /// Removes the control socket of an earlier guard; a new guard could not listen on that path.
    pub fn clear_control(&self, _lock: &FolderLock) {
        let _ = std::fs::remove_file(self.control());
    }

    /// Removes the folder, and that of the run once it is empty. What cannot be removed is left to the next guard.
    pub fn remove(&self, lock: FolderLock) {
        let _ = std::fs::remove_dir_all(&self.0);
        if let [run, _] = self.parent_folders()[..] {
            let _ = std::fs::remove_dir(run);
        }
        drop(lock);
    }

    /// Kills what an earlier server left and waits until it is gone: its process group, if that is certainly the
    /// recorded one, and every process that names this folder in its environment.
    ///
    /// # Errors
    /// Killed processes still exist at the deadline, or processes cannot be listed.
    pub async fn end_orphans(&self, _lock: &FolderLock, deadline: Instant) -> Result<(), FolderError> {
        let record = self.record();
        let mut reported = false;
        loop {
            let processes = RunningProcess::all_of_this_user().map_err(|error| self.error(error))?;
            let group = record.as_ref().filter(|record| self.is_of(record, &processes)).map(|record| record.group);
            let left: Vec<&RunningProcess> = processes
                .iter()
                .filter(|process| Some(process.group) == group || self.is_named_by(process))
                .filter(|process| process.id != getpid().as_raw_nonzero().get())
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if !reported {
                let (number, folder) = (left.len(), self.0.display());
                write_stderr(&format!("bocr: ending {number} processes that an earlier server left in {folder}\n"));
                reported = true;
            }
            if let Some(group) = group.and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            for process in &left {
                if let Some(id) = Pid::from_raw(process.id) {
                    let _ = kill_process(id, Signal::KILL);
                }
            }
            if Instant::now() > deadline {
                let processes = left.iter().map(|process| process.id).collect();
                return Err(FolderError::Orphans { folder: self.0.clone(), processes });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the recorded group is still the server's. Its id may have been given to another group: then its leader
    /// did not start when the recorded one did, and no member names this folder or writes to the server's log. (A
    /// process that renames itself, as vLLM's engine does, may lose its environment by that.)
    fn is_of(&self, record: &Record, processes: &[RunningProcess]) -> bool {
        record.boot == boot_id()
            && processes.iter().filter(|process| process.group == record.group).any(|member| {
                (member.id == record.group && member.started == record.started)
                    || (member.started >= record.started && (self.is_named_by(member) || writes_to(member, record)))
            })
    }

    fn is_named_by(&self, process: &RunningProcess) -> bool {
        process.has_variable(FOLDER_VARIABLE, self.0.as_os_str())
    }

    /// The run's folder, and the server's folder within it.
    fn parent_folders(&self) -> Vec<&Path> {
        self.0.parent().into_iter().chain([self.0.as_path()]).collect()
    }

    fn error(&self, source: io::Error) -> FolderError {
        FolderError::Io { folder: self.0.clone(), source }
    }
}

/// Name of a server's folder within that of its run.
pub(super) fn server_name(engine: &EngineName, local_rank: u32) -> String {
    format!("{engine}-{local_rank}")
}

enum Lock {
    Mine(FolderLock),
    Taken,
    Absent,
}

fn writes_to(process: &RunningProcess, record: &Record) -> bool {
    let log = record.log.as_ref();
    log.is_some_and(|log| [1, 2].into_iter().any(|number| process.open_file(number).as_ref() == Some(log)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(root: &Path) -> ServerFolder {
        ServerFolder::at(&root.join("bocr-run").join("chandra-0"))
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = ServerFolder::at(&root.path().join("missing/bocr-run/chandra-0"));
        let error = folder.lock().unwrap_err();
        assert!(matches!(error, FolderError::Io { .. }) && error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn one_guard_at_a_time_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        let lock = folder.lock().unwrap().unwrap();
        assert!(folder.lock().unwrap().is_none());
        folder.remove(lock);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        drop(folder.lock().unwrap().unwrap());
        assert!(folder.exists().unwrap() && folder.lock().unwrap().is_some(), "a killed guard's folder");
    }

    /// A process group of its own with this environment, ended with the value.
    struct Group(std::process::Child);

    impl Group {
        fn start(variable: Option<(&str, &Path)>) -> Group {
            use std::os::unix::process::CommandExt;
            let mut command = std::process::Command::new("sleep");
            command.arg("1000").process_group(0).envs(variable);
            Group(command.spawn().unwrap())
        }

        fn record(&self, started: u64) -> Record {
            let launch = LaunchHash("a".into());
            let group = self.0.id() as i32;
            Record { launch, address: String::new(), key: None, group, started, boot: boot_id(), gpu: None, log: None }
        }

        fn started(&self) -> u64 {
            RunningProcess::of(self.0.id() as i32).unwrap().started
        }

        fn is_killed(&mut self) -> bool {
            self.0.try_wait().unwrap().is_some()
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn only_what_is_ours_beyond_doubt_is_killed() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        let lock = folder.lock().unwrap().unwrap();

        let mut reused = Group::start(None);
        folder.write(&reused.record(reused.started() - 1), &lock).unwrap();
        folder.end_orphans(&lock, Instant::now() + Duration::from_secs(10)).await.unwrap();
        assert!(!reused.is_killed(), "another process with the id of the recorded leader");
        folder.write(&Record { boot: "another".into(), ..reused.record(reused.started()) }, &lock).unwrap();
        folder.end_orphans(&lock, Instant::now() + Duration::from_secs(10)).await.unwrap();
        assert!(!reused.is_killed(), "recorded before the node was booted again");

        let mut leader = Group::start(None);
        folder.write(&leader.record(leader.started()), &lock).unwrap();
        folder.end_orphans(&lock, Instant::now() + Duration::from_secs(10)).await.unwrap();
        assert!(leader.is_killed() && !reused.is_killed());

        let (mut named, mut other) = (
            Group::start(Some((FOLDER_VARIABLE, folder.path()))),
            Group::start(Some((FOLDER_VARIABLE, &folder.path().join("x")))),
        );
        folder.end_orphans(&lock, Instant::now() + Duration::from_secs(10)).await.unwrap();
        assert!(named.is_killed() && !other.is_killed(), "a process that has left its group names its folder");
        assert_eq!(std::fs::metadata(folder.path().join("server.json")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        drop(folder.lock().unwrap());
        for path in [folder.path(), folder.path().parent().unwrap()] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o750)).unwrap();
            assert!(matches!(folder.lock(), Err(FolderError::NotPrivate(NotPrivate { mode: 0o750, .. }))));
            assert!(folder.exists().is_err());
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        std::fs::remove_dir_all(folder.path()).unwrap();
        std::os::unix::fs::symlink(root.path(), folder.path()).unwrap();
        assert!(matches!(folder.lock(), Err(FolderError::NotPrivate(_))), "a link");
    }
}
