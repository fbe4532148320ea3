//! Reads a journal, also a torn or damaged one.
//!
//! An invalid frame with no valid frame after it is a torn tail: it was never reported durable. An invalid frame with
//! valid frames after it is damage to durable records; reading continues at the next frame whose checksum matches.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    error::{Context, Result, StoreError},
    frame::{self, FRAME_HEADER, FrameKind, Header},
    journal::{JOURNAL_HEADER, JournalHeader, MAGIC, VERSION},
};
use crate::model::{Document, PageRecord};

/// Bytes that are searched at a time for the next valid frame.
const WINDOW: usize = 64 << 10;

/// Parts of a journal that cannot be read although valid frames follow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// How many such parts.
    pub places: u64,
    /// Their total size in bytes.
    pub bytes: u64,
}

/// One entry of a journal after its header.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Document(Document),
    Page(Box<PageRecord>),
}

/// A journal being read.
#[derive(Debug)]
pub struct JournalReader {
    frames: Frames,
    opening: JournalHeader,
}

impl JournalReader {
    /// Opens a journal. `None`: the file ends before the end of its header, so it has no durable record.
    ///
    /// # Errors
    /// The file cannot be read, its header is damaged, or it has another version.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let file = File::open(path).doing("open journal", path)?;
        let length = file.metadata().doing("open journal", path)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; JOURNAL_HEADER];
        if !read_whole(&mut reader, &mut header).doing("read journal", path)? {
            return Ok(None);
        }
        let [magic @ .., v0, v1, v2, v3] = header;
        let has_magic = magic == MAGIC;
        let found = u32::from_le_bytes([v0, v1, v2, v3]);
        if has_magic && found != VERSION {
            return Err(StoreError::Version { path: path.into(), found, expected: VERSION });
        }
        let mut frames = Frames {
            path: path.into(),
            reader,
            length,
            at: JOURNAL_HEADER as u64,
            payload: Vec::new(),
            damage: Damage::default(),
        };
        let first = if has_magic {
            frames.next()?
        } else {
            frames.at = 0;
            frames.search()?
        };
        match first {
            Some(kind) if kind == FrameKind::JournalHeader as u8 => {
                let opening = frame::decode(&frames.payload).map_err(|reason| StoreError::damaged(path, reason))?;
                Ok(Some(JournalReader { frames, opening }))
            }
            None if frames.is_torn_beginning(has_magic)? => Ok(None),
            Some(_) | None => Err(StoreError::HeaderLost { path: path.into() }),
        }
    }

    /// The header: the rank and the run of the journal.
    pub fn opening(&self) -> &JournalHeader {
        &self.opening
    }

    /// The next record; documents and damaged parts are skipped. `None` at the end or at a torn tail.
    ///
    /// # Errors
    /// The file cannot be read, or this program did not write a valid frame in it.
    pub fn next_record(&mut self) -> Result<Option<PageRecord>> {
        loop {
            match self.next_entry()? {
                Some(Entry::Document(_)) => {}
                Some(Entry::Page(record)) => return Ok(Some(*record)),
                None => return Ok(None),
            }
        }
    }

    /// Bytes after the last valid frame; final once the end was reached.
    pub fn torn_bytes(&self) -> u64 {
        self.frames.length - self.frames.at
    }

    /// The damage skipped so far; final once the end was reached.
    pub fn damage(&self) -> Damage {
        self.frames.damage
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let Some(kind) = self.frames.next()? else { return Ok(None) };
        let Frames { path, at, payload, .. } = &self.frames;
        // The checksum matches, so a frame that does not decode was written by another program; it is not torn.
        let damaged = |reason: String| StoreError::damaged(path, format!("frame that ends at byte {at}: {reason}"));
        match FrameKind::from_code(kind) {
            Some(FrameKind::Document) => Ok(Some(Entry::Document(frame::decode(payload).map_err(damaged)?))),
            Some(FrameKind::Page) => Ok(Some(Entry::Page(Box::new(frame::decode(payload).map_err(damaged)?)))),
            Some(FrameKind::JournalHeader) => Err(damaged("a second journal header".into())),
            None => Err(damaged(format!("unknown kind {kind}"))),
        }
    }
}

/// Iterates over the valid frames of a journal.
#[derive(Debug)]
struct Frames {
    path: PathBuf,
    reader: BufReader<File>,
    length: u64,
    /// Where the last valid frame ended, in bytes. The reader is there too, except after a search that found nothing.
    at: u64,
    /// Of the last frame read.
    payload: Vec<u8>,
    damage: Damage,
}

impl Frames {
    /// Reads the payload of the next valid frame and returns its kind.
    fn next(&mut self) -> Result<Option<u8>> {
        if self.at == self.length {
            return Ok(None);
        }
        match self.read().doing("read journal", &self.path)? {
            Some(kind) => Ok(Some(kind)),
            None => self.search(),
        }
    }

    /// Reads the frame at the reader's position; `None` where it is not valid.
    fn read(&mut self) -> std::io::Result<Option<u8>> {
        let mut bytes = [0; FRAME_HEADER];
        if !read_whole(&mut self.reader, &mut bytes)? {
            return Ok(None);
        }
        let header = Header::decode(bytes);
        if header.frame_size() > self.length - self.at {
            return Ok(None);
        }
        self.payload.resize(header.length as usize, 0);
        if !read_whole(&mut self.reader, &mut self.payload)? || !header.matches(&self.payload) {
            return Ok(None);
        }
        self.at += header.frame_size();
        Ok(Some(header.kind))
    }

    /// Searches for the next valid frame after an invalid one. It checks kind and length before it reads a payload,
    /// because nearly all positions fail these checks.
    fn search(&mut self) -> Result<Option<u8>> {
        let mut window = vec![0; WINDOW];
        let mut start = self.at + 1;
        while self.length.saturating_sub(start) >= FRAME_HEADER as u64 {
            let size = (self.length - start).min(WINDOW as u64) as usize;
            let bytes = &mut window[..size];
            self.reader.get_ref().read_exact_at(bytes, start).doing("read journal", &self.path)?;
            let headers = (0..size).map_while(|from| bytes[from..].first_chunk().copied()).map(Header::decode);
            for (at, header) in (start..).zip(headers) {
                let plausible = FrameKind::from_code(header.kind).is_some() && header.frame_size() <= self.length - at;
                if plausible && self.is_whole(at, header)? {
                    self.damage.places += 1;
                    self.damage.bytes += at - self.at;
                    self.at = at + header.frame_size();
                    self.reader.seek(SeekFrom::Start(self.at)).doing("read journal", &self.path)?;
                    return Ok(Some(header.kind));
                }
            }
            // The windows overlap, so that a frame header across two windows is found.
            start += (size - (FRAME_HEADER - 1)) as u64;
        }
        self.reader.seek(SeekFrom::End(0)).doing("read journal", &self.path)?;
        Ok(None)
    }

    /// Reads the payload of a possible frame at `at` and compares its checksum.
    fn is_whole(&mut self, at: u64, header: Header) -> Result<bool> {
        self.payload.resize(header.length as usize, 0);
        let place = at + FRAME_HEADER as u64;
        self.reader.get_ref().read_exact_at(&mut self.payload, place).doing("read journal", &self.path)?;
        Ok(header.matches(&self.payload))
    }

    /// Whether a journal without a valid frame was cut while its header was written, so that no record was durable yet.
    /// Records are written only after the header is durable: if other bytes follow, the header is damaged and not torn.
    /// A power failure may leave zeros.
    fn is_torn_beginning(&mut self, has_magic: bool) -> Result<bool> {
        let first = JOURNAL_HEADER as u64;
        let mut bytes = [0; FRAME_HEADER];
        self.reader.seek(SeekFrom::Start(first)).doing("read journal", &self.path)?;
        let has_header = read_whole(&mut self.reader, &mut bytes).doing("read journal", &self.path)?;
        if has_magic && (!has_header || first + Header::decode(bytes).frame_size() >= self.length) {
            return Ok(true);
        }
        let from = if has_magic { first } else { 0 };
        self.reader.seek(SeekFrom::Start(from)).doing("read journal", &self.path)?;
        let mut rest = vec![0; WINDOW];
        loop {
            match self.reader.read(&mut rest).doing("read journal", &self.path)? {
                0 => return Ok(true),
                size if rest[..size].iter().any(|byte| *byte != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}

/// Fills `buffer`; `false` where the file is too short.
fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| true),
    }
}
