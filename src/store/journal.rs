//! The journal: an append-only file of frames, the truth of a page until its shard is sealed.
//!
//! A file is `magic (8 bytes) | version u32 | frames`; the first frame says whose journal it is. Reading stops at the
//! first frame that is not whole: what follows was never reported durable.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufReader, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    error::{Context, Result, StoreError},
    frame::{self, FRAME_HEADER, FrameKind, Header},
    hold::Hold,
    layout::sync_directory,
};
use crate::model::{Document, DocumentId, PageRecord, RankId};

const MAGIC: [u8; 8] = *b"BOCRJRNL";
const VERSION: u32 = 1;

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
pub struct Opening {
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
    hold: Hold,
    pending: Vec<u8>,
    durable: u64,
    documents: BTreeSet<DocumentId>,
}

impl JournalWriter {
    /// Creates a journal and makes it durable; an existing file is never touched.
    ///
    /// # Errors
    /// The file exists or cannot be written, or the directory is gone.
    pub fn create(path: &Path, opening: &Opening) -> Result<Self> {
        let mut pending = Vec::from(MAGIC);
        pending.extend_from_slice(&VERSION.to_le_bytes());
        frame::encode(FrameKind::Opening, opening, &mut pending)?;
        let hold = Hold::create(path)?;
        let mut journal = JournalWriter { hold, pending, durable: 0, documents: BTreeSet::new() };
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
        frame::encode(FrameKind::Page, record, &mut self.pending)
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
        self.documents.is_empty()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.hold.path()
    }

    /// Ends the writing; the journal stays held, to be sealed.
    pub(super) fn into_hold(self) -> Hold {
        self.hold
    }
}

/// One entry of a journal after its opening.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Document(Document),
    Page(Box<PageRecord>),
}

/// A journal being read.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    reader: BufReader<File>,
    opening: Opening,
    length: u64,
    whole: u64,
    payload: Vec<u8>,
}

impl JournalReader {
    /// Opens a journal. `None`: it was cut before its opening was durable, so it holds nothing.
    ///
    /// # Errors
    /// The file cannot be read, is not a journal, or has another version.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let file = File::open(path).doing("open journal", path)?;
        let length = file.metadata().doing("open journal", path)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; JOURNAL_HEADER];
        if !read_whole(&mut reader, &mut header).doing("read journal", path)? || header == [0; JOURNAL_HEADER] {
            return Ok(None);
        }
        let [magic @ .., v0, v1, v2, v3] = header;
        if magic != MAGIC {
            return Err(StoreError::damaged(
                path,
                "it does not begin as a journal does; move it away to go on without it",
            ));
        }
        let found = u32::from_le_bytes([v0, v1, v2, v3]);
        if found != VERSION {
            return Err(StoreError::Version { path: path.into(), found, expected: VERSION });
        }
        let mut payload = Vec::new();
        let whole = JOURNAL_HEADER as u64;
        let next = next_frame(&mut reader, length - whole, &mut payload).doing("read journal", path)?;
        let opening = match next {
            Next::Frame(kind) if kind == FrameKind::Opening as u8 => {
                frame::decode(&payload).map_err(|reason| StoreError::damaged(path, reason))?
            }
            // Records are written only after the opening is durable: if anything follows it, it was not torn.
            Next::Frame(_) | Next::Bad { more: true } => {
                return Err(StoreError::damaged(path, "its opening cannot be read; move it away to go on without it"));
            }
            Next::Bad { more: false } | Next::End => return Ok(None),
        };
        let whole = whole + (FRAME_HEADER + payload.len()) as u64;
        Ok(Some(JournalReader { path: path.into(), reader, opening, length, whole, payload }))
    }

    /// Whose journal it is.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The next record, documents passed over; `None` at the end or at a torn tail.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn next_record(&mut self) -> Result<Option<PageRecord>> {
        loop {
            match self.next_entry()? {
                Some(Entry::Document(_)) => {}
                Some(Entry::Page(record)) => return Ok(Some(*record)),
                None => return Ok(None),
            }
        }
    }

    /// Bytes after the last whole frame; final once the end was reached.
    pub fn torn_bytes(&self) -> u64 {
        self.length - self.whole
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let rest = self.length - self.whole;
        let next = next_frame(&mut self.reader, rest, &mut self.payload).doing("read journal", &self.path)?;
        let Next::Frame(kind) = next else { return Ok(None) };
        // The checksum is good, so a frame that does not decode is another program's, not a torn one.
        let damaged =
            |reason: String| StoreError::damaged(&self.path, format!("frame at byte {}: {reason}", self.whole));
        let entry = match FrameKind::from_code(kind) {
            Some(FrameKind::Document) => Entry::Document(frame::decode(&self.payload).map_err(damaged)?),
            Some(FrameKind::Page) => Entry::Page(Box::new(frame::decode(&self.payload).map_err(damaged)?)),
            Some(FrameKind::Opening) => return Err(damaged("a second opening".into())),
            None => return Err(damaged(format!("unknown kind {kind}"))),
        };
        self.whole += (FRAME_HEADER + self.payload.len()) as u64;
        Ok(Some(entry))
    }
}

/// What stands at a place in a journal.
enum Next {
    /// A whole frame of this kind.
    Frame(u8),
    /// Bytes that are no whole frame; `more` where the file goes on after the length they claim.
    Bad { more: bool },
    /// Nothing.
    End,
}

/// Reads the next frame's payload; `rest` bytes of the file are left.
fn next_frame(reader: &mut impl Read, rest: u64, payload: &mut Vec<u8>) -> std::io::Result<Next> {
    if rest == 0 {
        return Ok(Next::End);
    }
    let mut bytes = [0; FRAME_HEADER];
    if !read_whole(reader, &mut bytes)? {
        return Ok(Next::Bad { more: false });
    }
    let header = Header::decode(bytes);
    let size = u64::from(header.length) + FRAME_HEADER as u64;
    if size > rest {
        return Ok(Next::Bad { more: false });
    }
    payload.resize(header.length as usize, 0);
    let whole = read_whole(reader, payload)? && header.matches(payload);
    Ok(if whole { Next::Frame(header.kind) } else { Next::Bad { more: size < rest } })
}

/// Fills `buffer`; `false` where the file ends before.
fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| true),
    }
}
