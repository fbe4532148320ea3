//! Stretches: rows along which a line divides a page.

use std::ops::Range;

use super::{
    page::Page,
    rule::{Line, Strokes},
};

/// Half the width of the line in inches. The line is thin, but may be slightly bent.
pub(super) const LINE: f32 = 0.025;
/// Inches on both sides in which content that crosses the line has ink. The space between words is narrower.
const BESIDE: f32 = 0.08;
/// Least reach in inches of a horizontal line to both sides. No letter that touches the line reaches so far.
pub(super) const BAR: f32 = 0.15;
/// Least share of inked cells of a horizontal line, because a scan breaks it.
pub(super) const SOLID: f32 = 0.9;
/// Largest gap in inches of a line where it meets crossing content. A line of text between two ends takes more.
const MEETS: f32 = 0.1;
/// A piece shorter than this many inches beyond a horizontal line may be a letter of a head.
const END: f32 = 0.25;

/// The state of a row of the page at the position of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// The line is present.
    Ruled,
    /// Nothing crosses; ink may be on one side only.
    Clear,
    /// A horizontal line crosses.
    Bar,
    /// Other content crosses.
    Crossed,
}

/// The state of every row at the position of a line.
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
    /// From the upper end of the line to its lower end.
    pub(super) rows: Range<usize>,
    /// In how many of these rows the line is present.
    pub(super) ruled: usize,
    /// Rows of the horizontal lines that cross the line.
    bars: Vec<Range<usize>>,
}

impl Stretch {
    /// A stretch of white between the left and the right side, without a line.
    pub(super) fn white(line: Line, rows: Range<usize>) -> Stretch {
        Stretch { line, rows, ruled: 0, bars: Vec::new() }
    }

    /// The stretches of a line. Content that crosses ends a stretch, unless the line meets it from above and from
    /// below, as it does with the lines of a table, and with dirt and letters that touch it. A rule between columns
    /// ends before content over the whole width.
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

    /// Removes a piece shorter than `end` beyond the first or the last bar: it may be the stroke of a letter.
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
