//! The cells of a page, packed sixty-four to a word. Rotating a page, removing its rules and counting its ink then take
//! a fraction of a millisecond.

use std::ops::Range;

use super::{Bits, Sheet};

/// Number of cells in a word.
pub(super) const WORD: usize = u64::BITS as usize;
/// A cell is inked if this share of its pixels is dark. With less, the strokes of neighbouring letters run together.
const SHARE: f32 = 0.5;

/// The inked cells of a page. The lowest bit of a word is its leftmost cell. Cells beyond the right edge are white.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    /// Number of cells from left to right.
    pub(super) across: usize,
    /// Number of cells from top to bottom.
    pub(super) down: usize,
    /// Number of words in a row.
    pub(super) words: usize,
    /// Cells for each inch.
    pub(super) per_inch: f32,
    ink: Vec<u64>,
}

impl Mask {
    /// The sheet at about `per_inch` cells for each inch, never finer than its pixels.
    pub(super) fn of(sheet: &Sheet<'_>, per_inch: f32) -> Mask {
        let bits = Bits::of(sheet, per_inch, SHARE);
        let words = bits.across.div_ceil(WORD);
        let mut ink = Vec::with_capacity(words * bits.down);
        for y in 0..bits.down {
            ink.extend(bits.row(y).chunks(WORD).map(pack));
        }
        Mask { across: bits.across, down: bits.down, words, per_inch: sheet.dpi / bits.side as f32, ink }
    }

    /// This many inches in cells, at least one.
    pub(super) fn cells(&self, inches: f32) -> usize {
        ((inches * self.per_inch).round() as usize).max(1)
    }

    /// The word at `column` of row `y`; white outside the page.
    pub(super) fn word(&self, column: usize, y: usize) -> u64 {
        if column < self.words { self.ink.get(y * self.words + column).copied().unwrap_or(0) } else { 0 }
    }

    /// Number of inked cells of a row.
    pub(super) fn row_ink(&self, y: usize) -> usize {
        (0..self.words).map(|column| self.word(column, y).count_ones() as usize).sum()
    }

    /// Number of columns of cells that have ink in one of these rows.
    pub(super) fn covered(&self, rows: Range<usize>) -> usize {
        let all = |column| rows.clone().fold(0, |all, y| all | self.word(column, y));
        (0..self.words).map(|column| all(column).count_ones() as usize).sum()
    }

    /// Only these rows.
    pub(super) fn cut(&self, rows: Range<usize>) -> Mask {
        let end = rows.end.min(self.down);
        let start = rows.start.min(end);
        Mask { down: end - start, ink: self.ink[start * self.words..end * self.words].to_vec(), ..*self }
    }

    /// Without level and upright runs of at least `length` cells: the rules of tables, the edges of scans, filled
    /// areas.
    pub(super) fn without_runs(&self, length: usize) -> Mask {
        let (level, upright) = (self.level_runs(length), self.upright_runs(length));
        let ink = self.ink.iter().zip(level.ink.iter().zip(&upright.ink)).map(|(ink, (a, b))| ink & !(a | b)).collect();
        Mask { ink, ..*self }
    }

    /// Without runs of at least `length` cells from top to bottom.
    pub(super) fn without_upright_runs(&self, length: usize) -> Mask {
        let upright = self.upright_runs(length);
        Mask { ink: self.ink.iter().zip(&upright.ink).map(|(ink, run)| ink & !run).collect(), ..*self }
    }

    /// Only runs of at least `length` cells from top to bottom.
    pub(super) fn upright_runs(&self, length: usize) -> Mask {
        self.opened(length, |mask, by| mask.shifted_up(by), |mask, by| mask.shifted_down(by))
    }

    /// Only runs of at least `length` cells from left to right.
    pub(super) fn level_runs(&self, length: usize) -> Mask {
        self.opened(length, |mask, by| mask.shifted_left(by), |mask, by| mask.shifted_right(by))
    }

    /// Rotated by 90 degrees clockwise.
    pub(super) fn turned_right(&self) -> Mask {
        let (across, down) = (self.down, self.across);
        let words = across.div_ceil(WORD);
        let mut ink = vec![0; words * down];
        for column in 0..words {
            for old_column in 0..self.words {
                let mut block = self.block_upwards(old_column, column * WORD);
                transpose(&mut block);
                let top = old_column * WORD;
                for (y, word) in block.iter().enumerate().take(down.saturating_sub(top)) {
                    ink[(top + y) * words + column] = *word;
                }
            }
        }
        Mask { across, down, words, per_inch: self.per_inch, ink }
    }

    /// The words of a column from bottom to top, beginning `from_bottom` rows above the last row; white above the page.
    fn block_upwards(&self, column: usize, from_bottom: usize) -> [u64; WORD] {
        std::array::from_fn(|index| match self.down.checked_sub(1 + from_bottom + index) {
            Some(y) => self.word(column, y),
            None => 0,
        })
    }

    /// A tile of 64 x 64 cells whose top row is `top`.
    pub(super) fn tile(&self, column: usize, top: usize) -> [u64; WORD] {
        std::array::from_fn(|index| self.word(column, top + index))
    }

    /// Morphological opening along one direction: erosion removes runs shorter than `length`, dilation restores the
    /// others.
    fn opened(&self, length: usize, ahead: impl Fn(&Mask, usize) -> Mask, back: impl Fn(&Mask, usize) -> Mask) -> Mask {
        let mut kept = self.clone();
        for step in steps(length) {
            let moved = ahead(&kept, step);
            kept.ink.iter_mut().zip(&moved.ink).for_each(|(ink, moved)| *ink &= moved);
        }
        for step in steps(length) {
            let moved = back(&kept, step);
            kept.ink.iter_mut().zip(&moved.ink).for_each(|(ink, moved)| *ink |= moved);
        }
        kept
    }

    fn shifted_up(&self, by: usize) -> Mask {
        let ink = (by * self.words..by * self.words + self.ink.len()).map(|at| self.ink.get(at).copied().unwrap_or(0));
        Mask { ink: ink.collect(), ..*self }
    }

    fn shifted_down(&self, by: usize) -> Mask {
        let above = by * self.words;
        let ink = (0..self.ink.len()).map(|at| if at < above { 0 } else { self.ink[at - above] });
        Mask { ink: ink.collect(), ..*self }
    }

    fn shifted_left(&self, by: usize) -> Mask {
        self.shifted_along(|column, y| {
            let (whole, part) = (by / WORD, by % WORD);
            let low = self.word(column + whole, y) >> part;
            if part == 0 { low } else { low | self.word(column + whole + 1, y) << (WORD - part) }
        })
    }

    fn shifted_right(&self, by: usize) -> Mask {
        let before = |column: usize, words: usize, y: usize| match column.checked_sub(words) {
            Some(column) => self.word(column, y),
            None => 0,
        };
        self.shifted_along(|column, y| {
            let (whole, part) = (by / WORD, by % WORD);
            let high = before(column, whole, y) << part;
            if part == 0 { high } else { high | before(column, whole + 1, y) >> (WORD - part) }
        })
    }

    fn shifted_along(&self, word: impl Fn(usize, usize) -> u64) -> Mask {
        let mut ink = Vec::with_capacity(self.ink.len());
        for y in 0..self.down {
            ink.extend((0..self.words).map(|column| word(column, y)));
        }
        Mask { ink, ..*self }
    }
}

/// The shifts, doubling each time, that cover a run of `length` cells; their sum is `length - 1`.
fn steps(length: usize) -> Vec<usize> {
    let (mut reached, mut steps) = (1, Vec::new());
    while reached < length {
        let step = reached.min(length - reached);
        steps.push(step);
        reached += step;
    }
    steps
}

/// Packs up to 64 cells into the bits of a word.
fn pack(cells: &[bool]) -> u64 {
    cells.iter().rev().fold(0, |word, &inked| word << 1 | u64::from(inked))
}

/// Transposes a block of bits: bit `x` of word `y` becomes bit `y` of word `x` (Hacker's Delight, 7-3).
pub(super) fn transpose(block: &mut [u64; WORD]) {
    let (mut width, mut mask) = (WORD / 2, u64::MAX >> (WORD / 2));
    while width != 0 {
        for y in (0..WORD).filter(|y| y & width == 0) {
            let exchanged = (block[y] >> width ^ block[y + width]) & mask;
            block[y] ^= exchanged << width;
            block[y + width] ^= exchanged;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    /// A page whose cells are its pixels.
    fn mask(width: u32, height: u32, is_inked: impl Fn(usize, usize) -> bool) -> Mask {
        let size = PixelSize { width, height };
        let at = |index: usize| (index % width as usize, index / width as usize);
        let levels: Vec<u8> =
            (0..size.area() as usize).map(at).map(|(x, y)| if is_inked(x, y) { 0 } else { 255 }).collect();
        Mask::of(&Sheet::new(size, 96.0, levels.into()), 96.0)
    }

    fn is_inked(mask: &Mask, x: usize, y: usize) -> bool {
        mask.word(x / WORD, y) >> (x % WORD) & 1 == 1
    }

    #[test]
    fn a_turned_page_has_every_cell_in_its_place() {
        for (width, height) in [(1, 1), (1, 130), (130, 1), (64, 64), (100, 203)] {
            let page = mask(width, height, |x, y| (x * 7 + y * 13) % 5 == 0);
            let turned = page.turned_right();
            assert_eq!((turned.across, turned.down), (page.down, page.across));
            for (x, y) in (0..page.across).flat_map(|x| (0..page.down).map(move |y| (x, y))) {
                assert_eq!(
                    is_inked(&turned, page.down - 1 - y, x),
                    is_inked(&page, x, y),
                    "{x} {y} of {width} x {height}"
                );
            }
            assert_eq!(turned.turned_right().turned_right().turned_right().ink, page.ink);
        }
    }

    #[test]
    fn rules_go_and_shorter_strokes_stay() {
        // A level rule over a word's edge, an upright one, and a stroke one cell too short, for several lengths.
        for length in [1, 2, 48, 64, 65, 100] {
            let page = mask(300, 300, |x, y| match (x, y) {
                (20.., 10) => x < 20 + length,
                (200, 20..) => y < 20 + length,
                (30.., 200) => x < 30 + length - 1,
                _ => false,
            });
            let left = page.without_runs(length);
            let ink: usize = (0..300).map(|y| left.row_ink(y)).sum();
            assert_eq!(ink, length - 1, "runs of {length}");
            assert_eq!(left.row_ink(200), length - 1);
        }
    }

    #[test]
    fn rows_are_cut_and_covered() {
        let page = mask(70, 9, |x, y| x == 60 + y);
        assert_eq!(page.covered(2..7), 5);
        assert_eq!(page.cut(2..99).down, 7);
        assert!(is_inked(&page.cut(2..5), 62, 0));
        let (start, end) = (9, 3);
        assert_eq!(page.cut(start..end).down, 0);
    }
}
