//! Sealing: turns a journal into a shard. The process may be killed at any point.
//!
//! 1. If the shard of this journal already exists, only the journal is deleted.
//! 2. The shard is written under a temporary name of this process in the same directory, and closed.
//! 3. It is opened again, and its counts are compared with the counts that were written.
//! 4. It is synced and renamed, and the directory is synced.
//! 5. The journal is deleted. A damaged journal is renamed and kept, because of its unreadable parts.
//!
//! Before step 4 the journal has the valid records, after it the shard; step 1 prevents that both are counted. The
//! journal is locked throughout. [`super::UnfinishedFiles::find`] deletes temporary files of killed processes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::{Context, Result, StoreError},
    fitted::fitted,
    journal_lock::JournalLock,
    journal_reader::{Damage, Entry, JournalReader},
    layout::{Durability, Layout, Publishing, StoreFile, publish, remove_if_present, sync_directory},
    shard::{Counts, ShardWriter},
    shard_reader::ShardReader,
};
use crate::{
    corpus,
    model::{Document, PageRef},
};

/// The result of a sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The journal, now deleted or renamed.
    pub journal: PathBuf,
    /// The shard; `None` where the journal had no record.
    pub shard: Option<PathBuf>,
    /// Records in the shard.
    pub pages: u64,
    /// Size of a torn tail that was cut, in bytes; its records were never reported durable.
    pub torn_bytes: u64,
    /// The kept journal, if it was damaged.
    pub kept: Option<Kept>,
}

/// A damaged journal that was kept. Its lost pages are read again, because no record settles them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The new path of the journal.
    pub path: PathBuf,
    /// The parts that could not be read.
    pub damage: Damage,
    /// Records that are readable but in no shard: the journal has lost their document, and the plan has no such page.
    pub orphaned: u64,
}

/// The last completed step of a sealing. Tests kill a process after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealStep {
    /// The journal is locked; nothing is written.
    Begun,
    /// The temporary file has its empty tables.
    Created,
    /// The record of this row was passed to the HDF5 library.
    Written(u64),
    /// All data was passed to the HDF5 library.
    Filled,
    /// The temporary file is closed.
    Closed,
    /// The counts of the temporary file were compared.
    Checked,
    /// The temporary file is on the disk.
    Synced,
    /// The shard has its final name.
    Renamed,
    /// The directory with the final name is on the disk.
    DirectorySynced,
    /// The journal is deleted, or renamed if it is damaged.
    JournalDeleted,
}

impl From<Publishing> for SealStep {
    fn from(step: Publishing) -> Self {
        match step {
            Publishing::Synced => SealStep::Synced,
            Publishing::Renamed => SealStep::Renamed,
            Publishing::DirectorySynced => SealStep::DirectorySynced,
        }
    }
}

/// Seals a journal. If another process has the lock on it, waits for that process up to `wait`. `None`: the journal no
/// longer exists, because its process has sealed it.
///
/// # Errors
/// A running process has the lock on the journal, the journal cannot be read, the disk is full, or the shard's name is
/// taken by a shard of another journal. The journal is not changed then.
pub fn seal(layout: &Layout, file: StoreFile, wait: Duration) -> Result<Option<Sealed>> {
    seal_observed(layout, file, wait, &mut |_| ())
}

/// As [`seal`]; calls `on_step` after every step.
///
/// # Errors
/// As [`seal`].
pub fn seal_observed(
    layout: &Layout,
    file: StoreFile,
    wait: Duration,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Option<Sealed>> {
    let Some(lock) = JournalLock::acquire(&layout.journal(file), wait)? else { return Ok(None) };
    seal_locked(layout, file, &lock, on_step).map(Some)
}

/// Seals a journal that this process has locked.
pub(super) fn seal_locked(
    layout: &Layout,
    file: StoreFile,
    lock: &JournalLock,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Sealed> {
    let (journal, shard, temporary) = (layout.journal(file), layout.shard(file), layout.unfinished_shard(file));
    lock.check_in_place()?;
    on_step(SealStep::Begun);
    let size = || fs::metadata(&journal).map(|metadata| metadata.len()).doing("look at journal", &journal);
    let mut reader = match JournalReader::open(&journal) {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            let torn_bytes = size()?;
            remove_if_present(&journal)?;
            let (shard, pages) = existing_shard(shard)?;
            return Ok(Sealed { journal, shard, pages, torn_bytes, kept: None });
        }
        Err(StoreError::HeaderLost { .. }) => {
            let damage = Damage { places: 1, bytes: size()? };
            let kept = Some(Kept { path: keep_damaged(layout, file)?, damage, orphaned: 0 });
            let (shard, pages) = existing_shard(shard)?;
            return Ok(Sealed { journal, shard, pages, torn_bytes: 0, kept });
        }
        Err(error) => return Err(error),
    };
    let mut orphaned = 0;
    let pages = if shard.exists() {
        let sealed = ShardReader::open(&shard)?;
        if sealed.opening()? != *reader.opening() {
            return Err(StoreError::ForeignShard { shard, journal });
        }
        while reader.next_entry()?.is_some() {}
        // The rename may not be on the disk yet, so it is made durable before the journal is deleted.
        sync_directory(&layout.store())?;
        sealed.pages()
    } else {
        let mut plan = Plan { layout, documents: None };
        let made = write(&mut reader, &mut plan, &temporary, on_step).and_then(|written| {
            if written.pages > 0 {
                publish(&temporary, &shard, Durability::Durable, &mut |step| on_step(step.into()))?;
            }
            Ok(written)
        });
        if made.is_err() {
            // Frees the space on a full disk. An error here is ignored: the first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        let written = made?;
        orphaned = written.orphaned;
        written.pages
    };
    let (torn_bytes, damage) = (reader.torn_bytes(), reader.damage());
    let kept = if damage.places > 0 || orphaned > 0 {
        Some(Kept { path: keep_damaged(layout, file)?, damage, orphaned })
    } else {
        remove_if_present(&journal)?;
        None
    };
    on_step(SealStep::JournalDeleted);
    Ok(Sealed { journal, shard: (pages > 0).then_some(shard), pages, torn_bytes, kept })
}

/// The shard that an earlier sealing made of a journal, and its number of records.
fn existing_shard(shard: PathBuf) -> Result<(Option<PathBuf>, u64)> {
    if !shard.exists() {
        return Ok((None, 0));
    }
    let pages = ShardReader::open(&shard)?.pages();
    Ok((Some(shard), pages))
}

/// Renames a damaged journal, so that it is kept, and returns its new path.
fn keep_damaged(layout: &Layout, file: StoreFile) -> Result<PathBuf> {
    let (journal, kept) = (layout.journal(file), layout.damaged_journal(file));
    if kept.exists() {
        let reason = format!("it cannot be kept as {}, because that file exists: move that file away", kept.display());
        return Err(StoreError::damaged(&journal, reason));
    }
    fs::rename(&journal, &kept).doing("rename a damaged journal to", &kept)?;
    Ok(kept)
}

/// The documents of the plan. They are read only when a journal has lost a document.
struct Plan<'a> {
    layout: &'a Layout,
    documents: Option<Vec<Document>>,
}

impl Plan<'_> {
    /// The document of a page.
    fn document_of(&mut self, page: PageRef) -> Result<Option<Document>> {
        let documents = match &mut self.documents {
            Some(documents) => documents,
            none => {
                let plan = corpus::read(self.layout.run_directory()).map_err(StoreError::Plan)?;
                none.insert(plan.map(|plan| plan.documents).unwrap_or_default())
            }
        };
        let document = documents.get(page.document.index());
        Ok(document.filter(|document| page.page.0 < document.pages()).cloned())
    }
}

/// How many records of a journal were written.
struct Written {
    pages: u64,
    /// See [`Kept::orphaned`].
    orphaned: u64,
}

/// Writes the journal's records to the temporary file and checks the closed file. Deletes the file if it has no record.
fn write(
    reader: &mut JournalReader,
    plan: &mut Plan<'_>,
    temporary: &Path,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Written> {
    let mut writer = ShardWriter::create(temporary, &reader.opening().provenance.engines)?;
    on_step(SealStep::Created);
    let (mut pages, mut orphaned) = (0, 0);
    while let Some(entry) = reader.next_entry()? {
        match entry {
            Entry::Document(document) => writer.document(document),
            Entry::Page(record) => {
                if !writer.has_document(record.page.document) {
                    let Some(document) = plan.document_of(record.page)? else {
                        orphaned += 1;
                        continue;
                    };
                    writer.document(document);
                }
                writer.page(&fitted(*record))?;
                on_step(SealStep::Written(pages));
                pages += 1;
            }
        }
    }
    let filled = writer.fill(reader.opening())?;
    on_step(SealStep::Filled);
    let written = filled.close()?;
    on_step(SealStep::Closed);
    if pages == 0 {
        remove_if_present(temporary)?;
        return Ok(Written { pages, orphaned });
    }
    check(temporary, written, pages)?;
    on_step(SealStep::Checked);
    Ok(Written { pages, orphaned })
}

fn check(temporary: &Path, written: Counts, pages: u64) -> Result<()> {
    let found = ShardReader::open(temporary)?.counts();
    if found == written && found.pages == pages {
        return Ok(());
    }
    let list = |Counts { pages, parts, blocks, attempts, text }| {
        format!("{pages} pages, {parts} parts, {blocks} blocks, {attempts} attempts and {text} bytes of text")
    };
    Err(StoreError::damaged(temporary, format!("it has {}, but {} were written", list(found), list(written))))
}
