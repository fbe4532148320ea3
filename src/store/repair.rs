//! Makes a run directory whole again as far as its own files allow, without reading a page.

use std::{path::Path, time::Duration};

use super::{
    catalogue::{self, CatalogueSummary},
    error::Result,
    recover::{UnfinishedFiles, recover},
    seal::Sealed,
};
use crate::model::Document;

/// How long a journal may still be held: a killed process is gone within moments.
const WAIT: Duration = Duration::from_secs(2);

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Interrupted files that were deleted.
    pub deleted: u64,
    /// Journals that are shards now.
    pub sealed: Vec<Sealed>,
    /// What the new catalogue says.
    pub catalogue: CatalogueSummary,
}

/// Deletes interrupted files, seals leftover journals and writes the catalogue anew. The caller makes sure that no run
/// works in the directory.
///
/// # Errors
/// A file is damaged, of another run than `run_id`, or a journal is held by a living process; or the disk fails. What
/// was done before stays done, and is safe to do again.
pub fn repair(run_directory: &Path, documents: &[Document], run_id: &str) -> Result<Repaired> {
    let leftovers = UnfinishedFiles::find(run_directory)?;
    let deleted = leftovers.deleted;
    let recovered = recover(run_directory, &leftovers, run_id, WAIT)?;
    let catalogue = catalogue::write(run_directory, documents)?;
    Ok(Repaired { deleted, sealed: recovered.sealed, catalogue })
}
