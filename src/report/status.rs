//! `status.json`: the snapshot for other programs, for a login node, and for the launcher, which takes a file that
//! does not change any more for a run that hangs.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};

use super::{STATUS_FILE, Snapshot};

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
    phase: RunPhase,
    /// Counts the writings.
    beat: u64,
    #[serde(flatten)]
    snapshot: Option<&'a Snapshot>,
}

/// What the status file of a run says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// What the run is doing.
    pub phase: RunPhase,
    /// Counts the writings of a start.
    pub beat: u64,
    /// Where it stands; not known before the plan is.
    #[serde(flatten)]
    pub snapshot: Option<Snapshot>,
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
        match write(&path, &Written { phase, beat, snapshot: last.as_ref() }) {
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
