//! Groups words into blocks: Tesseract's own blocks, paragraphs and lines, in its reading order.
//!
//! Every block is `Text` except the running head of a gazette. That is the line in the upper inch of a page, or of a
//! strip over its width, that has the gazette's name and a number (of the page, the issue or the date), with whatever
//! is beside or above it (`docs/facts/corpus.md`, "Pages"). A column has no running head.

use crate::{
    model::PixelSize,
    standin::dialect::{BlockKind, PageBlock},
    tesseract::{PixelBox, Word},
};

use super::{low_confidence::hull, shape::Shape};

/// Greatest distance of the running head's end from the top, inches: 8.6 % of A4's height, and more on some scans.
const HEAD_INCHES: f32 = 1.15;
/// How far below the gazette's name the text beside it may reach, inches.
const BESIDE_INCHES: f32 = 0.08;
/// The words of the gazette's name, in either language.
const NAMES: [&str; 4] = ["BULLETIN", "OFFICIEL", "الجريدة", "الرسمية"];
/// Letters and digits lower than this, in inches, and wider than [`FLAT`] times their height are a rule or a dot leader
/// that was read as text.
const FLAT_INCHES: f32 = 0.03;
/// Ratio of width to height; see [`FLAT_INCHES`].
const FLAT: u32 = 4;
/// Letters wider than this many times their height are a rule, whatever its thickness.
const STRETCHED: u32 = 6;
/// Words wider than this many times their height are a rule too, however many letters were read in it.
const LONGEST: u32 = 20;

/// The blocks of an image of `size` pixels and `dpi` dots per inch. No block is empty.
pub fn blocks(words: &[Word], size: PixelSize, dpi: f32, shape: Shape) -> Vec<PageBlock> {
    let words: Vec<Word> = words.iter().filter(|word| !is_line(word, dpi)).cloned().collect();
    let head_end = if shape == Shape::Column { None } else { head_end(&words, dpi) };
    let is_head = |word: &Word| head_end.is_some_and(|end| word.bounds[3] <= end);
    words
        .chunk_by(|one, next| one.place.0 == next.place.0 && is_head(one) == is_head(next))
        .map(|words| PageBlock {
            kind: if words.first().is_some_and(is_head) { BlockKind::PageHeader } else { BlockKind::Text },
            bounds: fractions(hull(words), size),
            paragraphs: words.chunk_by(|one, next| one.place.1 == next.place.1).map(paragraph).collect(),
        })
        .collect()
}

/// Whether the word is a rule or a dot leader that was read as letters.
fn is_line(word: &Word, dpi: f32) -> bool {
    let [left, top, right, bottom] = word.bounds;
    let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
    let letters = word.text.chars().filter(|character| character.is_alphanumeric()).count() as u32;
    let is_flat = height as f32 <= FLAT_INCHES * dpi && width > height * FLAT;
    letters > 0 && (is_flat || width / letters > height * STRETCHED || width > height * LONGEST)
}

/// The bottom of the running head in pixels, if there is one: a little below the line with the gazette's name.
fn head_end(words: &[Word], dpi: f32) -> Option<u32> {
    let reach = (HEAD_INCHES * dpi) as u32;
    let name = words.iter().find(|word| word.bounds[3] <= reach && NAMES.contains(&word.text.as_str()))?;
    let end = name.bounds[3].saturating_add((BESIDE_INCHES * dpi) as u32);
    let has_number = words.iter().any(|word| word.bounds[3] <= end && word.text.contains(|c: char| c.is_ascii_digit()));
    has_number.then_some(end)
}

/// Joins words and lines by spaces; a line that ends in a hyphen is joined to the next without one.
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

fn fractions([left, top, right, bottom]: PixelBox, size: PixelSize) -> [f64; 4] {
    let (width, height) = (f64::from(size.width.max(1)), f64::from(size.height.max(1)));
    [f64::from(left) / width, f64::from(top) / height, f64::from(right) / width, f64::from(bottom) / height]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PixelSize = PixelSize { width: 1000, height: 1000 };
    const DPI: f32 = 100.0;

    fn word(place: (u32, u32, u32), top: u32, text: &str) -> Word {
        Word { place, bounds: [100, top, 200, top + 20], confidence: 90.0, text: text.into() }
    }

    fn kinds(words: &[Word], shape: Shape) -> Vec<BlockKind> {
        blocks(words, SIZE, DPI, shape).iter().map(|block| block.kind).collect()
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
        let blocks = blocks(&words, SIZE, DPI, Shape::Column);
        assert_eq!(blocks[0].paragraphs, ["Le minis-tre arrête", "Article"]);
        assert_eq!(blocks[0].bounds, [0.1, 0.2, 0.2, 0.32]);
        assert_eq!(blocks[1].paragraphs, ["Fin"]);
    }

    #[test]
    fn the_head_is_a_header_only_where_it_names_the_gazette_beside_a_number() {
        let head = [word((1, 1, 1), 40, "8823"), word((2, 1, 1), 45, "الجريدة"), word((3, 1, 1), 200, "مادة")];
        assert_eq!(kinds(&head, Shape::Page), [BlockKind::PageHeader, BlockKind::PageHeader, BlockKind::Text]);
        assert_eq!(kinds(&head[1..], Shape::Page), [BlockKind::Text; 2], "a sentence that names the gazette");
        let inner = [word((1, 1, 1), 40, "Article"), word((2, 1, 1), 200, "BULLETIN"), word((2, 1, 1), 200, "8")];
        assert_eq!(kinds(&inner, Shape::Page), [BlockKind::Text; 2]);
    }

    #[test]
    fn a_strip_that_is_one_block_gives_head_and_title() {
        let strip = [word((1, 1, 1), 60, "802"), word((1, 1, 1), 62, "BULLETIN"), word((1, 1, 2), 90, "ANNEXE")];
        assert_eq!(kinds(&strip, Shape::Strip), [BlockKind::PageHeader, BlockKind::Text]);
    }

    #[test]
    fn a_column_has_no_head() {
        let column = [word((1, 1, 1), 5, "الجريدة"), word((1, 1, 1), 5, "الرسمية"), word((1, 1, 1), 5, "7412")];
        assert_eq!(kinds(&column, Shape::Column), [BlockKind::Text]);
    }

    #[test]
    fn rules_and_leaders_are_no_words() {
        let flat = |text: &str| Word { bounds: [100, 50, 200, 53], ..word((1, 1, 1), 50, text) };
        assert!(blocks(&[flat("سس")], SIZE, DPI, Shape::Column).is_empty());
        assert_eq!(blocks(&[flat(".....")], SIZE, DPI, Shape::Column).len(), 1);
        let rule = Word { bounds: [40, 50, 700, 65], ..word((1, 1, 1), 50, "EEE") };
        assert!(blocks(std::slice::from_ref(&rule), SIZE, DPI, Shape::Strip).is_empty());
        let many = Word {
            text: "سصييبحححبحححححححححججحححجيجييييييييييبحي".into(), ..rule
        };
        assert!(blocks(&[many], SIZE, DPI, Shape::Strip).is_empty());
    }
}
