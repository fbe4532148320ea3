//! Reads a journal, torn or damaged as it may be.
//!
//! A bad frame with nothing readable behind it is a torn tail: it was never reported durable. A bad frame with whole
//! frames behind it is damage to what was durable; reading goes on at the next frame whose checksum holds.

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

/// Bytes that are looked through at a time for the next whole frame.
const WINDOW: usize = 64 << 10;

/// Places of a journal that cannot be read although whole frames lie behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// How many places.
    pub places: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
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
    frames: Frames,
    opening: JournalHeader,
}

impl JournalReader {
    /// Opens a journal. `None`: it was cut before its opening was durable, so it holds nothing.
    ///
    /// # Errors
    /// The file cannot be read, its opening is lost, or it has another version.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let file = File::open(path).doing("open journal", path)?;
        let length = file.metadata().doing("open journal", path)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; JOURNAL_HEADER];
        if !read_whole(&mut reader, &mut header).doing("read journal", path)? {
            return Ok(None);
        }
        let [magic @ .., v0, v1, v2, v3] = header;
        let begins_well = magic == MAGIC;
        let found = u32::from_le_bytes([v0, v1, v2, v3]);
        if begins_well && found != VERSION {
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
        let first = if begins_well {
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
            None if frames.is_torn_beginning(begins_well)? => Ok(None),
            Some(_) | None => Err(StoreError::OpeningLost { path: path.into() }),
        }
    }

    /// Whose journal it is.
    pub fn opening(&self) -> &JournalHeader {
        &self.opening
    }

    /// The next record, documents and damaged places passed over; `None` at the end or at a torn tail.
    ///
    /// # Errors
    /// The file cannot be read, or a whole frame is not one of this program's.
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
        self.frames.length - self.frames.at
    }

    /// The damage passed over so far; final once the end was reached.
    pub fn damage(&self) -> Damage {
        self.frames.damage
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let Some(kind) = self.frames.next()? else { return Ok(None) };
        let Frames { path, at, payload, .. } = &self.frames;
        // The checksum is good, so a frame that does not decode is another program's, not a torn one.
        let damaged = |reason: String| StoreError::damaged(path, format!("frame that ends at byte {at}: {reason}"));
        match FrameKind::from_code(kind) {
            Some(FrameKind::Document) => Ok(Some(Entry::Document(frame::decode(payload).map_err(damaged)?))),
            Some(FrameKind::Page) => Ok(Some(Entry::Page(Box::new(frame::decode(payload).map_err(damaged)?)))),
            Some(FrameKind::JournalHeader) => Err(damaged("a second opening".into())),
            None => Err(damaged(format!("unknown kind {kind}"))),
        }
    }
}

/// The whole frames of a journal, one after the other.
#[derive(Debug)]
struct Frames {
    path: PathBuf,
    reader: BufReader<File>,
    length: u64,
    /// Where the last whole frame ended. The reader stands there too, until a frame was bad and none was found behind.
    at: u64,
    /// Of the last frame read.
    payload: Vec<u8>,
    damage: Damage,
}

impl Frames {
    /// Reads the payload of the next whole frame and tells its kind.
    fn next(&mut self) -> Result<Option<u8>> {
        if self.at == self.length {
            return Ok(None);
        }
        match self.read().doing("read journal", &self.path)? {
            Some(kind) => Ok(Some(kind)),
            None => self.search(),
        }
    }

    /// The frame that begins here; `None` where it is not whole.
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

    /// Looks behind a bad place for the next whole frame. Kind and length, which nearly all places fail, are looked at
    /// before a payload is read.
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
            start += (size - (FRAME_HEADER - 1)) as u64;
        }
        self.reader.seek(SeekFrom::End(0)).doing("read journal", &self.path)?;
        Ok(None)
    }

    /// Reads the payload of what may be a frame at `at`.
    fn is_whole(&mut self, at: u64, header: Header) -> Result<bool> {
        self.payload.resize(header.length as usize, 0);
        let place = at + FRAME_HEADER as u64;
        self.reader.get_ref().read_exact_at(&mut self.payload, place).doing("read journal", &self.path)?;
        Ok(header.matches(&self.payload))
    }

    /// Whether a journal without a whole frame was cut while its opening was written, so that nothing was durable yet.
    /// Records are written only after it is: if anything follows, it was not torn. A power cut may leave zeros.
    fn is_torn_beginning(&mut self, begins_well: bool) -> Result<bool> {
        let first = JOURNAL_HEADER as u64;
        let mut bytes = [0; FRAME_HEADER];
        self.reader.seek(SeekFrom::Start(first)).doing("read journal", &self.path)?;
        let has_header = read_whole(&mut self.reader, &mut bytes).doing("read journal", &self.path)?;
        if begins_well && (!has_header || first + Header::decode(bytes).frame_size() >= self.length) {
            return Ok(true);
        }
        let from = if begins_well { first } else { 0 };
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

/// Fills `buffer`; `false` where the file ends before.
fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| true),
    }
}
