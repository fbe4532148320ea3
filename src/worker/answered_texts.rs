//! The long texts that this rank has accepted, so that one answer for different pages is seen.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hasher},
    sync::Mutex,
};

use crate::{
    engine::text_of,
    model::{PageRef, Part},
};

use super::mutex::lock;

/// Fewest letters and digits of a text that no two pages have by chance. Covers, and pages with a stamp, have fewer.
const LONG: usize = 400;
/// Most texts that are kept: 2 MB. All are forgotten when there are more.
const KEPT: usize = 50_000;

/// The texts by their hashes, with the page that was first to have each.
#[derive(Debug, Default)]
pub(super) struct AnsweredTexts(Mutex<HashMap<u64, Answered>>);

#[derive(Debug, Clone, Copy)]
struct Answered {
    page: PageRef,
    /// CRC-32C of the image.
    image: u32,
}

impl AnsweredTexts {
    /// The earlier page that got the same long text, though its image is another one. The first page that gets a text is
    /// kept.
    pub(super) fn earlier_page(&self, page: PageRef, png: &[u8], part: &Part) -> Option<PageRef> {
        let text = hash_of(part)?;
        let now = Answered { page, image: crc32c::crc32c(png) };
        let mut texts = lock(&self.0);
        if texts.len() >= KEPT {
            texts.clear();
        }
        match texts.entry(text) {
            Entry::Vacant(entry) => {
                entry.insert(now);
                None
            }
            Entry::Occupied(entry) => {
                let before = *entry.get();
                (before.page != page && before.image != now.image).then_some(before.page)
            }
        }
    }
}

/// The hash of the part's letters and digits, without running heads and feet; `None` for a short text.
fn hash_of(part: &Part) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut length = 0;
    for block in part.blocks.iter().filter(|block| !block.is_header_or_footer()) {
        for character in text_of(&block.html).chars().filter(|character| character.is_alphanumeric()) {
            hasher.write_u32(character.into());
            length += 1;
        }
    }
    (length >= LONG).then(|| hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BBox, Block, DocumentId, PageIndex};

    fn part(text: &str) -> Part {
        let block = |label: &str, html: String| Block { label: label.into(), bbox: None, html };
        let blocks =
            vec![block("Page-Header", format!("page {}", text.len())), block("Text", format!("<p>{text}</p>"))];
        Part { bbox: BBox::PAGE, attempt: 0, blocks, html: String::new(), markdown: String::new() }
    }

    fn page(document: u32, page: u32) -> PageRef {
        PageRef { document: DocumentId(document), page: PageIndex(page) }
    }

    #[test]
    fn a_long_text_belongs_to_one_page() {
        let texts = AnsweredTexts::default();
        let (long, short) = (part(&"Vu la loi n° 5-96 ".repeat(60)), part("Formulaire"));
        assert_eq!(texts.earlier_page(page(0, 0), b"one", &long), None);
        assert_eq!(texts.earlier_page(page(0, 0), b"one", &long), None, "the same page again");
        assert_eq!(texts.earlier_page(page(0, 1), b"two", &long), Some(page(0, 0)));
        assert_eq!(texts.earlier_page(page(7, 3), b"three", &long), Some(page(0, 0)), "of another document");
        assert_eq!(texts.earlier_page(page(0, 2), b"one", &long), None, "an equal image has an equal text");
        assert_eq!(texts.earlier_page(page(0, 3), b"four", &short), None);
        assert_eq!(texts.earlier_page(page(0, 4), b"five", &short), None, "a cover");
    }
}
