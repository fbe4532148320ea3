//! What identifies the bytes of an input.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::model::Fingerprint;

/// Read at once; large reads are what parallel file systems are good at.
const CHUNK: usize = 1 << 20;

/// Size and SHA-256 of the whole file.
///
/// # Errors
/// It cannot be read.
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
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
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
