//! Sealing: a journal becomes a shard, in one go, and may be killed at any point.
//!
//! 1. a leftover of an interrupted sealing is deleted;
//! 2. a shard that was already made from this journal only needs the journal deleted;
//! 3. the shard is written under a temporary name in the same directory and closed;
//! 4. it is opened again and its counts are compared with what was written;
//! 5. it is synced, renamed, and the directory synced;
//! 6. the journal is deleted.
//!
//! Until 5 the journal is the truth, after it the shard is, and 2 keeps the two from being counted together.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{
    error::{Context, Result, StoreError},
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

/// Seals a journal that nobody writes any more.
///
/// # Errors
/// The journal is damaged, the disk is full, or a shard of other origin has its name. The journal is kept.
pub fn seal(layout: &Layout, file: StoreFile) -> Result<Sealed> {
    let (journal, shard, temporary) = (layout.journal(file), layout.shard(file), layout.unfinished_shard(file));
    remove_if_present(&temporary)?;
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
        let pages = write(&mut reader, &temporary)?;
        if pages > 0 {
            publish(&temporary, &shard, &layout.store())?;
        }
        pages
    };
    let torn_bytes = reader.torn_bytes();
    remove_if_present(&journal)?;
    Ok(Sealed { journal, shard: (pages > 0).then_some(shard), pages, torn_bytes })
}

/// Writes the journal's records under the temporary name and checks the closed file; no file where there is none.
fn write(reader: &mut JournalReader, temporary: &Path) -> Result<u64> {
    let mut writer = ShardWriter::create(temporary)?;
    let mut pages = 0;
    while let Some(entry) = reader.next_entry()? {
        match entry {
            Entry::Document(document) => writer.document(document),
            Entry::Page(record) => {
                writer.page(&record)?;
                pages += 1;
            }
        }
    }
    let written = writer.finish(reader.opening())?;
    if pages == 0 {
        remove_if_present(temporary)?;
        return Ok(0);
    }
    check(temporary, written, pages)?;
    Ok(pages)
}

fn check(temporary: &Path, written: Counts, pages: u64) -> Result<()> {
    let found = ShardReader::open(temporary)?.counts();
    if found == written && found.pages == pages {
        return Ok(());
    }
    Err(StoreError::damaged(temporary, format!("{found:?} read back where {written:?} were written")))
}

fn publish(temporary: &Path, shard: &Path, directory: &Path) -> Result<()> {
    File::open(temporary).and_then(|file| file.sync_all()).doing("sync", temporary)?;
    fs::rename(temporary, shard).doing("rename a shard to", shard)?;
    sync_directory(directory)
}
