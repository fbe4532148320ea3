//! `status.json`: the current snapshot for other programs, for a login node, and for the launcher. The launcher takes a
//! file that no longer changes as the sign of a run that hangs.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};

use super::{FIRST_VERSION, STATUS_FILE, Snapshot, VERSION};

/// Phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// Planning, and reading the records of earlier starts.
    Preparing,
    /// Reading pages.
    Reading,
    /// Sealing, and writing the catalogue and the report.
    Ending,
}

/// The status file of a run directory. A thread writes it, so that a slow disk delays nothing else. Dropping it waits
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
    /// Number of the write, from 1.
    beat: u64,
    #[serde(flatten)]
    snapshot: Option<&'a Snapshot>,
}

/// Content of the status file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// Version of the file's format. Earlier programs wrote none, which means 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// What the run is doing.
    pub phase: RunPhase,
    /// Number of the write in this start, from 1.
    pub beat: u64,
    /// The counts; `None` until the plan is known.
    #[serde(flatten)]
    pub snapshot: Option<Snapshot>,
}

fn first_version() -> u32 {
    FIRST_VERSION
}

impl Status {
    /// Reads the last status of the run; `None` without one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(run_directory: &Path) -> io::Result<Option<Status>> {
        match std::fs::read(run_directory.join(STATUS_FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
        }
    }
}

impl StatusFile {
    /// Starts the thread. It writes nothing yet.
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

    /// Gives a status to the thread. Without a snapshot the last one is kept. The status is skipped if the disk is
    /// slow.
    pub fn write(&self, phase: RunPhase, snapshot: Option<Snapshot>) {
        if let Some(statuses) = &self.statuses {
            let _ = statuses.try_send((phase, snapshot));
        }
    }

    /// Gives a status to the thread that must not be skipped.
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

/// Warns once if the directory cannot be written. The writers of data report the error and end the run.
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

/// Writes atomically, so that a reader never sees half a file.
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
