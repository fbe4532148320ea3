//! Measures the direction in which letters follow one another.

use super::super::{
    marks::for_each_mark,
    mask::{Mask, WORD},
};

/// Largest distance between letters of a word, in inches; lines of text are seldom nearer.
const APART: f32 = 0.06;
/// Marks smaller than this, in inches in both directions, are dots, accents and dirt.
const LEAST_SIZE: f32 = 0.05;
/// Marks larger than this, in inches, are neither letters nor words of letters that touch.
const MOST_SIZE: f32 = 0.8;
/// Share of letters with their neighbour below them above which text runs up and down. On the corpus's upright pages
/// the share is at most 0.39 (a bad scan in Arabic), on the same pages rotated at least 0.62, in tables on their side
/// at least 0.81.
const MOST_BELOW: f32 = 0.55;
/// Least number of letters with a neighbour for level text: a few lines. Fewer may be dirt.
const LEAST_LETTERS: usize = 100;

/// The number of marks with their nearest neighbour beside them, and of marks with it below them.
///
/// The figures of a narrow column of numbers are in upright columns as well as in level lines, but the digits of a
/// number are nearer to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Neighbours {
    pub(super) beside: usize,
    pub(super) below: usize,
}

impl Neighbours {
    /// Counts the neighbours on a mask without rules.
    pub(super) fn of(text: &Mask) -> Neighbours {
        let across = text.across.max(1);
        let is_inked =
            |index: usize| text.word(index % across / WORD, index / across) >> (index % across % WORD) & 1 == 1;
        let mut inked: Vec<bool> = (0..text.across * text.down).map(is_inked).collect();
        let (least, most, apart) = (text.cells(LEAST_SIZE), text.cells(MOST_SIZE), text.cells(APART));
        let mut letters = vec![false; inked.len()];
        let mut boxes = Vec::new();
        for_each_mark(&mut inked, across, |mark| {
            let span = |of: &dyn Fn(usize) -> usize| {
                let (low, high) =
                    mark.iter().fold((usize::MAX, 0), |(low, high), &at| (low.min(of(at)), high.max(of(at))));
                low..high + 1
            };
            let (columns, rows) = (span(&|at| at % across), span(&|at| at / across));
            if (least..=most).contains(&columns.len().max(rows.len())) {
                mark.iter().for_each(|&at| letters[at] = true);
                boxes.push((columns, rows));
            }
        });
        let at = |x: usize, y: usize| x < text.across && letters.get(y * across + x).copied().unwrap_or(false);
        boxes.into_iter().fold(Neighbours::default(), |Neighbours { beside, below }, (columns, rows)| {
            let right = (0..apart).find(|gap| rows.clone().any(|y| at(columns.end + gap, y))).unwrap_or(apart);
            let down = (0..apart).find(|gap| columns.clone().any(|x| at(x, rows.end + gap))).unwrap_or(apart);
            Neighbours { beside: beside + usize::from(right < down), below: below + usize::from(down < right) }
        })
    }

    pub(super) fn run_up_and_down(self) -> bool {
        self.below as f32 > MOST_BELOW * (self.beside + self.below) as f32
    }

    /// Whether there are enough letters, and more than two of three follow one another from side to side.
    pub(super) fn run_level(self) -> bool {
        self.beside > 2 * self.below && self.beside >= LEAST_LETTERS
    }
}

impl std::ops::Add for Neighbours {
    type Output = Neighbours;

    fn add(self, other: Neighbours) -> Neighbours {
        Neighbours { beside: self.beside + other.beside, below: self.below + other.below }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::Sheet, *};
    use crate::PixelSize;

    #[test]
    fn figures_of_narrow_columns_stand_side_by_side() {
        let size = PixelSize { width: 400, height: 400 };
        let is_inked = |x: usize, y: usize| x % 40 < 17 && x % 40 % 9 < 6 && y % 26 < 9;
        let at = |index: usize| (index % 400, index / 400);
        let levels: Vec<u8> =
            (0..size.area() as usize).map(at).map(|(x, y)| if is_inked(x, y) { 0 } else { 255 }).collect();
        let mask = Mask::of(&Sheet::new(size, 96.0, levels.into()), 96.0);
        assert_eq!(Neighbours::of(&mask), Neighbours { beside: 160, below: 0 });
        let turned = Neighbours::of(&mask.turned_right());
        assert_eq!(turned, Neighbours { beside: 0, below: 160 });
        assert!(turned.run_up_and_down() && !Neighbours::of(&mask).run_up_and_down());
        assert!(!Neighbours::default().run_up_and_down());
    }
}
