//! Describes a file that PDFium cannot open, with what to do.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Bytes at each end that are examined. The header may be anywhere in the first 1024 bytes, and the end-of-file marker
/// anywhere in the last.
const WINDOW: u64 = 1024;

/// Describes a file.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(WINDOW).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(size.saturating_sub(WINDOW)))?;
    let mut tail = Vec::new();
    file.take(WINDOW).read_to_end(&mut tail)?;
    Ok(describe(&head, &tail, size))
}

/// Describes a file with this beginning, end and size.
fn describe(head: &[u8], tail: &[u8], size: u64) -> String {
    let beginning = head.trim_ascii_start().to_ascii_lowercase();
    let says = |word: &str| beginning.starts_with(word.as_bytes());
    if size == 0 {
        "an empty file (0 bytes): fetch it again".into()
    } else if says("<!doctype html")
        || says("<html")
        || says("<head")
        || says("<?xml") && contains(&beginning, b"<html")
    {
        "an HTML page, not a PDF (an error page saved by a download?): fetch it again".into()
    } else if let Some(kind) = other_kind(head) {
        format!("{kind}, not a PDF")
    } else if !contains(head, b"%PDF-") {
        "no %PDF header: not a PDF".into()
    } else if !contains(tail, b"%%EOF") {
        format!("truncated: no end-of-file marker after {size} bytes: fetch it again")
    } else if size < 200 {
        format!("a PDF header without contents ({size} bytes): fetch it again")
    } else {
        "a damaged PDF (PDFium finds no readable page tree): fetch it again".into()
    }
}

/// Other formats that files with the ending `.pdf` often have.
fn other_kind(head: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "a ZIP archive or Office document"),
        (b"\xFF\xD8\xFF", "a JPEG image"),
        (b"\x89PNG", "a PNG image"),
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"%!PS", "a PostScript file"),
    ];
    let is_zero = head.iter().all(|&byte| byte == 0);
    KINDS
        .iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map(|&(_, kind)| kind)
        .or(is_zero.then_some("zero bytes only"))
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_wrong_file_is_named() {
        let header: &[u8] = b"%PDF-1.7\n1 0 obj <<>> endobj\n";
        let cases: [(&[u8], &[u8], u64, &str); 9] = [
            (b"", b"", 0, "empty file"),
            (b"\n<!DOCTYPE html><html>", b"</html>", 201, "an HTML page"),
            (b"<?xml version=\"1.0\"?><html>", b"</html>", 201, "an HTML page"),
            (b"PK\x03\x04....", b"....", 900, "a ZIP archive"),
            (&[0; 64], &[0; 64], 64, "zero bytes only"),
            (b"hello", b"hello", 5, "no %PDF header"),
            (header, b"endobj 17 0 obj", 700_000, "truncated: no end-of-file marker after 700000 bytes"),
            (header, b"%%EOF\n", 44, "a PDF header without contents"),
            (header, b"%%EOF\n", 4400, "a damaged PDF"),
        ];
        for (head, tail, size, expected) in cases {
            let said = describe(head, tail, size);
            assert!(said.contains(expected), "{said:?} does not say {expected:?}");
        }
    }
}
