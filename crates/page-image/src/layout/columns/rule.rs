//! Finds the straight upright lines of a page.

use std::ops::Range;

use super::page::Page;

/// Least length of a stroke in inches. The tallest letters of running text have half of it.
const STROKE: f32 = 0.2;
/// Least share of inked cells of a stroke, because a scan breaks a hairline rule.
const WHOLE: f32 = 0.9;
/// Most cells to the right for each cell down: slightly more than a degree, which is the largest skew of a page that
/// was not straightened.
const LEAN: f32 = 0.02;
/// Only every second row is examined in the search for a line, which is much longer.
const STEP: usize = 2;

/// A straight line, upright or nearly so, in cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Its position in the first row of the page.
    origin: f32,
    /// Cells to the right for each cell down.
    lean: f32,
}

impl Line {
    /// An upright line through a cell.
    pub(super) fn upright(x: usize) -> Line {
        Line { origin: x as f32, lean: 0.0 }
    }

    /// The cell of the line in a row; it may be outside the page.
    pub(super) fn at(&self, y: usize) -> isize {
        (self.origin + self.lean * y as f32).round() as isize
    }
}

/// The counts of a row's cells, each with 1 if the cell or its right neighbour is inked, because a leaning line passes
/// from one cell to the next. The last cell has no count.
fn pairs<'a>(row: &'a [bool], counts: &'a mut [u8]) -> impl Iterator<Item = (&'a mut u8, u8)> {
    let dark = row.iter().zip(&row[row.len().min(1)..]).map(|(&one, &other)| u8::from(one | other));
    counts.iter_mut().zip(dark)
}

/// The cells of a page that are in the middle of a long upright stroke.
pub(super) struct Strokes {
    across: usize,
    marks: Vec<u8>,
    /// Half the length of a stroke in cells: a stroke extends this far above and below a mark.
    pub(super) reach: usize,
}

impl Strokes {
    pub(super) fn of(page: &Page) -> Strokes {
        let (across, down) = (page.bits.across, page.bits.down);
        let reach = page.cells(STROKE / 2.0).min(usize::from(u8::MAX / 2));
        let least = ((2 * reach + 1) as f32 * WHOLE).ceil() as u8;
        let mut marks = vec![0; across * down];
        let mut counts = vec![0u8; across];
        for y in 0..down + reach {
            if y < down {
                pairs(page.bits.row(y), &mut counts).for_each(|(count, dark)| *count += dark);
            }
            if y > 2 * reach {
                pairs(page.bits.row(y - 2 * reach - 1), &mut counts).for_each(|(count, dark)| *count -= dark);
            }
            if y >= reach {
                let row = &mut marks[(y - reach) * across..][..across];
                row.iter_mut().zip(&counts).for_each(|(mark, &count)| *mark = u8::from(count >= least));
            }
        }
        Strokes { across, marks, reach }
    }

    /// 1 for every cell of a row that is marked, else 0.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.marks[y * self.across..][..self.across]
    }

    /// Whether a cell, or its left or right neighbour, is marked.
    pub(super) fn is_near(&self, x: isize, y: usize) -> bool {
        let row = self.row(y);
        (x - 1..=x + 1).any(|x| usize::try_from(x).ok().and_then(|x| row.get(x)).is_some_and(|&mark| mark > 0))
    }

    /// For every cell of `columns` in the row `middle`: in how many of the `rows` the line through that cell, which
    /// leans by `lean`, is marked. Cells outside the page are not marked.
    fn ink_along(
        &self,
        rows: impl Iterator<Item = usize>,
        middle: usize,
        lean: f32,
        columns: &Range<usize>,
    ) -> Vec<u16> {
        let mut counts = vec![0u16; columns.len()];
        for y in rows {
            let shift = ((y as f32 - middle as f32) * lean).round() as isize;
            let from = columns.start as isize + shift;
            let skipped = from.min(0).unsigned_abs().min(columns.len());
            let row = self.row(y).get(from.max(0) as usize..).unwrap_or_default();
            counts[skipped..]
                .iter_mut()
                .zip(row)
                .for_each(|(count, &mark)| *count = count.saturating_add(u16::from(mark)));
        }
        counts
    }

    /// The line with the most marks in these rows, and how many of its cells are marked. In the middle row it is within
    /// `columns`.
    pub(super) fn longest(&self, rows: &[usize], columns: Range<usize>) -> Option<(Line, usize)> {
        let (first, last) = (*rows.first()?, *rows.last()?);
        let middle = (first + last) / 2;
        let height = (last - first + 1) as f32;
        // From one lean to the next, each end of the line moves by one cell.
        let steps = (LEAN * height / 2.0).ceil() as i32;
        let mut best: Option<(Line, u16)> = None;
        // The upright line first: of equal lines, the one that leans least is taken.
        for step in (0..=steps).flat_map(|step| [step, -step]) {
            let lean = step as f32 * 2.0 / height;
            let counts = self.ink_along(rows.iter().copied().step_by(STEP), middle, lean, &columns);
            let most = counts.iter().copied().max().unwrap_or(0);
            if most > best.map_or(0, |(_, most)| most) {
                // A line several cells wide is marked in each of them and in the cell before.
                let first = counts.iter().position(|&count| count == most).unwrap_or(0);
                let breadth = counts[first..].iter().take_while(|&&count| count == most).count();
                let x = (columns.start + first) as f32 + breadth as f32 / 2.0;
                best = Some((Line { origin: x - lean * middle as f32, lean }, most));
            }
        }
        best.map(|(line, count)| (line, usize::from(count) * STEP))
    }

    /// The longest parallel lines on the left and on the right of this line, at least `apart` cells away and within
    /// `columns`, as shares of these rows.
    pub(super) fn ink_beside(&self, line: &Line, rows: Range<usize>, apart: usize, columns: Range<usize>) -> [f32; 2] {
        let middle = (rows.start + rows.end) / 2;
        let length = rows.len().div_ceil(STEP).max(1);
        let counts = self.ink_along(rows.step_by(STEP), middle, line.lean, &columns);
        let here = (line.at(middle) - columns.start as isize).clamp(0, counts.len() as isize) as usize;
        let most = |counts: &[u16]| f32::from(counts.iter().copied().max().unwrap_or(0)) / length as f32;
        [most(&counts[..here.saturating_sub(apart)]), most(counts.get(here + apart..).unwrap_or_default())]
    }
}
