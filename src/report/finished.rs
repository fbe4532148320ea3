//! `finished.json`: the mark of a start that came to its own end, for whoever started it.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::RunOutcome;
use crate::files::replace;

/// Name of the mark in the run directory. mpirun's exit code is a hint at most (it says 0 after a killed rank, and
/// hangs after a lost host: facts on MPI, when a rank dies).
pub const FINISHED_FILE: &str = "finished.json";

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The exit code of the run.
    pub exit_code: u8,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether another start at once, without the silent hosts, can go on.
    pub again: bool,
    /// Hosts of ranks that fell silent.
    pub silent_hosts: Vec<String>,
}

impl Finished {
    /// Writes the mark in one step.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub fn write(&self, run_directory: &Path) -> io::Result<()> {
        replace(&run_directory.join(FINISHED_FILE), &serde_json::to_vec(self)?)
    }
}
