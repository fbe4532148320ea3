//! The page as columns are looked for on it.

use std::ops::Range;

use crate::layout::{Bits, Sheet};

/// Cells to an inch. A hair rule is one cell wide, and the white beside it, 0.04 inch at the least, is four.
const FINENESS: f32 = 96.0;
/// The outermost share of width and height: scans are black there, and the gazette prints nothing.
const EDGE: f32 = 0.03;
/// A row of at least this many inches is white between two lines of text.
const WHITE: f32 = 0.02;
/// Inches: rows with ink of a short rule that ends an act or an issue, a little skewed. Letters are higher.
const LINE: f32 = 0.06;
/// A row is white while less than this share of it is inked: specks, and the upright lines of a small table.
const SPECKS: f32 = 0.006;

/// The ink of a page in cells of about 1/96 inch, each inked that has a dark pixel.
pub(super) struct Page {
    pub(super) bits: Bits,
    /// Cells to an inch.
    fineness: f32,
}

impl Page {
    pub(super) fn of(sheet: &Sheet<'_>) -> Page {
        let bits = Bits::of(sheet, FINENESS, 0.0);
        let fineness = (sheet.dpi / bits.side as f32).max(1.0);
        Page { bits, fineness }
    }

    /// The cells along so many inches, one at least.
    pub(super) fn cells(&self, inches: f32) -> usize {
        ((self.fineness * inches).round() as usize).max(1)
    }

    /// The inches along so many cells.
    pub(super) fn inches(&self, cells: usize) -> f32 {
        cells as f32 / self.fineness
    }

    /// The cells between two shares of the width.
    pub(super) fn columns(&self, shares: Range<f32>) -> Range<usize> {
        let cell = |share: f32| (self.bits.across as f32 * share) as usize;
        cell(shares.start)..cell(shares.end)
    }

    /// The cells between two shares of the height.
    pub(super) fn rows(&self, shares: Range<f32>) -> Range<usize> {
        let cell = |share: f32| (self.bits.down as f32 * share) as usize;
        cell(shares.start)..cell(shares.end)
    }

    /// The columns without the edges of the page.
    pub(super) fn inner_columns(&self) -> Range<isize> {
        let inner = self.columns(EDGE..1.0 - EDGE);
        inner.start as isize..inner.end as isize
    }

    /// The rows without the edges of the page.
    pub(super) fn inner_rows(&self) -> Range<usize> {
        self.rows(EDGE..1.0 - EDGE)
    }

    /// How many cells of a row are inked between two places, which may lie outside the page.
    pub(super) fn inked(&self, y: usize, x: Range<isize>) -> usize {
        let within = |x: isize| x.clamp(0, self.bits.across as isize) as usize;
        let row = self.bits.row(y).get(within(x.start)..within(x.end)).unwrap_or_default();
        row.iter().filter(|&&inked| inked).count()
    }

    /// How many cells of a row are inked on either side of a gap, without the edges of the page.
    fn inked_beside(&self, y: usize, gap: Range<isize>) -> usize {
        let inner = self.inner_columns();
        self.inked(y, inner.start..gap.start) + self.inked(y, gap.end..inner.end)
    }

    /// Whether a row, without the edges, has nothing but specks on either side of a gap.
    pub(super) fn is_white(&self, y: usize, gap: Range<isize>) -> bool {
        self.inked_beside(y, gap) as f32 <= self.bits.across as f32 * SPECKS
    }

    /// The row with least ink on either side of a gap; the uppermost of several.
    pub(super) fn longest_blank(&self, mut rows: Range<usize>, gap: impl Fn(usize) -> Range<isize>) -> Option<usize> {
        rows.end = rows.end.min(self.bits.down);
        rows.min_by_key(|&y| self.inked_beside(y, gap(y)))
    }

    /// Bands of rows that are white but for the gap, each high enough to lie between two lines of text.
    pub(super) fn white_bands(&self, rows: Range<usize>, gap: impl Fn(usize) -> Range<isize>) -> Vec<Range<usize>> {
        let mut bands: Vec<Range<usize>> = Vec::new();
        for y in rows.filter(|&y| self.is_white(y, gap(y))) {
            match bands.last_mut() {
                Some(band) if band.end == y => band.end += 1,
                _ => bands.push(y..y + 1),
            }
        }
        bands.retain(|band| band.len() >= self.cells(WHITE));
        bands
    }

    /// Whether there is something to read in these rows, the edges of the page left out: more than a line that ends an act.
    pub(super) fn has_text(&self, rows: Range<usize>) -> bool {
        let inner = self.inner_rows();
        let rows = rows.start.max(inner.start)..rows.end.min(inner.end);
        rows.filter(|&y| !self.is_white(y, 0..0)).count() > self.cells(LINE)
    }
}
