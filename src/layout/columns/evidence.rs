//! What speaks for columns, and what against them.

use std::ops::Range;

use super::{
    page::Page,
    rule::Strokes,
    stretch::{BAR, LINE, SOLID, Stretch},
};

/// Inches of a line that are least worth dividing a page at: four lines of text.
const LEAST_RULE: f32 = 0.7;
/// Least share of a stretch in which the line is there.
const LEAST_RULED: f32 = 0.5;
/// Share of a stretch's height. Lines as long as this on both sides of it are the other upright lines of its table, and
/// on one side too where it is met besides. A table within a column is shorter, and does not touch the rule.
const BESIDE: f32 = 0.5;
/// Inches from the line; nearer marks are its own.
const APART: f32 = 0.2;
/// So many horizontal lines that meet a stretch from both sides are a table's rows.
const MET: f32 = 3.0;
/// Inches from one line to the next of a double rule, at most. A table's row with text is higher.
const DOUBLE: f32 = 0.08;
/// Share of a stretch's rows which must have text, on either side: less is an empty column.
const LEAST_TEXT: f32 = 0.03;
/// The share of the height, from the top, in which a masthead stands.
const MASTHEAD: Range<f32> = 0.03..0.4;
/// The share of the width in which it and a table's inner lines stand; outside are the black edges of scans.
const BODY: Range<f32> = 0.08..0.92;
/// Inches: an upright stroke of at least this breadth, and longer than those of running text, is a masthead's.
const HEAVY: f32 = 0.04;
/// Square inches of heavy strokes that only a masthead has. Those of 12 issues have 0.18 to 0.29; other pages 0.03 at most.
const MASTHEAD_INK: f32 = 0.08;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rule between two columns.
    Columns,
    /// One of a table's lines.
    Table,
    /// Too short a line, or one without text on one of its sides.
    Nothing,
}

/// What a stretch is, and how sure that is: 0.0..=1.0.
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

/// How many horizontal lines meet a stretch from both sides. A double rule is one, and in a column of text it meets from
/// one side.
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

/// The share of a stretch's rows that have text, on the side that has less.
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

/// Square inches of heavy strokes above `end`, where a masthead has its letters, as a share of what a masthead has at the
/// least.
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

/// Where a value lies on the way from the doubtful to the certain: 0.0..=1.0.
pub(super) fn interpolate(value: f32, doubtful: f32, certain: f32) -> f32 {
    ((value - doubtful) / (certain - doubtful)).clamp(0.0, 1.0)
}
