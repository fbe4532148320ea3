//! The journal: an append-only file of frames, which has the valid records until its shard is sealed.
//!
//! A file is `magic (8 bytes) | version u32 | frames`. The first frame is the header: the rank and the run.

use std::{collections::BTreeSet, io::Write, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    error::{Context, Result},
    frame::{self, FrameKind},
    journal_lock::JournalLock,
    layout::sync_directory,
};
use crate::model::{Document, DocumentId, EngineNames, PageRecord, RankId};

pub(super) const MAGIC: [u8; 8] = *b"BOCRJRNL";
pub(super) const VERSION: u32 = 6;

/// Size of the part before the first frame, in bytes: magic and version.
pub const JOURNAL_HEADER: usize = MAGIC.len() + size_of::<u32>();

/// The run and the program that wrote a record; every journal and shard has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Identifies the run.
    pub run_id: String,
    /// The effective configuration, passwords hidden.
    pub configuration_toml: String,
    /// Version and build of the program.
    pub program_version: String,
    /// Names of the engines, in the order of the stages.
    pub engines: EngineNames,
}

/// The first frame of a journal. Two files with equal headers come from the same journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The rank that writes the journal.
    pub rank: RankId,
    /// Its number among the files of that rank.
    pub sequence: u32,
    /// When the journal was created, nanoseconds since the Unix epoch.
    pub created_unix_ns: i64,
    /// The run and the program that wrote its records.
    pub provenance: Provenance,
}

/// A journal being written. It is locked, so no other process can seal it meanwhile.
#[derive(Debug)]
pub struct JournalWriter {
    lock: JournalLock,
    pending: Vec<u8>,
    durable: u64,
    documents: BTreeSet<DocumentId>,
    records: u64,
}

impl JournalWriter {
    /// Creates a journal and makes it durable; an existing file is never changed.
    ///
    /// # Errors
    /// The file exists or cannot be written, or the directory is gone.
    pub fn create(path: &Path, header: &JournalHeader) -> Result<Self> {
        let mut pending = Vec::from(MAGIC);
        pending.extend_from_slice(&VERSION.to_le_bytes());
        frame::encode(FrameKind::JournalHeader, header, &mut pending)?;
        let lock = JournalLock::create(path)?;
        let mut journal = JournalWriter { lock, pending, durable: 0, documents: BTreeSet::new(), records: 0 };
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

    /// Writes the appended records and waits for the disk. The records count as durable only if the path still names
    /// the file.
    ///
    /// # Errors
    /// The disk is full or fails, or the directory no longer exists. The journal must not be used after that: its tail
    /// may be torn.
    pub fn sync(&mut self) -> Result<()> {
        let mut file = self.lock.file();
        file.write_all(&self.pending).and_then(|()| file.sync_data()).doing("write journal", self.lock.path())?;
        self.lock.check_in_place()?;
        self.durable += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Size of the durable part, in bytes.
    pub fn len(&self) -> u64 {
        self.durable
    }

    /// Whether the journal has no record, durable or appended.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Records that are durable or appended.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.lock.path()
    }

    /// Ends the writing and returns the lock, so that the journal stays locked until it is sealed.
    pub(super) fn into_lock(self) -> JournalLock {
        self.lock
    }
}
