//! Where two columns begin and end, and where to cut the page above and below them.

use std::ops::Range;

use super::{
    page::Page,
    rule::Line,
    stretch::{Passage, Stretch},
};

/// Inches on both sides of the line that do not count when a white row is looked for: its own ink, and dirt.
const GAP: f32 = 0.05;
/// Inches below the upper end of a rule, in which the first white row comes where a rule touches the line above it. That
/// line rises and falls by as much on a skewed page.
const BELOW_HEAD: f32 = 0.5;
/// Inches: the same at the lower end of a rule, where text may end before it.
const ABOVE_FOOT: f32 = 0.3;

/// A part of the page that a line divides, in rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    pub(super) line: Line,
    /// Where the page is cut above and below.
    pub(super) cut: Range<usize>,
    /// Where the columns, or the line between them, begin and end.
    pub(super) columns: Range<usize>,
}

/// The band around a stretch: as far as nothing crosses the line.
pub(super) fn band(page: &Page, stretch: &Stretch, passages: &[Passage]) -> Band {
    let line = stretch.line;
    let gap = |y: usize| {
        let (x, half) = (line.at(y), page.cells(GAP) as isize);
        x - half..x + half + 1
    };
    let inner = page.inner_rows();
    let crosses = |y: &usize| inner.contains(y) && matches!(passages.get(*y), Some(Passage::Bar | Passage::Crossed));
    let above = (0..stretch.rows.start).rev().find(crosses).map(|y| y + 1);
    let below = (stretch.rows.end..page.bits.down).find(crosses);

    let free = above.unwrap_or(0)..stretch.rows.start;
    let first = first_line(page, free.clone(), &gap).unwrap_or(stretch.rows.start);
    let top = match above {
        None if !page.has_text(0..first) => 0,
        _ => {
            let until = (stretch.rows.start + page.cells(BELOW_HEAD)).min(stretch.rows.end);
            let bands = page.white_bands(free.start..until, gap);
            let white = bands.iter().rev().find(|band| band.start < first).or(bands.first());
            white.map_or(first, middle)
        }
    };
    let bottom = match below {
        None => page.bits.down,
        Some(below) => {
            let from = stretch.rows.end.saturating_sub(page.cells(ABOVE_FOOT)).max(stretch.rows.start);
            page.white_bands(from..below, gap).last().map_or(below, middle)
        }
    };
    let last = (stretch.rows.end..bottom.min(inner.end)).rev().find(|&y| !page.is_white(y, gap(y)));
    let end = last.map_or(stretch.rows.end, |y| y + 1);
    Band { line, cut: top..bottom.max(top), columns: first.max(top)..end.min(bottom).max(top) }
}

/// The first row of text that stands on both sides of the line: a scan may have lost the upper end of the rule. What
/// stands on one side alone may be the last line of a text over the whole width.
fn first_line(page: &Page, rows: Range<usize>, gap: &impl Fn(usize) -> Range<isize>) -> Option<usize> {
    let inner = page.inner_columns();
    let white = page.white_bands(rows.clone(), gap);
    let starts = std::iter::once(rows.start).chain(white.iter().map(|band| band.end));
    let ends = white.iter().map(|band| band.start).chain([rows.end]);
    let has = |rows: Range<usize>, left: bool| {
        rows.into_iter().any(|y| {
            page.inked(y, if left { inner.start..gap(y).start } else { gap(y).end..inner.end }) > page.cells(GAP)
        })
    };
    let lines = starts.zip(ends).map(|(start, end)| start..end);
    // A line that reaches up to what crosses is part of it, such as the end of a skewed rule.
    let mut lines = lines.filter(|line| line.start > rows.start);
    lines.find(|line| has(line.clone(), true) && has(line.clone(), false)).map(|line| line.start)
}

fn middle(band: &Range<usize>) -> usize {
    (band.start + band.end) / 2
}
