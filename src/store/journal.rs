//! The journal: an append-only file of frames, the truth of a page until its shard is sealed.
//!
//! A file is `magic (8 bytes) | version u32 | frames`; the first frame says whose journal it is.

use std::{collections::BTreeSet, io::Write, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    error::{Context, Result},
    frame::{self, FrameKind},
    hold::JournalLock,
    layout::sync_directory,
};
use crate::model::{Document, DocumentId, PageRecord, RankId};

pub(super) const MAGIC: [u8; 8] = *b"BOCRJRNL";
pub(super) const VERSION: u32 = 4;

/// Bytes before the first frame: magic and version.
pub const JOURNAL_HEADER: usize = MAGIC.len() + size_of::<u32>();

/// Where the records of a run come from; kept in every journal and shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Identifies the run.
    pub run_id: String,
    /// The effective configuration, passwords hidden.
    pub configuration_toml: String,
    /// Version of the program, with its source revision where known.
    pub program_version: String,
}

/// The first frame of a journal. Equal openings are the same journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The rank that writes it.
    pub rank: RankId,
    /// Its number among that rank's files.
    pub sequence: u32,
    /// When it was created, nanoseconds since the Unix epoch.
    pub created_unix_ns: i64,
    /// Where its records come from.
    pub provenance: Provenance,
}

/// A journal being written. No other process can seal it meanwhile.
#[derive(Debug)]
pub struct JournalWriter {
    hold: JournalLock,
    pending: Vec<u8>,
    durable: u64,
    documents: BTreeSet<DocumentId>,
    records: u64,
}

impl JournalWriter {
    /// Creates a journal and makes it durable; an existing file is never touched.
    ///
    /// # Errors
    /// The file exists or cannot be written, or the directory is gone.
    pub fn create(path: &Path, opening: &JournalHeader) -> Result<Self> {
        let mut pending = Vec::from(MAGIC);
        pending.extend_from_slice(&VERSION.to_le_bytes());
        frame::encode(FrameKind::JournalHeader, opening, &mut pending)?;
        let hold = JournalLock::create(path)?;
        let mut journal = JournalWriter { hold, pending, durable: 0, documents: BTreeSet::new(), records: 0 };
        journal.sync()?;
        if let Some(directory) = path.parent() {
            sync_directory(directory)?;
        }
        Ok(journal)
    }

    /// Adds a record, and its document before the first of its pages. Durable after [`JournalWriter::sync`].
    ///
    /// # Errors
    /// The record cannot be encoded.
    pub fn append(&mut self, record: &PageRecord, document: &Document) -> Result<()> {
        if self.documents.insert(document.id) {
            frame::encode(FrameKind::Document, document, &mut self.pending)?;
        }
        frame::encode(FrameKind::Page, record, &mut self.pending)?;
        self.records += 1;
        Ok(())
    }

    /// Writes what was appended and waits for the disk. Durable means also that the file can be found again.
    ///
    /// # Errors
    /// The disk is full or fails, or the directory has vanished. The journal must not be used after that: its tail may
    /// be torn.
    pub fn sync(&mut self) -> Result<()> {
        let mut file = self.hold.file();
        file.write_all(&self.pending).and_then(|()| file.sync_data()).doing("write journal", self.hold.path())?;
        self.hold.check_in_place()?;
        self.durable += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Size of what is durable, in bytes.
    pub fn len(&self) -> u64 {
        self.durable
    }

    /// Whether no record is durable or waiting.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Records that are durable or waiting.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.hold.path()
    }

    /// Ends the writing; the journal stays held, to be sealed.
    pub(super) fn into_hold(self) -> JournalLock {
        self.hold
    }
}
