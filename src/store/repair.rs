//! Repairs a run directory from its own files, without reading a page again.

use std::{path::Path, time::Duration};

use super::{
    catalogue::{self, CatalogueSummary},
    error::Result,
    recover::{UnfinishedFiles, recover},
    seal::Sealed,
};
use crate::model::Document;

/// How long to wait for the lock on a journal: a killed process ends within moments.
const WAIT: Duration = Duration::from_secs(2);

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// How many interrupted files were deleted.
    pub deleted: u64,
    /// Journals that were sealed.
    pub sealed: Vec<Sealed>,
    /// The totals of the new catalogue.
    pub catalogue: CatalogueSummary,
}

/// Deletes interrupted files, seals the journals and writes the catalogue again. The caller makes sure that no run uses
/// the directory.
///
/// # Errors
/// A file is damaged or not of the run `run_id`, a running process has the lock on a journal, or the disk fails. The
/// steps done before the error stay done; the call can be repeated.
pub fn repair(run_directory: &Path, documents: &[Document], run_id: &str) -> Result<Repaired> {
    let unfinished = UnfinishedFiles::find(run_directory)?;
    let deleted = unfinished.deleted;
    let recovered = recover(run_directory, &unfinished, run_id, WAIT)?;
    let catalogue = catalogue::write(run_directory, documents)?;
    Ok(Repaired { deleted, sealed: recovered.sealed, catalogue })
}
