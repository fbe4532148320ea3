//! Finds where two columns begin and end, and where to cut the page above and below them.

use std::ops::Range;

use super::{
    page::Page,
    stretch::{Passage, Stretch},
};

/// Inches on both sides of the line that are ignored in the search for a white row: the line's own ink, and dirt.
const GAP: f32 = 0.05;
/// Largest distance in inches from the end of a rule to the row where the page is cut. The horizontal line that the
/// rule touches rises or falls by this much on a skewed page.
const NEAR: f32 = 0.15;
/// Bands nearer to each other than this many inches are one band: no line of text fits between them.
const APART: f32 = 0.15;

/// A part of the page that a line divides, in cells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    /// Rows between the cuts above and below.
    pub(super) cut: Range<usize>,
    /// Rows of the columns or of the line between them.
    pub(super) columns: Range<usize>,
    /// Position of the line at its upper and at its lower end.
    pub(super) line: [usize; 2],
}

impl Band {
    /// The band around a stretch. It reaches to the next rows where something crosses the line.
    pub(super) fn surrounding(page: &Page, stretch: &Stretch, passages: &[Passage]) -> Band {
        let line = stretch.line;
        let gap = |y: usize| {
            let (x, half) = (line.at(y), page.cells(GAP) as isize);
            x - half..x + half + 1
        };
        let (inner, near) = (page.inner_rows(), page.cells(NEAR));
        let crosses =
            |y: &usize| inner.contains(y) && matches!(passages.get(*y), Some(Passage::Bar | Passage::Crossed));
        let above = (0..stretch.rows.start).rev().find(crosses).map(|y| y + 1);
        let below = (stretch.rows.end..page.bits.down).find(crosses);

        let free = above.unwrap_or(0)..stretch.rows.start;
        let first = first_line(page, free.clone(), gap).unwrap_or(stretch.rows.start);
        let top = match above {
            None if !page.has_text(0..first) => 0,
            _ => {
                let rows = free.start..(first + near).min(stretch.rows.end);
                let bands = page.white_bands(rows.clone(), gap);
                let white = bands.iter().rev().find(|band| band.start < first).or(bands.first());
                white.map(middle).or_else(|| page.longest_blank(rows, gap)).unwrap_or(first)
            }
        };
        let bottom = match below {
            None => page.bits.down,
            Some(below) => {
                let rows = stretch.rows.end.saturating_sub(near).max(stretch.rows.start)..below;
                let white = page.white_bands(rows.clone(), gap).last().map(middle);
                white.or_else(|| page.longest_blank(rows, gap)).unwrap_or(below)
            }
        };
        let last = (stretch.rows.end..bottom.min(inner.end)).rev().find(|&y| !page.is_white(y, gap(y)));
        let end = last.map_or(stretch.rows.end, |y| y + 1);
        let columns = first.max(top)..end.min(bottom).max(first.max(top));
        let line = [columns.start, columns.end].map(|y| line.at(y).clamp(0, page.bits.across as isize) as usize);
        Band { cut: top..bottom.max(top), columns, line }
    }

    /// The bands from top to bottom; bands with no space for text between them are joined.
    pub(super) fn joined(page: &Page, mut bands: Vec<Band>) -> Vec<Band> {
        bands.sort_by_key(|band| band.columns.start);
        let mut joined: Vec<Band> = Vec::new();
        for band in bands {
            match joined.last_mut() {
                Some(above) if above.columns.end + page.cells(APART) > band.columns.start => {
                    above.cut.end = band.cut.end.max(above.cut.end);
                    above.columns.end = band.columns.end.max(above.columns.end);
                    above.line[1] = band.line[1];
                }
                _ => joined.push(band),
            }
        }
        joined
    }
}

/// The first row of text that is on both sides of the line. The scan may have lost the upper end of the rule. Text on
/// one side only may be the last line of a text over the whole width.
fn first_line(page: &Page, rows: Range<usize>, gap: impl Fn(usize) -> Range<isize>) -> Option<usize> {
    let inner = page.inner_columns();
    let white = page.white_bands(rows.clone(), &gap);
    let starts = std::iter::once(rows.start).chain(white.iter().map(|band| band.end));
    let ends = white.iter().map(|band| band.start).chain([rows.end]);
    let has = |rows: Range<usize>, left: bool| {
        rows.into_iter().any(|y| {
            page.inked(y, if left { inner.start..gap(y).start } else { gap(y).end..inner.end }) > page.cells(GAP)
        })
    };
    let lines = starts.zip(ends).map(|(start, end)| start..end);
    // Ink that touches the crossing content above belongs to it, such as the end of a skewed rule.
    let mut lines = lines.filter(|line| line.start > rows.start);
    lines.find(|line| has(line.clone(), true) && has(line.clone(), false)).map(|line| line.start)
}

fn middle(band: &Range<usize>) -> usize {
    (band.start + band.end) / 2
}
