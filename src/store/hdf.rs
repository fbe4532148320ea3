//! Common HDF5 code of all files: library settings, attributes, appending in whole chunks.

use std::{env, path::Path};

use hdf5::{Dataset, File, FileBuilder, Group, H5Type, types::VarLenUnicode};

use super::error::{Context, Result, StoreError};

/// Uncompressed size of a chunk of text and of a table, in bytes. To read one page, a chunk of each is decompressed,
/// so small chunks make random reads fast. A page's text is about 30 KB and repeats itself; smaller chunks would
/// separate the repetitions and compress worse.
const TEXT_CHUNK: usize = 128 << 10;
const TABLE_CHUNK: usize = 64 << 10;

/// Appended items are passed to the library when they fill this many chunks.
const CHUNKS_WAITING: usize = 16;

const GZIP_LEVEL: u8 = 4;

/// The symbol for a zero byte.
const ZERO_BYTE: &str = "\u{2400}";

fn options() -> FileBuilder {
    let mut builder = FileBuilder::new();
    builder.with_fapl(|access| {
        access.libver_v18();
        // flock fails on many parallel file systems, and is not needed: every file has one writer and is renamed into
        // place. A user's own setting of the variable is kept.
        if env::var_os("HDF5_USE_FILE_LOCKING").is_none() {
            access.file_locking(false);
        }
        access
    });
    builder
}

pub(super) fn create(path: &Path) -> Result<File> {
    options().create(path).doing("create", path)
}

pub(super) fn open(path: &Path) -> Result<File> {
    options().open(path).doing("open", path)
}

/// A string of the HDF5 library. Such a string cannot hold a zero byte: each becomes the symbol for it, so that whatever
/// a journal holds can be sealed.
pub(super) fn text(value: &str) -> Result<VarLenUnicode> {
    value.replace('\0', ZERO_BYTE).parse().map_err(|error| StoreError::Encode {
        what: "a text for HDF5",
        reason: format!("{error}: `{}`", value.escape_debug()),
    })
}

/// Root attributes of a file being written.
pub(super) struct Attributes<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
}

impl Attributes<'_> {
    pub(super) fn text(&self, name: &str, value: &str) -> Result<()> {
        self.scalar(name, &text(value)?)
    }

    pub(super) fn scalar<T: H5Type>(&self, name: &str, value: &T) -> Result<()> {
        self.file
            .new_attr::<T>()
            .create(name)
            .and_then(|attribute| attribute.write_scalar(value))
            .doing("write an attribute of", self.path)
    }
}

/// Reads a root attribute.
pub(super) fn attribute<T: H5Type>(file: &File, path: &Path, name: &str) -> Result<T> {
    file.attr(name).and_then(|attribute| attribute.read_scalar()).doing("read an attribute of", path)
}

/// Reads a root attribute that is text.
pub(super) fn text_attribute(file: &File, path: &Path, name: &str) -> Result<String> {
    Ok(attribute::<VarLenUnicode>(file, path, name)?.as_str().to_owned())
}

/// Returns an error if a file is not of the named format and version.
pub(super) fn check_format(file: &File, path: &Path, format: &str, version: u32) -> Result<()> {
    let is = text_attribute(file, path, "format").map_err(|_| StoreError::damaged(path, format!("no {format}")))?;
    if is != format {
        return Err(StoreError::damaged(path, format!("a {is}, not a {format}")));
    }
    let found: u32 = attribute(file, path, "version")?;
    if found == version { Ok(()) } else { Err(StoreError::Version { path: path.into(), found, expected: version }) }
}

/// Appends to a one-dimensional dataset in whole chunks, so that each chunk is compressed exactly once.
pub(super) struct Appender<T> {
    dataset: Dataset,
    chunk: usize,
    written: usize,
    pending: Vec<T>,
}

impl<T: H5Type> Appender<T> {
    /// A dataset of rows, or of bytes where `T` is `u8`.
    pub(super) fn create(parent: &Group, name: &str, path: &Path) -> Result<Self> {
        let chunk = if size_of::<T>() == 1 { TEXT_CHUNK } else { (TABLE_CHUNK / size_of::<T>()).max(1) };
        let builder = parent.new_dataset::<T>().packed(true).chunk((chunk,));
        // Shuffling puts the equal bytes of rows side by side. Text has one byte an item: nothing to shuffle.
        let builder = if size_of::<T>() > 1 { builder.shuffle() } else { builder };
        let dataset = builder.deflate(GZIP_LEVEL).shape((0..,)).create(name).doing("create a dataset in", path)?;
        Ok(Appender { dataset, chunk, written: 0, pending: Vec::new() })
    }

    /// Items so far, which is also the position of the next item.
    pub(super) fn len(&self) -> u64 {
        (self.written + self.pending.len()) as u64
    }

    pub(super) fn push(&mut self, row: T) {
        self.pending.push(row);
    }

    /// Writes the whole chunks once there are enough of them; bounds the memory of a writer.
    pub(super) fn flush_when_full(&mut self, path: &Path) -> Result<()> {
        if self.pending.len() < self.chunk * CHUNKS_WAITING {
            return Ok(());
        }
        self.write(self.pending.len() / self.chunk * self.chunk, path)
    }

    /// Writes the remaining items and returns how many the dataset has.
    pub(super) fn finish(mut self, path: &Path) -> Result<u64> {
        self.write(self.pending.len(), path)?;
        Ok(self.written as u64)
    }

    fn write(&mut self, count: usize, path: &Path) -> Result<()> {
        let end = self.written + count;
        self.dataset
            .resize((end,))
            .and_then(|()| self.dataset.write_slice(&self.pending[..count], self.written..end))
            .doing("write a dataset of", path)?;
        self.pending.drain(..count);
        self.written = end;
        Ok(())
    }
}

impl Appender<u8> {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }
}

/// Reads `range` of a one-dimensional dataset.
pub(super) fn read_range<T: H5Type>(dataset: &Dataset, range: std::ops::Range<u64>, path: &Path) -> Result<Vec<T>> {
    let (start, end) = (range.start as usize, range.end as usize);
    if start > end || end > dataset.size() {
        let reason = format!("{} has {} items, but {start}..{end} were requested", dataset.name(), dataset.size());
        return Err(StoreError::damaged(path, reason));
    }
    Ok(dataset.read_slice_1d::<T, _>(start..end).doing("read", path)?.into_raw_vec_and_offset().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_under_the_library_is_recognised() {
        let error = create(Path::new("/dev/full")).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
}
