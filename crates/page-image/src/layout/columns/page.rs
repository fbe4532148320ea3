//! The page in the form in which columns are searched for.

use std::ops::Range;

use crate::layout::{Bits, Sheet};

/// Cells for each inch. A hairline rule is one cell wide, and the white beside it, at least 0.04 inch, is four.
const FINENESS: f32 = 96.0;
/// Share of width and height that is ignored at each edge: scans are black there, and the gazette prints nothing there.
const EDGE: f32 = 0.03;
/// Least height in inches of the white between two lines of text.
const WHITE: f32 = 0.02;
/// Height in inches of the ink of a short, slightly skewed rule that ends an act or an issue. Letters are higher.
const LINE: f32 = 0.06;
/// A row is white if at most this share of it is inked: specks, and the upright lines of a small table.
const SPECKS: f32 = 0.006;

/// The ink of a page in cells of about 1/96 inch. A cell is inked if it has a dark pixel.
pub(super) struct Page {
    pub(super) bits: Bits,
    /// Cells for each inch.
    fineness: f32,
}

impl Page {
    pub(super) fn of(sheet: &Sheet<'_>) -> Page {
        let bits = Bits::of(sheet, FINENESS, 0.0);
        let fineness = (sheet.dpi / bits.side as f32).max(1.0);
        Page { bits, fineness }
    }

    /// A length in cells, at least one.
    pub(super) fn cells(&self, inches: f32) -> usize {
        ((self.fineness * inches).round() as usize).max(1)
    }

    /// A length in inches.
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

    /// Number of inked cells of a row between two positions, which may be outside the page.
    pub(super) fn inked(&self, y: usize, x: Range<isize>) -> usize {
        let within = |x: isize| x.clamp(0, self.bits.across as isize) as usize;
        let row = self.bits.row(y).get(within(x.start)..within(x.end)).unwrap_or_default();
        row.iter().filter(|&&inked| inked).count()
    }

    /// Number of inked cells of a row on both sides of a gap, without the edges of the page.
    fn inked_beside(&self, y: usize, gap: Range<isize>) -> usize {
        let inner = self.inner_columns();
        self.inked(y, inner.start..gap.start) + self.inked(y, gap.end..inner.end)
    }

    /// Whether a row, without the edges, has only specks on both sides of a gap.
    pub(super) fn is_white(&self, y: usize, gap: Range<isize>) -> bool {
        self.inked_beside(y, gap) as f32 <= self.bits.across as f32 * SPECKS
    }

    /// The row with the least ink on both sides of a gap; the uppermost of several.
    pub(super) fn longest_blank(&self, mut rows: Range<usize>, gap: impl Fn(usize) -> Range<isize>) -> Option<usize> {
        rows.end = rows.end.min(self.bits.down);
        rows.min_by_key(|&y| self.inked_beside(y, gap(y)))
    }

    /// Bands of rows that are white except for the gap, each high enough for the space between two lines of text.
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

    /// Whether these rows, without the edges of the page, have text: more ink than a rule that ends an act.
    pub(super) fn has_text(&self, rows: Range<usize>) -> bool {
        let inner = self.inner_rows();
        let rows = rows.start.max(inner.start)..rows.end.min(inner.end);
        rows.filter(|&y| !self.is_white(y, 0..0)).count() > self.cells(LINE)
    }
}
