//! What an earlier run left: its journals are sealed and its records made known, without reading text.

use std::{collections::BTreeMap, path::Path};

use super::{
    error::Result,
    layout::{Layout, remove_if_present},
    seal::{Sealed, seal},
    shard_reader::{Settled, ShardReader, finals},
};
use crate::model::{LeaseId, PageRef};

/// What is known of a run directory's pages.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// How every record settled its page, superseded ones included, shard by shard in row order.
    pub records: Vec<Settled>,
    /// Journals that had been left and are shards now. Those with `torn_bytes` were cut there.
    pub sealed: Vec<Sealed>,
}

impl Recovered {
    /// The highest lease that any record carries; the next run's leases begin above it.
    pub fn highest_lease(&self) -> Option<LeaseId> {
        self.records.iter().map(|record| record.lease).max()
    }

    /// The final record of each page: see [`crate::model::PageRecord::precedence`]. A failed one says on which engine.
    pub fn finals(&self) -> BTreeMap<PageRef, Settled> {
        let (finals, _) = finals(self.records.iter().map(|record| ((), *record)));
        finals.into_iter().map(|(page, ((), record))| (page, record)).collect()
    }
}

/// Makes a run directory ready for its next start: deletes interrupted shards, seals leftover journals, and tells
/// how all pages stand. Called by rank 0 before any [`super::Writer`] is started.
///
/// # Errors
/// A journal or shard is damaged, or the disk fails. Nothing is deleted that is not safe elsewhere.
pub fn recover(run_directory: &Path) -> Result<Recovered> {
    let layout = Layout::new(run_directory);
    for file in layout.unfinished_shards()? {
        remove_if_present(&layout.unfinished_shard(file))?;
    }
    let mut recovered = Recovered::default();
    for file in layout.journals()? {
        let sealed = seal(&layout, file)?;
        if sealed.torn_bytes > 0 {
            tracing::warn!(
                journal = %sealed.journal.display(),
                bytes = sealed.torn_bytes,
                "cut a torn tail; its pages were not reported and will be read again"
            );
        }
        recovered.sealed.push(sealed);
    }
    for file in layout.shards()? {
        recovered.records.extend(ShardReader::open(&layout.shard(file))?.settled()?);
    }
    Ok(recovered)
}
