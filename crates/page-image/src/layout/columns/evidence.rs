//! The evidence for and against columns.

use std::ops::Range;

use super::{
    page::Page,
    rule::Strokes,
    stretch::{BAR, LINE, SOLID, Stretch},
};

/// Least length in inches of a line at which a page is divided: four lines of text.
const LEAST_RULE: f32 = 0.7;
/// Least share of a stretch's rows in which the line is present.
const LEAST_RULED: f32 = 0.5;
/// Length of a parallel line that makes the stretch part of a table, as a share of the stretch's height. Such lines
/// must be on both sides, or on one side if horizontal lines also meet the stretch. A table inside a column is shorter
/// and does not touch the rule.
const BESIDE: f32 = 0.5;
/// Distance of a parallel line in inches; nearer marks belong to the line itself.
const APART: f32 = 0.2;
/// Number of horizontal lines meeting a stretch from both sides that makes them the rows of a table.
const MET: f32 = 3.0;
/// Largest distance in inches between the lines of a double rule. The row of a table with text is higher.
const DOUBLE: f32 = 0.08;
/// Least share of a stretch's rows with text, on each side. A side with less is an empty column.
const LEAST_TEXT: f32 = 0.03;
/// Range of a masthead, as a share of the height from the top.
const MASTHEAD: Range<f32> = 0.03..0.4;
/// Range of a masthead and of a table's inner lines, as a share of the width. The black edges of scans are outside.
const BODY: Range<f32> = 0.08..0.92;
/// Least width in inches of a masthead's upright strokes, which are also longer than those of running text.
const HEAVY: f32 = 0.04;
/// Square inches of heavy strokes that only a masthead has. The mastheads of 12 issues have 0.18 to 0.29, other pages
/// at most 0.03.
const MASTHEAD_INK: f32 = 0.08;

/// The type of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rule between two columns.
    Columns,
    /// A line of a table.
    Table,
    /// A line that is too short, or has no text on one side.
    Nothing,
}

/// The type of a stretch, and its confidence: 0.0..=1.0.
pub(super) fn kind(page: &Page, strokes: &Strokes, stretch: &Stretch) -> (Kind, f32) {
    let ruled = page.inches(stretch.ruled);
    let share = stretch.ruled as f32 / stretch.rows.len().max(1) as f32;
    if ruled < LEAST_RULE || share < LEAST_RULED {
        return (Kind::Nothing, interpolate(ruled, LEAST_RULE, 0.2));
    }
    let [left, right] = strokes.ink_beside(&stretch.line, stretch.rows.clone(), page.cells(APART), page.columns(BODY));
    let met = lines_across(page, stretch);
    let others = if met == 0 { left.min(right) } else { left.max(right) };
    let table = (others / BESIDE).max(met as f32 / MET);
    if table >= 1.0 {
        return (Kind::Table, interpolate(table, 1.0, 1.6));
    }
    let text = text(page, stretch);
    if text < LEAST_TEXT {
        return (Kind::Nothing, interpolate(text, LEAST_TEXT, 0.0));
    }
    let sure = [
        interpolate(ruled, LEAST_RULE, 2.0),
        interpolate(share, LEAST_RULED, 0.9),
        interpolate(table, 1.0, 0.4),
        interpolate(text, LEAST_TEXT, 0.1),
    ];
    (Kind::Columns, sure.into_iter().fold(1.0, f32::min))
}

/// Number of horizontal lines that meet a stretch from both sides. A double rule counts as one; in a column of text it
/// meets the stretch from one side only.
fn lines_across(page: &Page, stretch: &Stretch) -> usize {
    let (half, bar) = (page.cells(LINE) as isize, page.cells(BAR) as isize);
    let solid = |y: usize, from: isize, to: isize| {
        let x = stretch.line.at(y);
        page.inked(y, x + from..x + to) as f32 >= (to - from) as f32 * SOLID
    };
    let sides = stretch.rows.clone().map(|y| (y, [solid(y, -bar, -half), solid(y, half + 1, bar + 1)]));
    let rows: Vec<(usize, [bool; 2])> = sides.filter(|(_, sides)| sides.contains(&true)).collect();
    let near = page.cells(DOUBLE);
    let lines = rows.chunk_by(|(above, _), (below, _)| above + near >= *below);
    lines.filter(|line| [0, 1].iter().all(|&side| line.iter().any(|(_, sides)| sides[side]))).count()
}

/// The share of a stretch's rows with text, on the side that has less.
fn text(page: &Page, stretch: &Stretch) -> f32 {
    let inner = page.inner_columns();
    let apart = page.cells(APART / 4.0) as isize;
    let rows = |side: fn(Range<isize>, Range<isize>) -> Range<isize>| {
        let inked = |y: &usize| {
            let x = stretch.line.at(*y);
            page.inked(*y, side(inner.clone(), x - apart..x + apart + 1)) > 0
        };
        stretch.rows.clone().filter(inked).count()
    };
    let left = rows(|inner, line| inner.start..line.start);
    let right = rows(|inner, line| line.end..inner.end);
    left.min(right) as f32 / stretch.rows.len().max(1) as f32
}

/// The area of heavy strokes above `end`, where a masthead has its letters, divided by [`MASTHEAD_INK`].
pub(super) fn masthead(page: &Page, strokes: &Strokes, end: usize) -> f32 {
    let breadth = page.cells(HEAVY);
    let columns = page.columns(BODY);
    let rows = page.rows(MASTHEAD);
    let mut heavy = 0;
    for y in rows.start..rows.end.min(end) {
        let strokes = strokes.row(y)[columns.clone()].split(|&mark| mark == 0);
        heavy += strokes.map(|stroke| stroke.len().saturating_sub(breadth)).sum::<usize>();
    }
    page.inches(heavy) * page.inches(1) / MASTHEAD_INK
}

/// The position of a value between a doubtful and a certain one: 0.0..=1.0.
pub(super) fn interpolate(value: f32, doubtful: f32, certain: f32) -> f32 {
    ((value - doubtful) / (certain - doubtful)).clamp(0.0, 1.0)
}
