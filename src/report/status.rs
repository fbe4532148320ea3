//! `status.json`: the snapshot for other programs, for a login node, and for the launcher, which takes a file that
//! does not change any more for a run that hangs.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};

use super::{FIRST_VERSION, STATUS_FILE, Snapshot, VERSION};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// Planning, and learning how the pages stand.
    Preparing,
    /// Reading pages.
    Reading,
    /// Sealing, writing the catalogue and the report.
    Ending,
}

/// The status file of a run directory, written by a thread of its own: a slow disk holds nobody up. Dropping it waits
/// until the last status is written.
#[derive(Debug)]
pub struct StatusFile {
    statuses: Option<SyncSender<(RunPhase, Option<Snapshot>)>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    phase: RunPhase,
    /// Counts the writings.
    beat: u64,
    #[serde(flatten)]
    snapshot: Option<&'a Snapshot>,
}

/// What the status file of a run says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// Version of the form of the file; earlier programs wrote none, which is 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// What the run is doing.
    pub phase: RunPhase,
    /// Counts the writings of a start.
    pub beat: u64,
    /// Where it stands; not known before the plan is.
    #[serde(flatten)]
    pub snapshot: Option<Snapshot>,
}

fn first_version() -> u32 {
    FIRST_VERSION
}

impl Status {
    /// The last status of the run; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(run_directory: &Path) -> io::Result<Option<Status>> {
        match std::fs::read(run_directory.join(STATUS_FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
        }
    }
}

impl StatusFile {
    /// Starts the thread; nothing is written yet.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub fn new(run_directory: &Path) -> io::Result<StatusFile> {
        let (sender, statuses) = sync_channel(1);
        let run_directory = run_directory.to_owned();
        let thread = std::thread::Builder::new().name("bocr-status".into());
        let thread = thread.spawn(move || write_all(&run_directory, &statuses))?;
        Ok(StatusFile { statuses: Some(sender), thread: Some(thread) })
    }

    /// Hands on what is to be written; without a snapshot the last one stays. Left out where the disk is behind.
    pub fn write(&self, phase: RunPhase, snapshot: Option<Snapshot>) {
        if let Some(statuses) = &self.statuses {
            let _ = statuses.try_send((phase, snapshot));
        }
    }

    /// Hands on a status that must not be left out.
    pub fn write_last(&self, phase: RunPhase, snapshot: Snapshot) {
        if let Some(statuses) = &self.statuses {
            let _ = statuses.send((phase, Some(snapshot)));
        }
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        self.statuses = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A directory that cannot be written is said once: those who lose something by it end the run.
fn write_all(run_directory: &Path, statuses: &Receiver<(RunPhase, Option<Snapshot>)>) {
    let path = run_directory.join(STATUS_FILE);
    let mut last = None;
    let mut failing = false;
    for (beat, (phase, snapshot)) in (1..).zip(statuses) {
        last = snapshot.or(last);
        match write(&path, &Written { version: VERSION, phase, beat, snapshot: last.as_ref() }) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "cannot write {}", path.display());
            }
            Err(_) => {}
        }
    }
}

/// In one step, so that a reader never sees half of it.
fn write(path: &PathBuf, status: &Written<'_>) -> io::Result<()> {
    let temporary = path.with_extension("json.tmp");
    std::fs::write(&temporary, serde_json::to_vec_pretty(status)?)?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_an_earlier_program_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = include_str!("../../tests/data/report/status-1.json");
        std::fs::write(folder.path().join(STATUS_FILE), earlier).unwrap();
        let status = Status::read(folder.path()).unwrap().unwrap();
        let snapshot = status.snapshot.unwrap();
        assert_eq!((status.version, snapshot.settled, snapshot.turns.number), (1, 4, 2));
    }

    #[test]
    fn a_status_is_written_with_its_version_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = StatusFile::new(folder.path()).unwrap();
        let snapshot = Snapshot::new(&crate::model::Counts::default(), 3, std::time::Duration::from_secs(2));
        file.write_last(RunPhase::Reading, snapshot.clone());
        drop(file);
        let status = Status::read(folder.path()).unwrap().unwrap();
        assert_eq!((status.version, status.snapshot), (VERSION, Some(snapshot)));
    }
}
