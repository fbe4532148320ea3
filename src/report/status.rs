//! `status.json`: the snapshot for other programs, for a login node, and for the launcher, which takes a file that
//! does not change any more for a run that hangs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{STATUS_FILE, Snapshot};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// Planning, and learning how the pages stand.
    Preparing,
    /// Reading pages.
    Reading,
    /// Sealing, writing the catalogue and the report.
    Ending,
}

/// The status file of a run directory.
#[derive(Debug)]
pub struct StatusFile {
    run_directory: PathBuf,
    beat: u64,
    last: Option<Snapshot>,
    failing: bool,
}

#[derive(Serialize)]
struct Status<'a> {
    phase: RunPhase,
    /// Counts the writings.
    beat: u64,
    #[serde(flatten)]
    snapshot: Option<&'a Snapshot>,
}

impl StatusFile {
    /// Nothing is written yet.
    pub fn new(run_directory: &Path) -> StatusFile {
        StatusFile { run_directory: run_directory.to_owned(), beat: 0, last: None, failing: false }
    }

    /// Writes the file in one step, so that a reader never sees half of it; without a snapshot, with the last. A directory that cannot be written is said
    /// once: those who lose something by it end the run.
    pub fn write(&mut self, phase: RunPhase, snapshot: Option<Snapshot>) {
        self.beat += 1;
        self.last = snapshot.or_else(|| self.last.take());
        let path = self.run_directory.join(STATUS_FILE);
        let temporary = self.run_directory.join(format!("{STATUS_FILE}.tmp"));
        let written = serde_json::to_vec_pretty(&Status { phase, beat: self.beat, snapshot: self.last.as_ref() })
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&temporary, text))
            .and_then(|()| std::fs::rename(&temporary, &path));
        match written {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(%error, "cannot write {}", path.display());
            }
            Err(_) => {}
        }
    }
}
