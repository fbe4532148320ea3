//! The file of an open document, watched for what PDFium does not tell: it goes on without what it cannot read, and draws
//! a page without it.

use std::{
    cell::Cell,
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    rc::Rc,
};

/// What tells a file from another, or from itself after a change.
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

    /// The file that a path leads to now.
    ///
    /// # Errors
    /// There is none, or it cannot be looked at.
    pub fn at(path: &Path) -> io::Result<Identity> {
        std::fs::metadata(path).map(|metadata| Identity::of(&metadata))
    }
}

/// Whether all reads gave what they should.
#[derive(Debug, Clone)]
pub struct ReadFaults {
    file: Rc<File>,
    opened: Identity,
    first: Rc<Cell<Option<io::ErrorKind>>>,
}

impl ReadFaults {
    /// What identified the file when it was opened.
    pub fn identity(&self) -> Identity {
        self.opened
    }

    /// What went wrong since the file was opened; `None` if it was read as it was then.
    pub fn found(&self) -> Option<String> {
        if let Some(kind) = self.first.get() {
            return Some(format!("reading it failed: {kind}"));
        }
        match self.file.metadata() {
            Err(error) => Some(format!("it cannot be looked at: {error}")),
            Ok(metadata) => {
                let now = Identity::of(&metadata);
                let same = (now.bytes, now.modified) == (self.opened.bytes, self.opened.modified);
                (!same).then(|| "it was changed while it was read".into())
            }
        }
    }
}

/// A file that remembers its faults.
#[derive(Debug)]
pub struct WatchedFile {
    file: Rc<File>,
    first: Rc<Cell<Option<io::ErrorKind>>>,
}

impl WatchedFile {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<(WatchedFile, ReadFaults)> {
        let file = File::open(path)?;
        let opened = Identity::of(&file.metadata()?);
        let (file, first) = (Rc::new(file), Rc::new(Cell::new(None)));
        let faults = ReadFaults { file: Rc::clone(&file), opened, first: Rc::clone(&first) };
        Ok((WatchedFile { file, first }, faults))
    }
}

impl Read for WatchedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = (&*self.file).read(buffer);
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
