//! Finds where to cut a page into an upper and a lower half without cutting a line of text.

use std::{cmp::Reverse, ops::Range};

use crate::BBox;

use crate::Pixels;

/// A row is white if less than this fraction of it is dark. The thin rule between two columns and specks are less; the
/// vertical rules of a table are more, so that tables are not cut.
const ROW_INK: f64 = 0.005;
/// Fraction of a row that is ignored at each end, because of the black edges of a scan.
const MARGIN: f64 = 0.05;
/// The cut lies within this part of the height.
const MIDDLE: Range<f64> = 0.35..0.65;
/// Least height of a white band in inches. A lower band of a skewed scan is chance and not a space between lines.
const LEAST_BAND: f32 = 1.0 / 64.0;
/// Bands higher than this, in inches, are all spaces between paragraphs: of these, the one nearest to the middle is
/// taken.
const ENOUGH_BAND: f32 = 1.0 / 8.0;

/// Where to cut an image rendered at `dpi` into an upper and a lower half, in thousandths of its height: the middle of
/// the highest white band near its middle. `None` where there is no white band over its whole width.
pub(super) fn cut_at(pixels: &Pixels, dpi: f32) -> Option<u16> {
    let height = (pixels.size.height as usize).max(1);
    let row = cut(pixels, dpi)?;
    Some(((row * usize::from(BBox::SCALE) + height / 2) / height) as u16)
}

/// The row to cut before: the middle of the highest white band near the middle of the page.
fn cut(pixels: &Pixels, dpi: f32) -> Option<usize> {
    let (width, height) = (pixels.size.width as usize, pixels.size.height as usize);
    let sheet = pixels.sheet(dpi);
    let threshold = sheet.threshold();
    let margin = (width as f64 * MARGIN) as usize;
    let most_dark = width as f64 * ROW_INK;
    let is_white = |row: &[u8]| {
        let inner = &row[margin..width - margin];
        (inner.iter().filter(|level| **level < threshold).count() as f64) < most_dark
    };
    let (from, to) = ((height as f64 * MIDDLE.start) as usize, (height as f64 * MIDDLE.end) as usize);
    let mut bands: Vec<Range<usize>> = Vec::new();
    for (index, row) in sheet.rows().enumerate().take(to).skip(from) {
        match bands.last_mut() {
            _ if !is_white(row) => {}
            Some(band) if band.end == index => band.end += 1,
            _ => bands.push(index..index + 1),
        }
    }
    let (least, enough) = ((dpi * LEAST_BAND).max(1.0) as usize, (dpi * ENOUGH_BAND) as usize);
    let middle = |band: &Range<usize>| (band.start + band.end) / 2;
    let worth = |band: &Range<usize>| (band.len().min(enough), Reverse(middle(band).abs_diff(height / 2)));
    bands.into_iter().filter(|band| band.len() >= least).max_by_key(worth).map(|band| middle(&band))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    const DPI: f32 = 192.0;
    const SIZE: PixelSize = PixelSize { width: 800, height: 1120 };

    /// A page with dark rectangles (left, top, width, height).
    fn page(marks: &[(usize, usize, usize, usize)]) -> Pixels {
        let mut bytes = vec![255; SIZE.area() as usize];
        for &(left, top, width, height) in marks {
            for y in top..top + height {
                bytes[y * SIZE.width as usize + left..][..width].fill(0);
            }
        }
        Pixels { size: SIZE, bytes, grey: true }
    }

    /// Lines of text, 18 px high with 10 px between them, but 40 px before those at `gaps`.
    fn lines(gaps: &[usize]) -> Vec<(usize, usize, usize, usize)> {
        let mut top = 60;
        let mut lines = Vec::new();
        while top < 1040 {
            lines.push((80, top, 640, 18));
            top += if gaps.contains(&lines.len()) { 58 } else { 28 };
        }
        lines
    }

    #[test]
    fn the_cut_is_in_the_widest_space_near_the_middle_and_through_no_line() {
        let marks = lines(&[5, 17]);
        let cut = cut(&page(&marks), DPI).unwrap();
        let (_, before, _, height) = marks[16];
        assert!(cut > before + height && cut < marks[17].1, "{cut}");
        assert_eq!(cut, (before + height + marks[17].1) / 2, "in the middle of the space");
    }

    #[test]
    fn a_thin_rule_between_columns_does_not_hide_the_space_but_the_rules_of_a_table_do() {
        let mut marks = lines(&[17]);
        marks.push((399, 100, 3, 950));
        assert!(cut(&page(&marks), DPI).is_some());
        let table: Vec<_> = (0..6).map(|rule| (100 + rule * 100, 100, 2, 950)).collect();
        assert_eq!(cut(&page(&table), DPI), None);
    }

    #[test]
    fn a_page_without_a_white_band_is_not_cut() {
        // The lines of the right column stand where the left one has its spaces.
        let mut marks: Vec<_> = (0..35).map(|line| (60, 60 + line * 28, 320, 18)).collect();
        marks.extend((0..35).map(|line| (420, 74 + line * 28, 320, 18)));
        assert_eq!(cut_at(&page(&marks), DPI), None);
    }

    #[test]
    fn tiny_pages_are_looked_at_without_a_panic() {
        for (width, height) in [(1, 1), (1, 300), (300, 1), (5, 7)] {
            let size = PixelSize { width, height };
            let pixels = Pixels { size, bytes: vec![255; size.area() as usize], grey: true };
            cut_at(&pixels, DPI);
        }
    }
}
