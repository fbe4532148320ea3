//! Files of a run directory that a start removes.

use std::{io, path::PathBuf};

use super::preparation_error::PreparationError;

/// Removes a file, if it exists.
pub(super) fn remove_if_present(path: PathBuf) -> Result<(), PreparationError> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PreparationError::RunDirectory { path, source }),
        _ => Ok(()),
    }
}
