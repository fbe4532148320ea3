//! Cutting a page into an upper and a lower half, so that no line of text is cut.
//!
//! Columns are not looked for: where a page has them, the upper half holds the beginnings of both.

use std::{cmp::Reverse, ops::Range};

use super::pixels::Pixels;
use crate::model::{BBox, Grid, PixelSize};

/// A row is white while less than this fraction of it is dark. The thin rule between two columns, and specks, are less;
/// the upright rules of a table are more, so that tables are not cut.
const ROW_INK: f64 = 0.005;
/// Left out at both ends of a row, as a fraction of it: the black edges of a scan.
const MARGIN: f64 = 0.05;
/// The cut lies within this part of the height.
const MIDDLE: Range<f64> = 0.35..0.65;
/// A band lower than this many inches is the chance of a skewed scan, not a space between lines.
const LEAST_BAND: f32 = 1.0 / 64.0;
/// Higher bands than this many inches are all spaces between paragraphs: the one nearest to the middle is best.
const ENOUGH_BAND: f32 = 1.0 / 8.0;

/// A half of a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Half {
    pub(super) pixels: Pixels,
    /// Its place on the page.
    pub(super) bbox: BBox,
}

/// The upper half (`part` 0) or the lower of a page drawn at `dpi`, with white rows at the cut where `grid` wants some;
/// `None` where no white band spans the page near its middle.
pub(super) fn half(pixels: &Pixels, dpi: f32, grid: Grid, part: u8) -> Option<Half> {
    let height = pixels.size.height as usize;
    let cut = cut(pixels, dpi)?;
    let rows = if part == 0 { 0..cut } else { cut..height };
    let cell = match grid {
        Grid::Free => 1,
        Grid::Cells(cell) => cell.max(1) as usize,
    };
    // The page's own height is a whole number of cells, or there is no grid.
    let padded = rows.len().next_multiple_of(cell).min(height);
    let channels = if pixels.grey { 1 } else { 3 };
    let row_bytes = pixels.size.width as usize * channels;
    let drawn = &pixels.bytes[rows.start * row_bytes..rows.end * row_bytes];
    let white = vec![u8::MAX; padded * row_bytes - drawn.len()];
    let (bytes, bbox) = if part == 0 {
        ([drawn, &white].concat(), BBox { bottom: thousandths(padded, height), ..BBox::PAGE })
    } else {
        ([&white, drawn].concat(), BBox { top: thousandths(height - padded, height), ..BBox::PAGE })
    };
    let size = PixelSize { height: padded as u32, ..pixels.size };
    Some(Half { pixels: Pixels { size, bytes, grey: pixels.grey }, bbox })
}

fn thousandths(rows: usize, height: usize) -> u16 {
    ((rows * usize::from(BBox::SCALE) + height / 2) / height.max(1)) as u16
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

    const DPI: f32 = 192.0;
    const SIZE: PixelSize = PixelSize { width: 800, height: 1120 };
    const CELLS: Grid = Grid::Cells(32);

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
        assert_eq!(half(&page(&marks), DPI, CELLS, 0), None);
    }

    #[test]
    fn the_halves_hold_every_row_once_on_the_grid_and_know_their_place() {
        let page = page(&lines(&[17]));
        let cut = cut(&page, DPI).unwrap();
        for grid in [CELLS, Grid::Free] {
            let [upper, lower] = [0, 1].map(|part| half(&page, DPI, grid, part).unwrap());
            let row = SIZE.width as usize;
            assert_eq!(upper.pixels.bytes[..cut * row], page.bytes[..cut * row]);
            assert!(upper.pixels.bytes[cut * row..].iter().all(|level| *level == 255));
            assert!(lower.pixels.bytes.ends_with(&page.bytes[cut * row..]));
            for half in [&upper, &lower] {
                assert_eq!(half.pixels.bytes.len() as u64, half.pixels.size.area());
                assert!(grid == Grid::Free || half.pixels.size.height.is_multiple_of(32));
            }
            let place = |rows: u32| (f64::from(rows) * 1000.0 / f64::from(SIZE.height)).round() as u16;
            assert_eq!(upper.bbox, BBox { bottom: place(upper.pixels.size.height), ..BBox::PAGE });
            assert_eq!(lower.bbox, BBox { top: place(SIZE.height - lower.pixels.size.height), ..BBox::PAGE });
            assert!(upper.bbox.bottom >= lower.bbox.top);
        }
    }

    #[test]
    fn colour_is_cut_as_grey_is() {
        let grey = page(&lines(&[17]));
        let bytes = grey.bytes.iter().flat_map(|level| [*level; 3]).collect();
        let coloured = Pixels { size: SIZE, bytes, grey: false };
        let [one, other] = [&grey, &coloured].map(|page| half(page, DPI, CELLS, 1).unwrap());
        assert_eq!((one.bbox, one.pixels.size), (other.bbox, other.pixels.size));
        assert_eq!(other.pixels.bytes.len(), 3 * one.pixels.bytes.len());
    }

    #[test]
    fn tiny_pages_are_looked_at_without_a_panic() {
        for (width, height) in [(1, 1), (1, 300), (300, 1), (5, 7)] {
            let size = PixelSize { width, height };
            let pixels = Pixels { size, bytes: vec![255; size.area() as usize], grey: true };
            for part in [0, 1] {
                half(&pixels, DPI, Grid::Free, part);
            }
        }
    }
}
