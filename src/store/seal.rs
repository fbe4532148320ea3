//! Sealing: a journal becomes a shard, in one go, and may be killed at any point.
//!
//! 1. a shard that was already made from this journal only needs the journal deleted;
//! 2. the shard is written under a temporary name of this process in the same directory and closed;
//! 3. it is opened again and its counts are compared with what was written;
//! 4. it is synced, renamed, and the directory synced;
//! 5. the journal is deleted.
//!
//! Until 4 the journal is the truth, after it the shard is, and 1 keeps the two from being counted together. The
//! journal is held throughout. Temporary files of killed processes are deleted by [`super::Leftovers::find`].

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::{Context, Result, StoreError},
    hold::Hold,
    journal::{Entry, JournalReader},
    layout::{Layout, StoreFile, remove_if_present, sync_directory},
    shard::{Counts, ShardWriter},
    shard_reader::ShardReader,
};

/// What became of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The journal, now deleted.
    pub journal: PathBuf,
    /// The shard; `None` where the journal held no record.
    pub shard: Option<PathBuf>,
    /// Records in the shard.
    pub pages: u64,
    /// Bytes of a torn tail that were cut; they were never reported durable.
    pub torn_bytes: u64,
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
    /// The journal is deleted.
    JournalDeleted,
}

/// Seals a journal that nobody writes any more, or that its process leaves within `wait`. `None`: it is gone, because
/// its process has sealed it.
///
/// # Errors
/// The journal is damaged or held by a living process, the disk is full, or a shard of other origin has its name. The
/// journal is kept.
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
    let Some(hold) = Hold::acquire(&layout.journal(file), wait)? else { return Ok(None) };
    seal_held(layout, file, &hold, on_step).map(Some)
}

/// Seals a journal that this process holds.
pub(super) fn seal_held(
    layout: &Layout,
    file: StoreFile,
    hold: &Hold,
    on_step: &mut dyn FnMut(SealStep),
) -> Result<Sealed> {
    let (journal, shard, temporary) = (layout.journal(file), layout.shard(file), layout.unfinished_shard(file));
    hold.check_in_place()?;
    on_step(SealStep::Begun);
    let Some(mut reader) = JournalReader::open(&journal)? else {
        let torn_bytes = fs::metadata(&journal).doing("open journal", &journal)?.len();
        remove_if_present(&journal)?;
        return Ok(Sealed { journal, shard: None, pages: 0, torn_bytes });
    };
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
        let made = write(&mut reader, &temporary, on_step).and_then(|pages| {
            if pages > 0 {
                publish(&temporary, &shard, &layout.store(), on_step)?;
            }
            Ok(pages)
        });
        if made.is_err() {
            // On a full disk its room is wanted; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        made?
    };
    let torn_bytes = reader.torn_bytes();
    remove_if_present(&journal)?;
    on_step(SealStep::JournalDeleted);
    Ok(Sealed { journal, shard: (pages > 0).then_some(shard), pages, torn_bytes })
}

/// Writes the journal's records under the temporary name and checks the closed file; no file where there is none.
fn write(reader: &mut JournalReader, temporary: &Path, on_step: &mut dyn FnMut(SealStep)) -> Result<u64> {
    let mut writer = ShardWriter::create(temporary)?;
    on_step(SealStep::Created);
    let mut pages = 0;
    while let Some(entry) = reader.next_entry()? {
        match entry {
            Entry::Document(document) => writer.document(document),
            Entry::Page(record) => {
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
        return Ok(0);
    }
    check(temporary, written, pages)?;
    on_step(SealStep::Checked);
    Ok(pages)
}

fn check(temporary: &Path, written: Counts, pages: u64) -> Result<()> {
    let found = ShardReader::open(temporary)?.counts();
    if found == written && found.pages == pages {
        return Ok(());
    }
    Err(StoreError::damaged(temporary, format!("{found:?} read back where {written:?} were written")))
}

fn publish(temporary: &Path, shard: &Path, directory: &Path, on_step: &mut dyn FnMut(SealStep)) -> Result<()> {
    File::open(temporary).and_then(|file| file.sync_all()).doing("sync", temporary)?;
    on_step(SealStep::Synced);
    fs::rename(temporary, shard).doing("rename a shard to", shard)?;
    on_step(SealStep::Renamed);
    sync_directory(directory)?;
    on_step(SealStep::DirectorySynced);
    Ok(())
}
