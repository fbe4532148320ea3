//! The file of an open document, with a record of its read errors and changes. PDFium does not report them: it renders
//! a page without the content that it cannot read.

use std::{
    cell::Cell,
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    rc::Rc,
};

/// Identifies a file and its state: differs for another file, and for the same file after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// The identity of the file that a path leads to now.
    ///
    /// # Errors
    /// The file does not exist, or its metadata cannot be read.
    pub fn at(path: &Path) -> io::Result<Identity> {
        std::fs::metadata(path).map(|metadata| Identity::of(&metadata))
    }
}

/// The bytes at both ends of a file.
#[derive(Debug)]
pub struct Ends {
    /// Size of the file in bytes.
    pub size: u64,
    /// The first bytes, at most [`END`].
    pub head: Vec<u8>,
    /// The last bytes, at most [`END`].
    pub tail: Vec<u8>,
}

/// Most bytes of an end. A header lies in the first 1024 bytes of a PDF, the marker of its end in the last.
const END: u64 = 1024;

/// The read errors and changes of an open file.
#[derive(Debug, Clone)]
pub struct ReadFaults {
    file: Rc<File>,
    opened: Identity,
    first: Rc<Cell<Option<io::ErrorKind>>>,
}

impl ReadFaults {
    /// The identity of the file when it was opened.
    pub fn identity(&self) -> Identity {
        self.opened
    }

    /// Both ends of the file; `None` if they cannot be read.
    pub fn ends(&self) -> Option<Ends> {
        let size = self.opened.bytes;
        let piece = |from| self.read(from, size.min(END));
        Some(Ends { size, head: piece(0)?, tail: piece(size.saturating_sub(END))? })
    }

    /// All bytes of the file; `None` if it has more than `most`, or cannot be read.
    pub fn contents(&self, most: u64) -> Option<Vec<u8>> {
        Some(self.opened.bytes).filter(|bytes| *bytes <= most).and_then(|bytes| self.read(0, bytes))
    }

    /// Reads `bytes` from a place. The place of the reader stays.
    fn read(&self, from: u64, bytes: u64) -> Option<Vec<u8>> {
        let mut piece = vec![0; usize::try_from(bytes).ok()?];
        match self.file.read_exact_at(&mut piece, from) {
            Ok(()) => Some(piece),
            Err(error) => {
                self.first.set(self.first.get().or(Some(error.kind())));
                None
            }
        }
    }

    /// The first fault since the file was opened; `None` if all reads succeeded and the file has not changed.
    pub fn found(&self) -> Option<String> {
        if let Some(kind) = self.first.get() {
            return Some(format!("the file could not be read: {kind}"));
        }
        match self.file.metadata() {
            Err(error) => Some(format!("the metadata of the file cannot be read: {error}")),
            Ok(metadata) => {
                let now = Identity::of(&metadata);
                let same = (now.bytes, now.modified) == (self.opened.bytes, self.opened.modified);
                (!same).then(|| "the file was changed while it was read".into())
            }
        }
    }
}

/// A file that records its first read error.
#[derive(Debug)]
pub struct WatchedFile {
    file: Rc<File>,
    first: Rc<Cell<Option<io::ErrorKind>>>,
    /// A number that reads as zero.
    zeroed: Option<Range<u64>>,
}

impl WatchedFile {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<(WatchedFile, ReadFaults)> {
        let file = File::open(path)?;
        let opened = Identity::of(&file.metadata()?);
        let (file, first) = (Rc::new(file), Rc::new(Cell::new(None)));
        let faults = ReadFaults { file: Rc::clone(&file), opened, first: Rc::clone(&first) };
        Ok((WatchedFile { file, first, zeroed: None }, faults))
    }

    /// The same file with a number, at these bytes, that reads as zero.
    pub fn with_zero(self, number: Range<u64>) -> Self {
        WatchedFile { zeroed: Some(number), ..self }
    }

    /// Writes the digit zero over the bytes of the number in a piece that begins at byte `from`.
    fn write_zeros(&self, piece: &mut [u8], from: u64) {
        for (place, byte) in (from..).zip(piece) {
            if self.zeroed.as_ref().is_some_and(|number| number.contains(&place)) {
                *byte = b'0';
            }
        }
    }
}

impl Read for WatchedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = if self.zeroed.is_some() { (&*self.file).stream_position()? } else { 0 };
        let result = (&*self.file).read(buffer);
        if let (Ok(read), Some(_)) = (&result, &self.zeroed) {
            self.write_zeros(&mut buffer[..*read], from);
        }
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
            && self.first.get().is_none()
        {
            self.first.set(Some(error.kind()));
        }
        result
    }
}

impl Seek for WatchedFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&*self.file).seek(position)
    }
}
