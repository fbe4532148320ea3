//! `finished.json`: the account of a start that ended by itself, for the process that started it.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::RunOutcome;
use crate::sys::{ExitCode, replace};

/// Name of the file in the run directory. mpirun's exit code is only a hint: it is 0 after a killed rank, and mpirun
/// hangs after a lost host (`docs/facts/mpi.md`, "When a rank dies").
pub const FINISHED_FILE: &str = "finished.json";

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The exit code of the run.
    pub exit_code: ExitCode,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether another start, without the silent hosts, can continue at once.
    pub again: bool,
    /// Hosts of ranks that became silent.
    pub silent_hosts: Vec<String>,
}

impl Finished {
    /// Reads the account of the last start that ended by itself; `None` without one.
    ///
    /// # Errors
    /// The file cannot be read.
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

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub fn write(&self, run_directory: &Path) -> io::Result<()> {
        replace(&run_directory.join(FINISHED_FILE), &serde_json::to_vec(self)?)
    }
}
