//! Rows along which a line divides a page.

use std::ops::Range;

use super::{
    page::Page,
    rule::{Line, Strokes},
};

/// Half the width, in inches, of what counts as the line itself: it is thin, and may be a little bent.
const LINE: f32 = 0.025;
/// Inches to both sides in which something that crosses the line shows itself. A word's space is narrower.
const BESIDE: f32 = 0.08;
/// Inches that a horizontal line reaches to both sides; no letter that touches the line does.
const BAR: f32 = 0.15;
/// A share of the cells, of a horizontal line that a scan breaks.
const SOLID: f32 = 0.9;
/// Inches, at most, between a horizontal line and the upright ones that meet it.
const MEETS: f32 = 0.05;

/// What a row of the page is where a line passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// The line is there.
    Ruled,
    /// Nothing is there, or on one side only.
    Clear,
    /// A horizontal line crosses.
    Bar,
    /// Something else does.
    Crossed,
}

/// What every row is where a line passes.
pub(super) fn passages(page: &Page, strokes: &Strokes, line: &Line) -> Vec<Passage> {
    let down = page.bits.down;
    let (half, beside, bar) = (page.cells(LINE) as isize, page.cells(BESIDE) as isize, page.cells(BAR) as isize);
    let marked: Vec<bool> = (0..down).map(|y| strokes.is_near(line.at(y), y)).collect();
    let passage = |y: usize| {
        let x = line.at(y);
        let inked = |from: isize, to: isize| page.inked(y, x + from..x + to);
        if inked(-bar, bar + 1) as f32 >= (2 * bar + 1) as f32 * SOLID {
            return Passage::Bar;
        }
        let on_line = inked(-half, half + 1) > 0;
        let (above, below) = (y.saturating_sub(strokes.reach), (y + strokes.reach + 1).min(down));
        if on_line && marked[above..below].contains(&true) {
            return Passage::Ruled;
        }
        let (left, right) = (inked(-beside, -half) > 0, inked(half + 1, beside + 1) > 0);
        if (left && right) || (on_line && (left || right)) { Passage::Crossed } else { Passage::Clear }
    };
    (0..down).map(passage).collect()
}

/// Rows along which a line divides the page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) line: Line,
    /// From the line's upper end to its lower.
    pub(super) rows: Range<usize>,
    /// In how many of them it is there.
    pub(super) ruled: usize,
    /// Rows of the horizontal lines that cross it.
    pub(super) bars: Vec<usize>,
}

/// The stretches of a line. Only a horizontal line that it meets from above and from below does not end one: a rule
/// between columns stops short of the lines over the whole width.
pub(super) fn stretches(page: &Page, line: Line, passages: &[Passage]) -> Vec<Stretch> {
    let meets = page.cells(MEETS);
    let mut found = Vec::new();
    let mut open: Option<Stretch> = None;
    let mut above = Passage::Clear;
    for (y, &passage) in passages.iter().enumerate() {
        match passage {
            Passage::Ruled => {
                let stretch = open.get_or_insert_with(|| Stretch { line, rows: y..y, ruled: 0, bars: Vec::new() });
                stretch.rows.end = y + 1;
                stretch.ruled += 1;
            }
            Passage::Crossed => found.extend(open.take()),
            Passage::Bar if above != Passage::Bar => {
                let thickness = passages[y..].iter().take_while(|&&passage| passage == Passage::Bar).count();
                let below = passages.iter().skip(y + thickness).take(meets);
                let met_below = below.clone().any(|&passage| passage == Passage::Ruled);
                match &mut open {
                    Some(stretch) if met_below && stretch.rows.end + meets >= y => stretch.bars.push(y),
                    _ => found.extend(open.take()),
                }
            }
            Passage::Bar | Passage::Clear => {}
        }
        above = passage;
    }
    found.extend(open);
    found
}
