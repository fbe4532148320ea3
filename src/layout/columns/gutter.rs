//! White between columns that have no rule.

use std::ops::Range;

use super::{
    evidence::between,
    page::Page,
    rule::{Line, Strokes},
    stretch::{Passage, Stretch},
};

/// Where it stands, as a share of the width.
const PLACE: Range<f32> = 0.47..0.53;
/// Inches of white, at least. Between words there are 0.06, and no river of white is straight.
const WIDTH: f32 = 0.12;
/// Inches that it goes on without a break.
const HEIGHT: f32 = 2.0;
/// Inches beside it in which the lines of text of two columns end and begin. Those of a list seldom do.
const NEXT: f32 = 0.25;
/// The share of the lines that do so, on the side with fewer.
const FILLED: f32 = 0.3;
/// The share of rows that have text, on either side: there is some, and white between its lines; beside a table's upright
/// lines there is none.
const TEXT: Range<f32> = 0.3..0.97;
/// Where a page is divided that must be.
const FORCED: Range<f32> = 0.45..0.55;
/// The share of the height in which the running header ends, and its double rule (0.086: facts of the corpus, 3).
const HEADER: f32 = 0.13;

/// The longest gutter between two columns of text, and how sure that is: 0.0..=1.0. It is a guess at best, for lists and
/// signatures have white between them too.
pub(super) fn gutter(page: &Page) -> Option<(Stretch, f32)> {
    let half = page.cells(WIDTH / 2.0) as isize;
    let columns = page.columns(PLACE);
    let mut white = vec![0usize; columns.len()];
    let mut longest: Option<(Range<usize>, usize)> = None;
    for y in page.inner_rows() {
        for (run, x) in white.iter_mut().zip(columns.clone()) {
            let is_white = page.inked(y, x as isize - half..x as isize + half + 1) == 0;
            *run = if is_white { *run + 1 } else { 0 };
            if longest.as_ref().is_none_or(|(rows, _)| *run > rows.len()) {
                longest = Some((y + 1 - *run..y + 1, x));
            }
        }
    }
    let (rows, x) = longest.filter(|(rows, _)| page.inches(rows.len()) >= HEIGHT)?;
    let inner = page.inner_columns();
    let lines = |columns: Range<isize>| rows.clone().filter(|&y| page.inked(y, columns.clone()) > 0).count() as f32;
    let is_white = |x: &isize| rows.clone().all(|y| page.inked(y, *x..*x + 1) == 0);
    let from = (inner.start..x as isize).rev().take_while(is_white).last().unwrap_or(x as isize);
    let to = (x as isize..inner.end).take_while(is_white).last().unwrap_or(x as isize) + 1;
    let [left, right] = [lines(inner.start..from), lines(to..inner.end)];
    let next = page.cells(NEXT) as isize;
    let filled = (lines(from - next..from) / left).min(lines(to..to + next) / right);
    let is_text = |lines: f32| TEXT.contains(&(lines / rows.len() as f32));
    if !is_text(left) || !is_text(right) || filled < FILLED {
        return None;
    }
    let middle = Line::upright(((from + to) / 2).max(0) as usize);
    let written = |y: &usize| !page.is_white(*y, 0..0);
    let rows = rows.clone().find(written)?..rows.rev().find(written)? + 1;
    Some((Stretch::white(middle, rows), between(filled, FILLED, 1.0) / 2.0))
}

/// The whitest upright line near the middle of the page, from below the running header to the bottom.
pub(super) fn whitest(page: &Page, strokes: &Strokes) -> Option<(Stretch, Vec<Passage>)> {
    let half = page.cells(WIDTH / 2.0) as isize;
    let rows = page.inner_rows();
    let ink =
        |x: &usize| rows.clone().map(|y| page.inked(y, *x as isize - half..*x as isize + half + 1)).sum::<usize>();
    let line = Line::upright(page.columns(FORCED).min_by_key(ink)?);
    let passages = super::stretch::passages(page, strokes, &line);
    let header = page.rows(0.0..HEADER).rev().find(|&y| passages.get(y) == Some(&Passage::Bar));
    let start = header.map_or(0, |y| y + 1);
    let end = rows.rev().find(|&y| y >= start && !page.is_white(y, 0..0))? + 1;
    Some((Stretch::white(line, start..end), passages))
}
