//! Recovers the files of earlier starts: seals their journals and collects the records of all shards, without text.
//!
//! All ranks of a start share the work: one process finds the unfinished files, each rank recovers its share, and
//! [`super::latest_records()`] merges the results. [`read_only_view`] reads the journals and changes nothing.

use std::{cmp::Reverse, fs, io, num::NonZeroUsize, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    error::{Context, Result, StoreError, check_run},
    journal_lock::JournalLock,
    journal_reader::JournalReader,
    latest::{LatestRecord, latest_records},
    layout::{Layout, StoreFile, remove_if_present},
    seal::{Kept, Sealed, seal_locked},
    shard_reader::summaries_of_run,
};
use crate::model::{Document, LeaseId};

/// The cost to seal one byte of a journal, in bytes of a shard whose rows are read: a shard is a fifth of its journal,
/// and most of it is text that is skipped.
const JOURNAL_WEIGHT: u64 = 100;

/// A journal or shard of an earlier start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedFile {
    /// The rank that wrote the file, and its number.
    pub file: StoreFile,
    /// Size in bytes; 0 where the file was gone when it was measured.
    pub bytes: u64,
}

/// The files of earlier starts in a run directory, or a share of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedFiles {
    /// Journals that are not sealed.
    pub journals: Vec<UnfinishedFile>,
    /// Shards without a journal.
    pub shards: Vec<UnfinishedFile>,
    /// How many interrupted files [`UnfinishedFiles::find`] deleted.
    pub deleted: u64,
}

impl UnfinishedFiles {
    /// Deletes files whose writing was interrupted and lists the other files. One process calls it, before any rank
    /// recovers its share. A process that outlived its run and still seals loses its temporary file: its sealing fails
    /// and its journal is kept.
    ///
    /// # Errors
    /// The directory cannot be listed, or a file cannot be deleted.
    pub fn find(run_directory: &Path) -> Result<UnfinishedFiles> {
        let layout = Layout::new(run_directory);
        let listing = layout.listing()?;
        for (_, path) in &listing.temporaries {
            remove_if_present(path)?;
        }
        let size = |file, path: &Path| match fs::metadata(path) {
            // A process that outlived its run has sealed the journal after it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(UnfinishedFile { file, bytes: 0 }),
            metadata => Ok(UnfinishedFile { file, bytes: metadata.doing("look at", path)?.len() }),
        };
        let journals = listing.journals.iter().map(|file| size(*file, &layout.journal(*file)));
        // A shard that still has its journal is read when the journal is recovered.
        let sealed = listing.shards.iter().filter(|file| listing.journals.binary_search(file).is_err());
        Ok(UnfinishedFiles {
            journals: journals.collect::<Result<_>>()?,
            shards: sealed.map(|file| size(*file, &layout.shard(*file))).collect::<Result<_>>()?,
            deleted: listing.temporaries.len() as u64,
        })
    }

    /// Whether there is nothing to recover.
    pub fn is_empty(&self) -> bool {
        self.journals.is_empty() && self.shards.is_empty()
    }

    /// Divides the files among `ranks` ranks, so that all have about the same work.
    pub fn shares(self, ranks: NonZeroUsize) -> Vec<UnfinishedFiles> {
        let mut shares = vec![UnfinishedFiles::default(); ranks.get()];
        shares[0].deleted = self.deleted;
        let mut load = vec![0; ranks.get()];
        let mut deal =
            |files: Vec<UnfinishedFile>, weight: u64, table: fn(&mut UnfinishedFiles) -> &mut Vec<UnfinishedFile>| {
                let mut files = files;
                files.sort_by_key(|unfinished| (Reverse(unfinished.bytes), unfinished.file));
                for unfinished in files {
                    let least = (0..load.len()).min_by_key(|rank| load[*rank]).unwrap_or_default();
                    // An empty file has to be opened too.
                    load[least] += (unfinished.bytes + 1) * weight;
                    table(&mut shares[least]).push(unfinished);
                }
            };
        deal(self.journals, JOURNAL_WEIGHT, |share| &mut share.journals);
        deal(self.shards, 1, |share| &mut share.shards);
        shares
    }
}

/// The records of a share, and its sealed journals.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// The final record of each page in the share, ordered by page. Pages of replaced documents are included, because
    /// only the plan knows them.
    pub records: Vec<LatestRecord>,
    /// Records of the share that are not in `records`.
    pub superseded: u64,
    /// The highest lease of any record; the leases of the next start begin above it.
    pub highest_lease: Option<LeaseId>,
    /// The journals that were sealed. A torn tail was cut (`torn_bytes`); damaged journals were kept.
    pub sealed: Vec<Sealed>,
}

/// Seals the journals of a share and returns the records of all its shards. If a running process has the lock on a
/// journal, waits for it up to `wait`.
///
/// # Errors
/// A shard is damaged, a journal cannot be read or is locked by another process, a file is not of the run `run_id`, or
/// the disk fails. A journal is deleted only after its records are durable in a shard.
pub fn recover(run_directory: &Path, share: &UnfinishedFiles, run_id: &str, wait: Duration) -> Result<Recovered> {
    let mut scan = Scan::new(run_directory, run_id, Journals::Sealed { wait });
    for unfinished in &share.journals {
        scan.journal(unfinished.file)?;
    }
    for unfinished in &share.shards {
        scan.shard(unfinished.file)?;
    }
    let all = scan.records.len();
    let highest_lease = scan.records.iter().map(|record| record.lease).max();
    let records = latest_records(scan.records, &[]);
    Ok(Recovered { superseded: (all - records.len()) as u64, records, highest_lease, sealed: scan.sealed })
}

/// The final record of each page, as the next start would find it. Nothing is sealed, deleted or locked. Records that a
/// run writes meanwhile may be missing.
///
/// # Errors
/// A file is damaged, is not of the run `run_id`, or cannot be read.
pub fn read_only_view(run_directory: &Path, documents: &[Document], run_id: &str) -> Result<Vec<LatestRecord>> {
    let mut scan = Scan::new(run_directory, run_id, Journals::AsTheyAre);
    // Journals first: a journal that is sealed meanwhile is then among the shards.
    for file in scan.layout.journals()? {
        scan.journal(file)?;
    }
    for file in scan.layout.shards()? {
        scan.shard(file)?;
    }
    Ok(latest_records(scan.records, documents))
}

/// What happens to the journals that are read.
#[derive(Debug, Clone, Copy)]
enum Journals {
    /// They are sealed, after a wait of up to `wait` for a process that still has the lock on one.
    Sealed { wait: Duration },
    /// They are only read; nothing in the directory changes.
    AsTheyAre,
}

/// Collects the records of a run's files, without their text.
struct Scan<'a> {
    layout: Layout,
    run_id: &'a str,
    journals: Journals,
    records: Vec<LatestRecord>,
    sealed: Vec<Sealed>,
}

impl<'a> Scan<'a> {
    fn new(run_directory: &Path, run_id: &'a str, journals: Journals) -> Self {
        Scan { layout: Layout::new(run_directory), run_id, journals, records: Vec::new(), sealed: Vec::new() }
    }

    fn journal(&mut self, file: StoreFile) -> Result<()> {
        match self.journals {
            Journals::Sealed { wait } => {
                // `None`: the process that wrote the journal has sealed it meanwhile.
                self.sealed.extend(seal_journal(&self.layout, file, self.run_id, wait)?);
                if self.layout.shard(file).exists() { self.shard(file) } else { Ok(()) }
            }
            Journals::AsTheyAre => self.unsealed_journal(file),
        }
    }

    fn unsealed_journal(&mut self, file: StoreFile) -> Result<()> {
        let path = self.layout.journal(file);
        let mut journal = match JournalReader::open(&path) {
            Ok(Some(journal)) => journal,
            Ok(None) | Err(StoreError::HeaderLost { .. }) => return Ok(()),
            // The journal was sealed after it was listed.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        check_run(&path, &journal.opening().provenance.run_id, self.run_id)?;
        let mut row = 0;
        while let Some(record) = journal.next_record()? {
            self.records.push(LatestRecord::of_record(&record, file.place(row)));
            row += 1;
        }
        Ok(())
    }

    fn shard(&mut self, file: StoreFile) -> Result<()> {
        let rows = summaries_of_run(&self.layout.shard(file), self.run_id)?;
        self.records.extend((0..).zip(&rows).map(|(row, summary)| LatestRecord::of_row(summary, file.place(row))));
        Ok(())
    }
}

fn seal_journal(layout: &Layout, file: StoreFile, run_id: &str, wait: Duration) -> Result<Option<Sealed>> {
    let path = layout.journal(file);
    let Some(lock) = JournalLock::acquire(&path, wait)? else { return Ok(None) };
    match JournalReader::open(&path) {
        Ok(Some(reader)) => check_run(&path, &reader.opening().provenance.run_id, run_id)?,
        // The journal has no readable header, so its run is unknown. Sealing it keeps or deletes it as needed.
        Ok(None) | Err(StoreError::HeaderLost { .. }) => {}
        Err(error) => return Err(error),
    }
    let sealed = seal_locked(layout, file, &lock, &mut |_| ())?;
    if sealed.torn_bytes > 0 {
        tracing::warn!(
            journal = %sealed.journal.display(),
            bytes = sealed.torn_bytes,
            "cut a torn tail of a journal; its pages were not reported as done and will be read again"
        );
    }
    if let Some(Kept { path: kept, damage, orphaned }) = &sealed.kept {
        tracing::warn!(
            journal = %sealed.journal.display(),
            places = damage.places,
            bytes = damage.bytes,
            orphaned,
            saved = sealed.pages,
            "a journal was damaged by a disk error; its lost pages will be read again; it is kept as {}: delete that \
             file after they are read",
            kept.display()
        );
    }
    Ok(Some(sealed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RankId;

    #[test]
    fn shares_hold_every_file_once_and_are_even() {
        let unfinished = |sequence: u32, bytes| UnfinishedFile { file: StoreFile { rank: RankId(1), sequence }, bytes };
        let journals: Vec<_> = (0..7).map(|number| unfinished(number, 1_000_000 * u64::from(number))).collect();
        let shards: Vec<_> = (10..50).map(|number| unfinished(number, 10_000_000)).collect();
        let all = UnfinishedFiles { journals: journals.clone(), shards: shards.clone(), deleted: 3 };
        for ranks in [1, 3, 64] {
            let shares = all.clone().shares(NonZeroUsize::new(ranks).unwrap());
            assert_eq!(shares.len(), ranks);
            assert_eq!(shares.iter().map(|share| share.deleted).sum::<u64>(), 3);
            let mut dealt: Vec<_> = shares.iter().flat_map(|share| share.journals.clone()).collect();
            dealt.sort_by_key(|unfinished| unfinished.file);
            assert_eq!(dealt, journals);
            let mut dealt: Vec<_> = shares.iter().flat_map(|share| share.shards.clone()).collect();
            dealt.sort_by_key(|unfinished| unfinished.file);
            assert_eq!(dealt, shards);
        }
        let work = |share: &UnfinishedFiles| {
            let bytes = |files: &[UnfinishedFile]| files.iter().map(|unfinished| unfinished.bytes).sum::<u64>();
            bytes(&share.journals) * JOURNAL_WEIGHT + bytes(&share.shards)
        };
        let shares = all.shares(NonZeroUsize::new(3).unwrap());
        let (least, most) = (shares.iter().map(work).min().unwrap(), shares.iter().map(work).max().unwrap());
        assert!(most - least <= most / 10, "{least} to {most}");
    }
}
