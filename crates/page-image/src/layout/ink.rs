//! The blank check: measures whether a page has anything to read, before an engine reads it.
//!
//! A page is blank only if nothing on it is as large as a letter. Specks, dust, show-through from the other side, punch
//! holes and the black edges of a scan do not count; one line of text, a page number or a stamp does. In doubt the page
//! is not blank: a useless request costs seconds, but a page that is wrongly blank is lost.

use super::{
    Sheet,
    marks::{extent, for_each_mark},
    text_ink::{self, LETTER_CONTRAST},
};

/// Cells of the coarse grid for each inch: marks closer than about half a millimetre belong together.
const CELLS_PER_INCH: f32 = 48.0;
/// A cell has ink if this fraction of its pixels is dark; less is noise.
const CELL_INK: f32 = 0.125;
/// A mark smaller than this many cells in both directions (about two millimetres) is a speck.
const LETTER_CELLS: usize = 4;
/// How far from an edge the black border of a scan may reach, as a fraction of the side.
const BORDER_REACH: f32 = 0.12;
/// Rows and columns from the edge inwards are border while at least this fraction of them is dark.
const BORDER_DARK: f32 = 0.5;
/// Margin that is always ignored along all edges, as a fraction of the side: about 3 mm, where nothing is printed.
const MARGIN: f32 = 0.0125;

/// On even paper, a mark that differs from the paper by this much is ink, even if it is pale: an eighth of all levels.
const PALE: u8 = 32;
/// Paper is even, as in a digital file, if this fraction of its pixels has one level, plus or minus one. Show-through
/// comes with the grain of a scan: noisy scans have 0.25 to 0.57, pages of pale text at least 0.79.
const EVEN: f32 = 0.7;

/// The result of the blank check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink {
    /// Dark pixels of marks as large as a letter, as a fraction of the page: 0.0..=1.0.
    pub fraction: f32,
    /// Whether the page has no such mark.
    pub blank: bool,
}

impl Ink {
    /// Measures a page.
    pub fn of(sheet: &Sheet<'_>) -> Ink {
        let ink = Ink::darker_than(sheet, sheet.threshold(), sheet.paper.saturating_sub(LETTER_CONTRAST));
        if !ink.blank || !is_even(sheet) {
            return ink;
        }
        let pale = sheet.paper.saturating_sub(PALE);
        Ink::darker_than(sheet, pale, pale)
    }

    /// Marks are pixels darker than `threshold`; a letter has at least one pixel as dark as `darkest`.
    fn darker_than(sheet: &Sheet<'_>, threshold: u8, darkest: u8) -> Ink {
        let dark = Coarse::of(sheet, threshold).dark_in_marks();
        let fraction = (dark as f64 / sheet.size.area().max(1) as f64) as f32;
        Ink { fraction, blank: dark == 0 || !text_ink::has_text_ink(sheet, threshold, darkest) }
    }
}

/// Whether nearly all pixels of the paper have one level.
fn is_even(sheet: &Sheet<'_>) -> bool {
    let paper = sheet.levels.iter().filter(|&&level| level >= sheet.paper.saturating_sub(PALE)).count();
    let of_one_level = sheet.levels.iter().filter(|level| level.abs_diff(sheet.paper) <= 1).count();
    of_one_level as f32 > paper as f32 * EVEN
}

/// Dark pixels counted in square cells.
struct Coarse {
    across: usize,
    down: usize,
    /// Number of dark pixels of each cell.
    dark: Vec<u32>,
    /// Cells that have ink and were not visited yet.
    inked: Vec<bool>,
}

impl Coarse {
    fn of(sheet: &Sheet<'_>, threshold: u8) -> Coarse {
        let side = ((sheet.dpi / CELLS_PER_INCH).round() as usize).max(2);
        let width = sheet.size.width as usize;
        let (across, down) = (width.div_ceil(side), (sheet.size.height as usize).div_ceil(side));
        let mut dark = Vec::with_capacity(across * down);
        let mut columns = vec![0u32; width];
        for strip in sheet.levels.chunks(side * width.max(1)) {
            columns.fill(0);
            for row in strip.chunks_exact(width.max(1)) {
                columns.iter_mut().zip(row).for_each(|(count, &level)| *count += u32::from(level < threshold));
            }
            dark.extend(columns.chunks(side).map(|cell| cell.iter().sum::<u32>()));
        }
        let least = ((side * side) as f32 * CELL_INK).ceil() as u32;
        let mut grid = Coarse { across, down, inked: dark.iter().map(|&count| count >= least).collect(), dark };
        grid.clear_border();
        grid
    }

    /// Clears the black edges of a scan and a narrow margin.
    fn clear_border(&mut self) {
        let (across, down) = (self.across, self.down);
        let column = |x: usize| (0..down).map(move |y| y * across + x).collect::<Vec<_>>();
        let row = |y: usize| (0..across).map(move |x| y * across + x).collect::<Vec<_>>();
        self.clear_lines((0..across).map(column));
        self.clear_lines((0..across).rev().map(column));
        self.clear_lines((0..down).map(row));
        self.clear_lines((0..down).rev().map(row));
    }

    /// Clears lines of cells, from the edge inwards: those in the margin, then the dark ones up to the first that is
    /// not.
    fn clear_lines(&mut self, lines: impl ExactSizeIterator<Item = Vec<usize>>) {
        let reach = (lines.len() as f32 * BORDER_REACH) as usize;
        let margin = (lines.len() as f32 * MARGIN).ceil() as usize;
        for (depth, line) in lines.enumerate().take(reach) {
            let dark = line.iter().filter(|&&cell| self.inked[cell]).count() as f32;
            if depth >= margin && dark < line.len() as f32 * BORDER_DARK {
                break;
            }
            line.iter().for_each(|&cell| self.inked[cell] = false);
        }
    }

    /// The dark pixels of all marks as large as a letter. A mark is a set of inked cells that touch.
    fn dark_in_marks(mut self) -> u64 {
        let mut total = 0;
        for_each_mark(&mut self.inked, self.across, |mark| {
            let (width, height) = extent(mark, self.across);
            if width.max(height) >= LETTER_CELLS {
                total += mark.iter().map(|&cell| u64::from(self.dark[cell])).sum::<u64>();
            }
        });
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    const DPI: f32 = 192.0;
    const A4: PixelSize = PixelSize { width: 1596, height: 2240 };

    /// A page of `paper` with rectangles (left, top, width, height) of `ink`.
    fn page(paper: u8, ink: u8, marks: &[(usize, usize, usize, usize)]) -> Sheet<'static> {
        let mut bytes = vec![paper; A4.area() as usize];
        for &(left, top, width, height) in marks {
            for y in top..top + height {
                bytes[y * A4.width as usize + left..][..width].fill(ink);
            }
        }
        Sheet::new(A4, DPI, bytes.into())
    }

    fn blank(sheet: &Sheet<'_>) -> bool {
        Ink::of(sheet).blank
    }

    #[test]
    fn white_and_grey_paper_are_blank() {
        assert_eq!(Ink::of(&page(255, 0, &[])), Ink { fraction: 0.0, blank: true });
        assert!(blank(&page(214, 0, &[])));
    }

    #[test]
    fn a_line_of_text_a_page_number_and_a_stamp_are_not_blank() {
        let line: Vec<_> = (0..30).map(|i| (400 + i * 14, 1100, 3, 18)).collect();
        assert!(!blank(&page(255, 0, &line)));
        assert!(!blank(&page(255, 0, &[(790, 120, 4, 18)])), "the digit 1 of a page number");
        assert!(
            !blank(&page(255, 140, &[(900, 1700, 200, 6), (900, 1894, 200, 6), (900, 1700, 6, 200)])),
            "a pale stamp"
        );
        assert!(!blank(&page(255, 0, &[(100, 150, 1400, 3)])), "a rule alone");
    }

    #[test]
    fn pale_text_is_ink_on_even_paper_and_what_shines_through_the_grain_of_a_scan_is_none() {
        let line: Vec<_> = (0..30).map(|i| (400 + i * 14, 1100, 3, 18)).collect();
        for (paper, ink) in [(255, 204), (255, 212), (235, 180)] {
            assert!(!blank(&page(paper, ink, &line)), "{ink} on {paper}");
            let mut grain = page(paper, ink, &line);
            for (place, level) in grain.levels.to_mut().iter_mut().enumerate() {
                *level -= (place % 7) as u8;
            }
            assert!(blank(&grain), "{ink} on {paper}, with grain");
        }
        assert!(blank(&page(255, 230, &line)));
    }

    #[test]
    fn specks_dust_and_scan_edges_are_blank() {
        let specks: Vec<_> =
            (0..120).map(|i| (100 + i * 11 % 1300, 150 + i * 17 % 1900, 1 + i % 5, 1 + i % 4)).collect();
        let apart: Vec<_> = specks.iter().enumerate().filter(|(i, _)| i % 7 == 0).map(|(_, &mark)| mark).collect();
        assert!(blank(&page(255, 0, &apart)));
        assert!(blank(&page(240, 0, &[(0, 0, 60, 2240), (1500, 0, 96, 2240), (0, 2200, 1596, 40)])));
    }

    #[test]
    fn text_beside_a_scan_edge_is_not_blank() {
        assert!(!blank(&page(240, 0, &[(0, 0, 60, 2240), (300, 300, 600, 20)])));
    }

    #[test]
    fn a_page_that_is_dark_all_over_is_not_blank() {
        let ink = Ink::of(&page(10, 0, &[]));
        assert!(!ink.blank);
        assert!(ink.fraction > 0.5, "{ink:?}");
    }

    #[test]
    fn fraction_is_that_of_the_dark_pixels() {
        let ink = Ink::of(&page(255, 0, &[(400, 400, 400, 400)]));
        assert!((f64::from(ink.fraction) - 160_000.0 / A4.area() as f64).abs() < 1e-6, "{ink:?}");
    }

    #[test]
    fn tiny_images_are_measured_without_a_panic() {
        for (width, height) in [(1, 1), (1, 3000), (3000, 1), (5, 7)] {
            let size = PixelSize { width, height };
            Ink::of(&Sheet::new(size, DPI, vec![0; size.area() as usize].into()));
        }
    }
}
