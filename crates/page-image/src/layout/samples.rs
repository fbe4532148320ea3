//! Chooses small pieces of a page that a reader is to read, to tell which side is up.

use std::ops::Range;

use super::{
    Sheet, letters,
    mask::{Mask, WORD},
    turned::without_rules,
};
use crate::BBox;

/// Side of a sample in words of the mask, each two thirds of an inch: square, so that it holds as much of a line
/// whichever way the lines run.
const SIDE: usize = 4;
/// Most samples of a page.
const MOST: usize = 3;
/// Letters in a sample, as a share of those in the best sample, below which it is left out.
const LEAST_SHARE: f32 = 0.2;

/// A piece of a page, in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Columns of pixels.
    pub across: Range<usize>,
    /// Rows of pixels.
    pub down: Range<usize>,
}

/// The pieces of `place` with the most letters, whichever way the lines run; at most three, which do not overlap. None
/// where there are no letters.
pub fn samples(sheet: &Sheet<'_>, place: BBox) -> Vec<Sample> {
    let mask = Mask::of(sheet, letters::PER_INCH);
    let row = |thousandths: u16| usize::from(thousandths) * mask.down / usize::from(BBox::SCALE);
    let rows = row(place.top)..row(place.bottom);
    let mut tiles = Tiles::of(&without_rules(&mask.cut(rows.clone())));
    let mut samples = Vec::new();
    let mut most = 0.0;
    while samples.len() < MOST {
        let Some((letters, column, tile)) = tiles.best() else { break };
        if letters <= LEAST_SHARE * most {
            break;
        }
        most = f32::max(most, letters);
        tiles.take(column, tile);
        let pixels = |cells: Range<usize>, all: usize, side: u32| {
            let pixel = |cell: usize| cell.min(all) * side as usize / all.max(1);
            pixel(cells.start)..pixel(cells.end)
        };
        let (left, top) = (column * WORD, rows.start + tile * WORD);
        samples.push(Sample {
            across: pixels(left..left + SIDE * WORD, mask.across, sheet.size.width),
            down: pixels(top..(top + SIDE * WORD).min(rows.end), mask.down, sheet.size.height),
        });
    }
    samples
}

/// The letters in each square of 64 x 64 cells.
struct Tiles {
    across: usize,
    down: usize,
    letters: Vec<f32>,
}

impl Tiles {
    fn of(text: &Mask) -> Tiles {
        let (across, down) = (text.words, text.down.div_ceil(WORD));
        let mut tiles = Tiles { across, down, letters: vec![0.0; across * down] };
        for (column, row, letters) in letters::letters(text) {
            tiles.letters[row / WORD * across + column] += letters;
        }
        // Its columns are the rows of the page from below, its rows the columns.
        for (column, row, letters) in letters::letters(&text.turned_right()) {
            let from_below = (column * WORD + WORD / 2).min(text.down - 1);
            tiles.letters[(text.down - 1 - from_below) / WORD * across + row / WORD] += letters;
        }
        tiles
    }

    /// The square of tiles with the most letters: how many, and its first column and row.
    fn best(&self) -> Option<(f32, usize, usize)> {
        let columns = 0..=self.across.saturating_sub(SIDE);
        let places = columns.flat_map(|column| (0..=self.down.saturating_sub(SIDE)).map(move |row| (column, row)));
        let counted = places.map(|(column, row)| {
            let sum = self.square(column, row).map(|index| self.letters[index]).sum::<f32>();
            (sum, column, row)
        });
        counted.filter(|best| best.0 > 0.0).max_by(|one, other| one.0.total_cmp(&other.0))
    }

    /// Leaves the letters of a square out of what follows.
    fn take(&mut self, column: usize, row: usize) {
        for index in self.square(column, row).collect::<Vec<_>>() {
            self.letters[index] = 0.0;
        }
    }

    fn square(&self, column: usize, row: usize) -> impl Iterator<Item = usize> + use<> {
        let (across, end) = (self.across, (column + SIDE).min(self.across));
        (row..(row + SIDE).min(self.down)).flat_map(move |row| (column..end).map(move |column| row * across + column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

    /// A page of A4 at 96 dots per inch with bars like lines of print in these rows.
    fn sheet(rows: Range<usize>) -> Sheet<'static> {
        let size = PixelSize { width: 794, height: 1123 };
        let levels: Vec<u8> = (0..size.area() as usize)
            .map(|index| (index % 794, index / 794))
            .map(|(x, y)| {
                let inked = rows.contains(&y) && y % 16 < 7 && x % 4 < 2;
                if inked { 0 } else { 255 }
            })
            .collect();
        Sheet::new(size, 96.0, levels.into())
    }

    #[test]
    fn samples_lie_where_the_letters_are_and_apart() {
        let found = samples(&sheet(650..1000), BBox::PAGE);
        assert!(!found.is_empty());
        for (index, sample) in found.iter().enumerate() {
            assert!(sample.down.end > 650 && sample.across.end <= 794 && sample.down.end <= 1123, "{sample:?}");
            for other in &found[index + 1..] {
                let apart = |one: &Range<usize>, other: &Range<usize>| one.end <= other.start || other.end <= one.start;
                assert!(apart(&sample.across, &other.across) || apart(&sample.down, &other.down), "{found:?}");
            }
        }
    }

    #[test]
    fn samples_stay_within_their_place_and_a_white_page_has_none() {
        let place = BBox { top: 300, bottom: 500, ..BBox::PAGE };
        let found = samples(&sheet(0..1123), place);
        assert!(!found.is_empty());
        assert!(found.iter().all(|sample| sample.down.start >= 335 && sample.down.end <= 562), "{found:?}");
        assert_eq!(samples(&sheet(0..0), BBox::PAGE), []);
        assert_eq!(samples(&sheet(0..0), BBox { top: 900, bottom: 900, ..BBox::PAGE }), []);
    }
}
