//! Finds where to divide a page that must be divided but has no line in its middle.

use std::ops::Range;

use super::{
    band::Band,
    page::Page,
    rule::{Line, Strokes},
    stretch::{self, Passage, Stretch},
};

/// Range of the division, as a share of the width.
const PLACE: Range<f32> = 0.45..0.55;
/// Width of the white in inches. Spaces between words have 0.06, and spaces of many lines are not one straight band.
const WIDTH: f32 = 0.12;
/// Share of the height in which the running header and its double rule end (0.086: `docs/facts/corpus.md`, "Pages").
const HEADER: f32 = 0.13;

/// The band of columns beside the whitest upright line near the middle of the page, from below the running header to
/// the bottom.
pub(super) fn longest_blank(page: &Page, strokes: &Strokes) -> Option<Band> {
    let half = page.cells(WIDTH / 2.0) as isize;
    let rows = page.inner_rows();
    let ink =
        |x: &usize| rows.clone().map(|y| page.inked(y, *x as isize - half..*x as isize + half + 1)).sum::<usize>();
    let line = Line::upright(page.columns(PLACE).min_by_key(ink)?);
    let passages = stretch::passages(page, strokes, &line);
    let header = page.rows(0.0..HEADER).rev().find(|&y| passages.get(y) == Some(&Passage::Bar));
    let start = header.map_or(0, |y| y + 1);
    let end = rows.rev().find(|&y| y >= start && !page.is_white(y, 0..0))? + 1;
    Some(Band::surrounding(page, &Stretch::white(line, start..end), &passages))
}
