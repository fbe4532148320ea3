//! Sealing: a journal becomes a shard, in one go, and may be killed at any point.
//!
//! 1. a shard that was already made from this journal only needs the journal deleted;
//! 2. the shard is written under a temporary name of this process in the same directory and closed;
//! 3. it is opened again and its counts are compared with what was written;
//! 4. it is synced, renamed, and the directory synced;
//! 5. the journal is deleted; one that is damaged is kept under another name, for what cannot be read of it.
//!
//! Until 4 the journal is the truth, after it the shard is, and 1 keeps the two from being counted together. The
//! journal is held throughout. Temporary files of killed processes are deleted by [`super::UnfinishedFiles::find`].

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::{Context, Result, StoreError},
    hold::JournalLock,
    journal_reader::{Damage, Entry, JournalReader},
    layout::{Durability, Layout, Publishing, StoreFile, publish, remove_if_present, sync_directory},
    shard::{Counts, ShardWriter},
    shard_reader::ShardReader,
};
use crate::{
    corpus,
    model::{Document, PageRef},
};

/// What became of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The journal, now deleted or renamed.
    pub journal: PathBuf,
    /// The shard; `None` where the journal held no record.
    pub shard: Option<PathBuf>,
    /// Records in the shard.
    pub pages: u64,
    /// Bytes of a torn tail that were cut; they were never reported durable.
    pub torn_bytes: u64,
    /// Where the journal was damaged.
    pub kept: Option<Kept>,
}

/// A damaged journal. Its lost pages are read again, because no record settles them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its new name.
    pub path: PathBuf,
    /// What could not be read.
    pub damage: Damage,
    /// Records that can be read but are in no shard, because the document that they belong to was lost and the plan has
    /// no such page.
    pub orphaned: u64,
}

/// What has just been done in a sealing. A process may be killed after each, and so before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealStep {
    /// The journal is held; nothing is done.
    Begun,
    /// The temporary file has its empty tables.
    Created,
    /// The record of this row was handed to the library.
    Written(u64),
    /// Everything was handed to the library.
    Filled,
    /// The temporary file is closed.
    Closed,
    /// It was read back.
    Checked,
    /// It is on the disk.
    Synced,
    /// It has its final name.
    Renamed,
    /// So it has on the disk.
    DirectorySynced,
    /// The journal is deleted, or has its other name.
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

/// Seals a journal that nobody writes any more, or that its process leaves within `wait`. `None`: it is gone, because
/// its process has sealed it.
///
/// # Errors
/// The journal is held by a living process or cannot be understood, the disk is full, or a shard of other origin has its
/// name. The journal is left as it is.
pub fn seal(layout: &Layout, file: StoreFile, wait: Duration) -> Result<Option<Sealed>> {
    seal_observed(layout, file, wait, &mut |_| ())
}

/// As [`seal`]; `on_step` is told of every step.
///
/// # Errors
/// As [`seal`].
pub fn seal_observed(
    layout: &Layout,
    file: StoreFile,
    wait: Duration,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Option<Sealed>> {
    let Some(hold) = JournalLock::acquire(&layout.journal(file), wait)? else { return Ok(None) };
    seal_held(layout, file, &hold, on_step).map(Some)
}

/// Seals a journal that this process holds.
pub(super) fn seal_held(
    layout: &Layout,
    file: StoreFile,
    hold: &JournalLock,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Sealed> {
    let (journal, shard, temporary) = (layout.journal(file), layout.shard(file), layout.unfinished_shard(file));
    hold.check_in_place()?;
    on_step(SealStep::Begun);
    let size = || fs::metadata(&journal).map(|metadata| metadata.len()).doing("look at journal", &journal);
    let mut reader = match JournalReader::open(&journal) {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            let torn_bytes = size()?;
            remove_if_present(&journal)?;
            let (shard, pages) = made_before(shard)?;
            return Ok(Sealed { journal, shard, pages, torn_bytes, kept: None });
        }
        Err(StoreError::OpeningLost { .. }) => {
            let damage = Damage { places: 1, bytes: size()? };
            let kept = Some(Kept { path: keep_damaged(layout, file)?, damage, orphaned: 0 });
            let (shard, pages) = made_before(shard)?;
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
        // The rename was seen, but perhaps not yet by the disk.
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
            // On a full disk its space is wanted; the first error is the one to tell.
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

/// The shard that was made of a journal before, and its records.
fn made_before(shard: PathBuf) -> Result<(Option<PathBuf>, u64)> {
    if !shard.exists() {
        return Ok((None, 0));
    }
    let pages = ShardReader::open(&shard)?.pages();
    Ok((Some(shard), pages))
}

/// Gives a damaged journal the name under which it is kept.
fn keep_damaged(layout: &Layout, file: StoreFile) -> Result<PathBuf> {
    let (journal, kept) = (layout.journal(file), layout.damaged_journal(file));
    if kept.exists() {
        let reason = format!("it would be kept as {}, which is there already: move that one away", kept.display());
        return Err(StoreError::damaged(&journal, reason));
    }
    fs::rename(&journal, &kept).doing("rename a damaged journal to", &kept)?;
    Ok(kept)
}

/// The documents of the plan, read when a journal has lost one of its own.
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

/// What a journal gave.
struct Written {
    pages: u64,
    /// See [`Kept::orphaned`].
    orphaned: u64,
}

/// Writes the journal's records under the temporary name and checks the closed file; no file where there is none.
fn write(
    reader: &mut JournalReader,
    plan: &mut Plan<'_>,
    temporary: &Path,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Written> {
    let mut writer = ShardWriter::create(temporary)?;
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
                writer.page(&record)?;
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
    Err(StoreError::damaged(temporary, format!("{found:?} read back where {written:?} were written")))
}
