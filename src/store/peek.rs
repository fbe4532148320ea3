//! How the pages of a run directory stand, for who only looks.

use std::{io, path::Path};

use super::{
    error::{Result, StoreError},
    finals::finals,
    journal_reader::JournalReader,
    layout::{Layout, StoreFile},
    recover::{Latest, Recorded},
    shard_reader::settled_columns,
};
use crate::model::Document;

/// The final record of each page, as the next start would find it. Nothing is sealed, deleted or locked; what a run writes
/// meanwhile may be missing.
///
/// # Errors
/// A file is damaged, is of another run than `run_id`, or cannot be read.
pub fn peek(run_directory: &Path, documents: &[Document], run_id: &str) -> Result<Vec<Recorded>> {
    let layout = Layout::new(run_directory);
    let mut records = Vec::new();
    // Journals first: one that is sealed meanwhile is among the shards then.
    for file in layout.journals()? {
        read_journal(&layout.journal(file), file, &mut records)?;
    }
    for file in layout.shards()? {
        settled_columns(&layout.shard(file), file, run_id, &mut records)?;
    }
    Ok(finals(records, documents))
}

fn read_journal(path: &Path, file: StoreFile, records: &mut Vec<Recorded>) -> Result<()> {
    let mut journal = match JournalReader::open(path) {
        Ok(Some(journal)) => journal,
        Ok(None) | Err(StoreError::OpeningLost { .. }) => return Ok(()),
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut row = 0;
    while let Some(record) = journal.next_record()? {
        let (lease, place) = (record.lease, file.place(row));
        let latest = Latest { lease, ahead: record.ahead, place };
        let (page, verdict, engine) = (record.page, record.verdict, record.engine);
        records.push(Recorded { page, lease, latest, verdict, engine, place });
        row += 1;
    }
    Ok(())
}
