//! Text-ink detection: finds letters on a page, and distinguishes them from dirt by size, darkness and place.

use super::{Sheet, marks::any_mark};

/// The darkest pixels of a letter on a scan differ from the paper by at least this much: a quarter of all levels.
/// Show-through from the other side differs by less, up to a fifth of its black.
pub(super) const LETTER_CONTRAST: u8 = 64;
/// A letter is at least this high or wide, in inches: the small letters of 7-point type. Specks are smaller.
const LETTER: f32 = 0.05;
/// Dark share of the bounding box above which a mark may be a punch hole. A circle fills 0.79, letters less than this.
const HOLE_FILL: f32 = 0.7;
/// Width of a punch hole in inches; it is 5 to 8 mm wide.
const HOLE: std::ops::Range<f32> = 0.15..0.45;
/// Holes and black edges are within this share of the side from an edge.
const BORDER: f32 = 0.12;
/// A mark this near to an edge, in inches, is the shadow of the edge.
const EDGE: f32 = 0.05;

/// Whether the page has a letter or anything larger: touching pixels darker than `threshold`, one of them at least as
/// dark as `darkest`.
pub(super) fn has_text_ink(sheet: &Sheet<'_>, threshold: u8, darkest: u8) -> bool {
    let mut dark: Vec<bool> = sheet.levels.iter().map(|&level| level < threshold).collect();
    any_mark(&mut dark, sheet.size.width as usize, |mark| is_letter(sheet, mark, darkest))
}

/// Whether a letter, or anything larger, has a pixel at a column and row for which `is_there` returns `true`.
pub fn letter_within(sheet: &Sheet<'_>, is_there: impl Fn(usize, usize) -> bool) -> bool {
    let (threshold, width) = (sheet.threshold(), sheet.size.width as usize);
    let mut dark: Vec<bool> = sheet.levels.iter().map(|&level| level < threshold).collect();
    let lies_there = |pixel: usize| is_there(pixel % width, pixel / width);
    // Most often there is no dark pixel there, so this is checked before the search for marks.
    dark.iter().enumerate().any(|(pixel, &is_dark)| is_dark && lies_there(pixel))
        && any_mark(&mut dark, width, |mark| {
            mark.iter().any(|&pixel| lies_there(pixel)) && is_letter(sheet, mark, threshold)
        })
}

/// Whether a mark is a letter, a rule or a drawing, and not dirt.
fn is_letter(sheet: &Sheet<'_>, mark: &[usize], darkest: u8) -> bool {
    let inches = |pixels: usize| pixels as f32 / sheet.dpi;
    // A mark with so few pixels is too short for a letter in any direction.
    if inches(mark.len()) < LETTER {
        return false;
    }
    let (page_width, page_height) = (sheet.size.width as usize, sheet.size.height as usize);
    let place = |pixel: &usize| (pixel % page_width, pixel / page_width);
    let (mut left, mut top, mut right, mut bottom) = (page_width, page_height, 0, 0);
    for (x, y) in mark.iter().map(place) {
        (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1));
    }
    let (width, height) = (right - left, bottom - top);
    if inches(width.max(height)) < LETTER {
        return false;
    }
    let margin = left.min(top).min(page_width - right).min(page_height - bottom);
    let fill = mark.len() as f32 / (width * height) as f32;
    let hole = fill > HOLE_FILL && HOLE.contains(&inches(width)) && HOLE.contains(&inches(height));
    let near = |at: usize, side: usize| (at.min(side - 1 - at) as f32) < side as f32 * BORDER;
    let in_border = |(x, y): (usize, usize)| near(x, page_width) || near(y, page_height);
    if (inches(margin) < EDGE || hole) && mark.iter().map(place).all(in_border) {
        return false;
    }
    mark.iter().any(|&pixel| sheet.levels[pixel] <= darkest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    const DPI: f32 = 192.0;
    const SIZE: PixelSize = PixelSize { width: 800, height: 1100 };

    fn any_letter(sheet: &Sheet<'_>) -> bool {
        has_text_ink(sheet, sheet.threshold(), sheet.paper.saturating_sub(LETTER_CONTRAST))
    }

    /// A page that `level` colours, by column and row.
    fn page(level: impl Fn(usize, usize) -> u8) -> Sheet<'static> {
        let levels: Vec<u8> = (0..1100).flat_map(|y| (0..800).map(move |x| (x, y))).map(|(x, y)| level(x, y)).collect();
        Sheet::new(SIZE, DPI, levels.into())
    }

    /// The digit 7 of a page number, its strokes `thick` pixels wide.
    fn digit_seven(x: usize, y: usize, thick: usize) -> bool {
        let (x, y) = (x.wrapping_sub(400), y.wrapping_sub(100));
        x < 12 && y < thick || y < 20 && x.wrapping_sub(10 - y.min(20) / 3) < thick
    }

    #[test]
    fn a_digit_is_a_letter_however_thin_and_what_shines_through_is_none_however_much() {
        assert!(any_letter(&page(|x, y| if digit_seven(x, y, 1) { 0 } else { 255 })));
        assert!(any_letter(&page(|x, y| if digit_seven(x, y, 3) { 180 } else { 250 })), "pale");
        let lines = |x: usize, y: usize| y % 30 < 3 && x % 40 < 35;
        assert!(!any_letter(&page(|x, y| if lines(x, y) { 200 } else { 255 })));
    }

    #[test]
    fn a_slanting_black_frame_and_punch_holes_are_none_but_a_dark_page_and_a_dot_within_are() {
        let frame = |x: usize, y: usize| x < 20 + y / 30 || y > 1080 || x > 790 - y / 40;
        let hole = |left: usize, x: usize, y: usize| x.abs_diff(left).pow(2) + y.abs_diff(500).pow(2) < 25 * 25;
        assert!(!any_letter(&page(|x, y| if frame(x, y) || hole(65, x, y) { 10 } else { 255 })));
        assert!(any_letter(&page(|x, y| if hole(400, x, y) { 10 } else { 255 })));
        assert!(any_letter(&page(|_, _| 10)));
    }

    #[test]
    fn specks_are_none() {
        assert!(!any_letter(&page(|x, y| if x % 23 < 8 && y % 31 < 8 { 0 } else { 255 })));
    }

    #[test]
    fn tiny_pages_are_looked_at_without_a_panic() {
        for (width, height) in [(0, 0), (1, 1), (1, 3000), (3000, 1)] {
            let size = PixelSize { width, height };
            any_letter(&Sheet::new(size, DPI, vec![0; size.area() as usize].into()));
        }
    }
}
