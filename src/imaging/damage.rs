//! What a file that PDFium opens is known to have lost. PDFium repairs a file without saying so.

use crate::model::Damage;

use super::watched_file::Ends;

/// What is known of a document.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// Path of the file.
    pub(super) name: &'a str,
    /// Pages that the file says it has.
    pub(super) said: u32,
    /// Pages that can be read.
    pub(super) readable: u32,
}

impl Evidence<'_> {
    /// The damage; `None` if nothing speaks for one.
    pub(super) fn damage(&self, ends: &Ends) -> Option<Damage> {
        let linear = Linearized::of(&ends.head);
        let said = linear.and_then(|linear| linear.pages).unwrap_or(0).max(self.said);
        let whole_size = linear.and_then(|linear| linear.bytes).filter(|&bytes| bytes > ends.size);
        let pages = self.readable;
        let mut losses = Vec::new();
        if said > pages {
            losses.push(format!("{pages} pages can be read; the file says {said}: fetch it again"));
        }
        if let Some(bytes) = whole_size {
            losses.push(format!("it has {} bytes of {bytes}: fetch it again", ends.size));
        }
        let pages_missing = !losses.is_empty();
        if !has_end(&ends.tail) {
            losses.push(format!("it has no end, so it may be cut off; {pages} pages can be read"));
        } else if cross_reference(&ends.tail).is_none_or(|at| at >= ends.size) {
            losses.push(format!("its cross-reference is wrong and was rebuilt; {pages} pages can be read"));
        }
        (!losses.is_empty()).then(|| Damage { reason: format!("{}: {}", self.name, losses.join("; ")), pages_missing })
    }
}

/// The dictionary at the beginning of a file that is made for the web (ISO 32000-1, annex F).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Linearized {
    bytes: Option<u64>,
    pages: Option<u32>,
}

impl Linearized {
    fn of(head: &[u8]) -> Option<Linearized> {
        let head = String::from_utf8_lossy(head);
        let begin = head[..head.find("/Linearized")?].rfind("<<")?;
        let dictionary = head[begin..].split(">>").next()?;
        let number = |key: &str| {
            dictionary.split(key).skip(1).find_map(|rest| {
                let rest = rest.strip_prefix(|char: char| char.is_ascii_whitespace())?.trim_start();
                let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
                rest[..end].parse::<u64>().ok()
            })
        };
        Some(Linearized { bytes: number("/L"), pages: number("/N").and_then(|pages| u32::try_from(pages).ok()) })
    }
}

/// Whether the marker of the end is there.
fn has_end(tail: &[u8]) -> bool {
    tail.windows(5).any(|marker| marker == b"%%EOF")
}

/// Where the file says that its cross-reference lies.
fn cross_reference(tail: &[u8]) -> Option<u64> {
    let tail = String::from_utf8_lossy(tail);
    let (_, after) = tail.rsplit_once("startxref")?;
    after.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &[u8] = b"trailer <<>>\nstartxref\n900\n%%EOF\n";

    fn evidence(said: u32, readable: u32) -> Evidence<'static> {
        Evidence { name: "BO_1.pdf", said, readable }
    }

    fn ends(head: &[u8], tail: &[u8]) -> Ends {
        Ends { size: 1000, head: head.into(), tail: tail.into() }
    }

    #[test]
    fn a_whole_file_has_no_damage() {
        let linear = b"%PDF-1.5\n1 0 obj\n<< /Linearized 1 /L 1000 /H [ 500 20 ] /O 3 /E 600 /N 4 /T 900 >>";
        assert_eq!(evidence(4, 4).damage(&ends(b"%PDF-1.4", TAIL)), None);
        assert_eq!(evidence(4, 4).damage(&ends(linear, TAIL)), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let linear = b"%PDF-1.5\n1 0 obj\n<</Linearized 1/L 5000/H[500 20]/O 3/E 600/N 42/T 900>>";
        let said = |evidence: Evidence<'_>, ends: &Ends| evidence.damage(ends).unwrap();
        let cut = said(evidence(23, 23), &ends(linear, b"endobj"));
        assert!(cut.pages_missing && cut.reason.contains("23 pages can be read; the file says 42"), "{}", cut.reason);
        assert!(cut.reason.contains("1000 bytes of 5000"), "{}", cut.reason);
        let counted = said(evidence(50, 3), &ends(b"", TAIL));
        assert!(counted.pages_missing && counted.reason.contains("the file says 50"), "{}", counted.reason);
        let no_end = said(evidence(3, 3), &ends(b"", b"endobj"));
        assert!(!no_end.pages_missing && no_end.reason.contains("cut off"), "{}", no_end.reason);
    }

    #[test]
    fn a_wrong_cross_reference_is_said_and_costs_no_pages() {
        let repaired = evidence(3, 3).damage(&ends(b"", b"startxref\n9000\n%%EOF")).unwrap();
        assert!(!repaired.pages_missing && repaired.reason.contains("was rebuilt"), "{}", repaired.reason);
    }
}
