//! `status.json`: the same snapshot for other programs and for a login node.

use std::{io, path::Path};

use super::{STATUS_FILE, Snapshot};

/// Writes the status file of the run directory in one step, so that a reader never sees half of it.
///
/// # Errors
/// The run directory cannot be written.
pub fn write_status(run_directory: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(snapshot)?;
    let temporary = run_directory.join(format!("{STATUS_FILE}.tmp"));
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, run_directory.join(STATUS_FILE))
}
