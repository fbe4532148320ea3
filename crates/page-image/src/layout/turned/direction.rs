//! Measures whether lines of text run level or up and down.

use std::ops::Range;

use super::super::mask::{Mask, WORD, transpose};

/// Distance in inches at which ink is compared: half the height of a line, where line and space differ most.
const DISTANCE: f32 = 0.06;
/// Least number of inked cells for a tile to count: a short word.
const LEAST_INK: u32 = 60;

/// Least number of inked cells in lines of a direction for text. A short running header has more.
const LEAST_TEXT: f32 = 300.0;

/// The amount of ink in level lines and in upright lines.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Direction {
    pub(super) level: f32,
    pub(super) upright: f32,
}

impl Direction {
    /// The directions of these rows, in tiles of 64 x 64 cells.
    pub(super) fn of_rows(mask: &Mask, rows: Range<usize>) -> Direction {
        bands(&rows).map(|band| Direction::of_band(mask, band)).fold(Direction::default(), |sum, band| sum + band)
    }

    /// The directions of a row of tiles, at most 64 cells high. Across the lines of text the ink of a tile varies more,
    /// because of the spaces between lines; the ink of the tile counts for that direction.
    pub(super) fn of_band(mask: &Mask, rows: Range<usize>) -> Direction {
        let distance = mask.cells(DISTANCE).min(WORD / 2);
        (0..mask.words).fold(Direction::default(), |sum, column| {
            let mut tile = mask.tile(column, rows.start);
            tile.iter_mut().skip(rows.len()).for_each(|row| *row = 0);
            let ink: u32 = tile.iter().map(|row| row.count_ones()).sum();
            if ink < LEAST_INK {
                return sum;
            }
            let across = changes(&tile, distance);
            transpose(&mut tile);
            let along = changes(&tile, distance);
            let vote = ink as f32 * (across - along) / (across + along).max(1.0);
            sum + Direction { level: vote.max(0.0), upright: (-vote).max(0.0) }
        })
    }

    /// Ink in level lines less ink in upright lines.
    pub(super) fn balance(self) -> f32 {
        self.level - self.upright
    }

    /// Share of the ink in upright lines: 0.0..=1.0; 0.0 without ink.
    pub(super) fn upright_share(self) -> f32 {
        self.upright / self.ink().max(1.0)
    }

    /// Whether there is enough ink for text.
    pub(super) fn is_text(self) -> bool {
        self.ink() >= LEAST_TEXT
    }

    fn ink(self) -> f32 {
        self.level + self.upright
    }
}

/// The rows in bands of the height of a tile; the last band may be lower.
pub(super) fn bands(rows: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = rows.end;
    rows.clone().step_by(WORD).map(move |top| top..(top + WORD).min(end))
}

impl std::ops::Add for Direction {
    type Output = Direction;

    fn add(self, other: Direction) -> Direction {
        Direction { level: self.level + other.level, upright: self.upright + other.upright }
    }
}

/// Sum of the squared differences of the ink of rows at this distance.
fn changes(tile: &[u64; WORD], distance: usize) -> f32 {
    let ink = tile.map(u64::count_ones);
    ink.iter().zip(&ink[distance..]).map(|(one, other)| one.abs_diff(*other).pow(2) as f32).sum()
}
