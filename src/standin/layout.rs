//! Words into blocks: Tesseract's own blocks, paragraphs and lines, in its reading order.
//!
//! Everything is `Text` but the running head of a gazette: where a block in the top 8.6 % of the image holds the
//! gazette's name, all blocks that end in that band are the page's header (facts of the corpus, 3). A column cut
//! out below the head has no such block, so its first lines are never taken for one.

use super::{
    dialect::{BlockKind, PageBlock},
    tesseract::{PixelBox, Word},
};
use crate::model::PixelSize;

/// The running head ends at this fraction of the height.
const HEAD: f64 = 0.086;
/// A word of the gazette's name, in either language.
const NAMES: [&str; 4] = ["BULLETIN", "OFFICIEL", "الجريدة", "الرسمية"];

/// The blocks of a page of `size` pixels. Empty blocks do not occur.
pub fn blocks(words: &[Word], size: PixelSize) -> Vec<PageBlock> {
    let mut blocks: Vec<PageBlock> = words
        .chunk_by(|one, next| one.place.0 == next.place.0)
        .map(|words| PageBlock {
            kind: BlockKind::Text,
            bounds: fractions(hull(words), size),
            paragraphs: words.chunk_by(|one, next| one.place.1 == next.place.1).map(paragraph).collect(),
        })
        .collect();
    let in_band = |block: &PageBlock| block.bounds[3] <= HEAD;
    if blocks.iter().any(|block| in_band(block) && names_the_gazette(block)) {
        for block in blocks.iter_mut().filter(|block| in_band(block)) {
            block.kind = BlockKind::PageHeader;
        }
    }
    blocks
}

fn names_the_gazette(block: &PageBlock) -> bool {
    block.paragraphs.iter().any(|text| NAMES.iter().any(|name| text.contains(name)))
}

/// Words joined by blanks, lines too; a line that ends in a hyphen is joined to the next without one.
fn paragraph(words: &[Word]) -> String {
    let mut text = String::new();
    for line in words.chunk_by(|one, next| one.place.2 == next.place.2) {
        if !text.is_empty() && !text.ends_with('-') {
            text.push(' ');
        }
        let line: Vec<&str> = line.iter().map(|word| word.text.as_str()).collect();
        text.push_str(&line.join(" "));
    }
    text
}

fn hull(words: &[Word]) -> PixelBox {
    words.iter().map(|word| word.bounds).fold([u32::MAX, u32::MAX, 0, 0], |hull, bounds| {
        [hull[0].min(bounds[0]), hull[1].min(bounds[1]), hull[2].max(bounds[2]), hull[3].max(bounds[3])]
    })
}

fn fractions([left, top, right, bottom]: PixelBox, size: PixelSize) -> [f64; 4] {
    let (width, height) = (f64::from(size.width.max(1)), f64::from(size.height.max(1)));
    [f64::from(left) / width, f64::from(top) / height, f64::from(right) / width, f64::from(bottom) / height]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PixelSize = PixelSize { width: 1000, height: 1000 };

    fn word(place: (u32, u32, u32), top: u32, text: &str) -> Word {
        Word { place, bounds: [100, top, 200, top + 20], confidence: 90.0, text: text.into() }
    }

    #[test]
    fn paragraphs_and_lines_are_joined() {
        let words = [
            word((1, 1, 1), 200, "Le"),
            word((1, 1, 1), 200, "minis-"),
            word((1, 1, 2), 230, "tre"),
            word((1, 1, 3), 260, "arrête"),
            word((1, 2, 1), 300, "Article"),
            word((2, 1, 1), 400, "Fin"),
        ];
        let blocks = blocks(&words, SIZE);
        assert_eq!(blocks[0].paragraphs, ["Le minis-tre arrête", "Article"]);
        assert_eq!(blocks[0].bounds, [0.1, 0.2, 0.2, 0.32]);
        assert_eq!(blocks[1].paragraphs, ["Fin"]);
    }

    #[test]
    fn the_head_is_a_header_only_where_it_names_the_gazette() {
        let head = [word((1, 1, 1), 40, "8823"), word((2, 1, 1), 45, "الجريدة"), word((3, 1, 1), 200, "مادة")];
        let kinds: Vec<_> = blocks(&head, SIZE).iter().map(|block| block.kind).collect();
        assert_eq!(kinds, [BlockKind::PageHeader, BlockKind::PageHeader, BlockKind::Text]);
        let column = [word((1, 1, 1), 40, "Article"), word((2, 1, 1), 200, "BULLETIN")];
        assert!(blocks(&column, SIZE).iter().all(|block| block.kind == BlockKind::Text));
    }
}
