//! Arabic comma repair: replaces marks that Tesseract misread by Arabic commas, by their shape on the page.
//!
//! A third to a half of all errors of Tesseract's Arabic model are commas read as points or as hamzas
//! (`docs/facts/corpus.md`, "Tesseract"). The three differ in shape. At the end of 365 words of ten pages at 192 dpi,
//! points are 3 pixels wide and 3 high, commas 4 to 5 wide and 7 high, hamzas 7 to 9 wide and 10 to 11 high. All 164
//! marks that [`is_comma`] accepted were commas; it missed 2.

use image::GrayImage;

use page_image::layout::{extent, for_each_mark};

use crate::tesseract::{PixelBox, Word};

/// Characters as which Tesseract reads a comma.
const TAKEN_FOR: [char; 6] = ['.', 'ء', ':', ',', '\'', '’'];
/// Least ratio of a comma's height to its width: a point is round, a hamza nearly so.
const SLENDER: f32 = 1.3;
/// Least and greatest height of a comma, inches.
const HEIGHT: [f32; 2] = [0.025, 0.047];
/// Greatest width of a comma, inches.
const WIDTH: f32 = 0.031;
/// How far Tesseract's boxes may be off, inches.
const SLACK: f32 = 0.02;
/// Grey level below which a pixel is ink.
const INK: u8 = 160;

/// Repairs the last mark of every Arabic word. The words' bounds are in pixels of `page`, whose resolution is `dpi`.
pub fn restore(words: &mut [Word], page: &GrayImage, dpi: f32) {
    for word in words {
        let mut letters = word.text.chars();
        let Some(last) = letters.next_back().filter(|last| TAKEN_FOR.contains(last)) else { continue };
        let is_arabic = letters.any(is_arabic) || word.text == "ء";
        if is_arabic && leftmost_mark(page, word.bounds, dpi).is_some_and(|mark| is_comma(mark, dpi)) {
            word.text.truncate(word.text.len() - last.len_utf8());
            word.text.push('،');
        }
    }
}

fn is_arabic(letter: char) -> bool {
    matches!(letter, '\u{620}'..='\u{64a}' | '\u{671}'..='\u{6d3}')
}

fn is_comma((width, height): (usize, usize), dpi: f32) -> bool {
    let (width, height) = (width as f32, height as f32);
    height >= SLENDER * width && (HEIGHT[0] * dpi..=HEIGHT[1] * dpi).contains(&height) && width <= WIDTH * dpi
}

/// Width and height of the mark that reaches farthest to the left in a box: the last mark of an Arabic word.
fn leftmost_mark(page: &GrayImage, [left, top, right, bottom]: PixelBox, dpi: f32) -> Option<(usize, usize)> {
    let slack = (SLACK * dpi).round() as u32;
    let (left, top) = (left.saturating_sub(slack), top.saturating_sub(slack));
    let (right, bottom) = (right.min(page.width()), bottom.saturating_add(slack).min(page.height()));
    let width = right.checked_sub(left)?;
    let height = bottom.checked_sub(top)?;
    let cut = image::imageops::crop_imm(page, left, top, width, height).to_image();
    let mut inked: Vec<bool> = cut.as_raw().iter().map(|&level| level < INK).collect();
    let width = width as usize;
    // Smaller marks are specks of the scanner.
    let least = (HEIGHT[0] * dpi / 2.0).powi(2) as usize;
    let mut leftmost: Option<(usize, (usize, usize))> = None;
    for_each_mark(&mut inked, width, |mark| {
        let x = mark.iter().map(|pixel| pixel % width).min().unwrap_or(0);
        if mark.len() >= least && leftmost.is_none_or(|(found, _)| x < found) {
            leftmost = Some((x, extent(mark, width)));
        }
    });
    leftmost.map(|(_, extent)| extent)
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    const DPI: f32 = 192.0;

    /// A word of one long stroke, and left of it a mark of this width and height, with the text that Tesseract read.
    fn read(text: &str, width: u32, height: u32) -> String {
        let page = GrayImage::from_fn(100, 60, |x, y| {
            let stroke = (30..80).contains(&x) && (30..36).contains(&y);
            let mark = (20..20 + width).contains(&x) && (40 - height..40).contains(&y);
            Luma([if stroke || mark { 0 } else { 255 }])
        });
        let mut words = [Word { place: (1, 1, 1), bounds: [20, 30, 80, 40], confidence: 90.0, text: text.into() }];
        restore(&mut words, &page, DPI);
        words[0].text.clone()
    }

    #[test]
    fn a_slender_mark_is_a_comma_whatever_it_was_read_as() {
        assert_eq!(read("الهيئة.", 5, 7), "الهيئة،");
        assert_eq!(read("فوراء", 4, 7), "فورا،");
        assert_eq!(read("ء", 4, 7), "،");
    }

    #[test]
    fn points_and_hamzas_stay() {
        assert_eq!(read("الهيئة.", 3, 3), "الهيئة.");
        assert_eq!(read("القضاء", 8, 10), "القضاء");
        assert_eq!(read("الأول:", 3, 3), "الأول:");
    }

    #[test]
    fn a_word_in_latin_letters_is_left_alone_and_boxes_off_the_page_do_no_harm() {
        assert_eq!(read("Vu.", 5, 7), "Vu.");
        let mut words = [Word { place: (1, 1, 1), bounds: [90, 90, 200, 300], confidence: 9.0, text: "لا.".into() }];
        restore(&mut words, &GrayImage::new(1, 1), DPI);
        assert_eq!(words[0].text, "لا.");
    }
}
