//! `finished.json`: the mark of a start that came to its own end, for whoever started it.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::RunOutcome;
use crate::sys::{ExitCode, replace};

/// Name of the mark in the run directory. mpirun's exit code is a hint at most (it says 0 after a killed rank, and
/// hangs after a lost host: `docs/facts/mpi.md`, "When a rank dies").
pub const FINISHED_FILE: &str = "finished.json";

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The exit code of the run.
    pub exit_code: ExitCode,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether another start at once, without the silent hosts, can go on.
    pub again: bool,
    /// Hosts of ranks that fell silent.
    pub silent_hosts: Vec<String>,
}

impl Finished {
    /// The mark of the last start that came to its own end; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(run_directory: &Path) -> io::Result<Option<Finished>> {
        match fs::read(run_directory.join(FINISHED_FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
        }
    }

    /// Whether every page is settled.
    pub fn is_settled(&self) -> bool {
        matches!(self.outcome, RunOutcome::Complete | RunOutcome::CompleteWithFailures)
    }

    /// Writes the mark in one step.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub fn write(&self, run_directory: &Path) -> io::Result<()> {
        replace(&run_directory.join(FINISHED_FILE), &serde_json::to_vec(self)?)
    }
}
