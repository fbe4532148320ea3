//! Identifies the bytes of an input: by their hash, or by size and time without reading the file.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Fingerprint;

/// Bytes of one read. Parallel file systems are fast at large reads.
const CHUNK: usize = 1 << 20;

/// When a file was last written, from its file system: nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Modified(pub i64);

/// Size and time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileStat {
    /// Size in bytes.
    pub(super) bytes: u64,
    /// `None` where the time does not fit, because it is centuries away; such a time is not reliable.
    pub(super) modified: Option<Modified>,
}

impl FileStat {
    /// Whether size and time are those of the planned file, so that the file need not be read.
    pub(super) fn matches(self, fingerprint: &Fingerprint, modified: Option<Modified>) -> bool {
        self.bytes == fingerprint.bytes && self.modified.is_some() && self.modified == modified
    }
}

/// Size and time of the file at a path.
///
/// # Errors
/// The path does not exist, or is not a regular file.
pub(super) fn stat_file(path: &Path) -> io::Result<FileStat> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let nanoseconds = metadata.mtime().checked_mul(1_000_000_000).and_then(|of| of.checked_add(metadata.mtime_nsec()));
    Ok(FileStat { bytes: metadata.size(), modified: nanoseconds.map(Modified) })
}

/// Size and SHA-256 of the whole file.
///
/// # Errors
/// The file cannot be read.
pub fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(&chunk[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let sha256 = hex::encode(hash.finalize());
    Ok(Fingerprint { bytes, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_hash_are_of_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdf");
        std::fs::write(&path, "abc".repeat(CHUNK)).unwrap();
        let whole = fingerprint(&path).unwrap();
        assert_eq!(whole.bytes, 3 * CHUNK as u64);
        std::fs::write(&path, "abc").unwrap();
        let short = fingerprint(&path).unwrap();
        assert_eq!(short.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_ne!(whole.sha256, short.sha256);
        assert!(fingerprint(&folder.path().join("absent.pdf")).is_err());
    }
}
