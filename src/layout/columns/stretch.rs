//! Rows along which a line divides a page.

use std::ops::Range;

use super::{
    page::Page,
    rule::{Line, Strokes},
};

/// Half the width, in inches, of what counts as the line itself: it is thin, and may be a little bent.
pub(super) const LINE: f32 = 0.025;
/// Inches to both sides in which something that crosses the line shows itself. A word's space is narrower.
const BESIDE: f32 = 0.08;
/// Inches that a horizontal line reaches to both sides; no letter that touches the line does.
pub(super) const BAR: f32 = 0.15;
/// A share of the cells, of a horizontal line that a scan breaks.
pub(super) const SOLID: f32 = 0.9;
/// Inches, at most, without the line where it meets what crosses it. A line of text between two ends takes more.
const MEETS: f32 = 0.1;
/// Inches. A piece shorter than this beyond a horizontal line may be a letter of a head.
const END: f32 = 0.25;

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
    bars: Vec<Range<usize>>,
}

impl Stretch {
    /// Rows without a line between what stands on the left and on the right.
    pub(super) fn white(line: Line, rows: Range<usize>) -> Stretch {
        Stretch { line, rows, ruled: 0, bars: Vec::new() }
    }

    /// The stretches of a line. Nothing crosses within one but what the line meets from above and from below: a table's
    /// lines do so, and so do dirt and letters that touch it; a rule between columns stops short of what stands over the
    /// whole width.
    pub(super) fn all(page: &Page, line: Line, passages: &[Passage]) -> Vec<Stretch> {
        let meets = page.cells(MEETS);
        let mut found: Vec<Stretch> = Vec::new();
        for (y, _) in passages.iter().enumerate().filter(|(_, passage)| **passage == Passage::Ruled) {
            let open = found.last_mut().filter(|stretch| {
                let gap = &passages[stretch.rows.end..y];
                gap.len() <= meets || gap.iter().all(|passage| *passage == Passage::Clear)
            });
            match open {
                Some(stretch) => {
                    let gap = stretch.rows.end..y;
                    stretch.rows.end = y + 1;
                    stretch.ruled += 1;
                    if passages[gap.clone()].contains(&Passage::Bar) {
                        stretch.bars.push(gap);
                    }
                }
                None => found.push(Stretch { line, rows: y..y + 1, ruled: 1, bars: Vec::new() }),
            }
        }
        found.iter_mut().for_each(|stretch| stretch.trim(page.cells(END)));
        found
    }

    /// Takes off what lies less than `end` beyond the first and the last bar: a letter's stroke.
    fn trim(&mut self, end: usize) {
        let Range { start, end: last } = self.rows;
        let (upper, lower) = (start + end, last.saturating_sub(end));
        if let Some(bar) = self.bars.iter().rfind(|bar| bar.start < upper) {
            self.rows.start = bar.end;
        }
        if let Some(bar) = self.bars.iter().find(|bar| bar.end > lower && bar.start > self.rows.start) {
            self.rows.end = bar.start;
        }
        self.bars.retain(|bar| bar.start > self.rows.start && bar.end < self.rows.end);
        self.ruled = self.ruled.min(self.rows.len());
    }
}
