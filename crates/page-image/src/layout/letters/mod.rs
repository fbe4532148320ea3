//! Classifies the shapes of letters: Arabic, Latin or neither, and upright or upside down.
//!
//! One linear model scores a piece of a line twice, as it is and upside down. The scores give its class and which side
//! is more likely up.

mod lines;
mod weights;

use self::{
    lines::{FEATURES, Piece, upside_down},
    weights::{BIAS, WEIGHTS},
};
use super::mask::Mask;

/// Cells for each inch: a small letter is six cells high, and a word of the mask two thirds of an inch wide.
pub(super) const PER_INCH: f32 = 96.0;
/// Runs of ink longer than this, in inches, are rules or pictures. The longest stroke of letters in running text is
/// shorter.
pub(super) const LONGEST_STROKE: f32 = 0.5;
/// Least probability that a piece is letters for it to say which side is up.
const LETTERS: f32 = 0.5;
/// Limits the odds of a piece to about a thousand to one, so that one clear piece does not outweigh a page.
const DOUBT: f32 = 0.001;

/// The classification of a piece of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Letterform {
    /// Width of its ink in cells.
    pub(super) width: f32,
    /// Probability that its letters are Arabic: 0.0..=1.0.
    pub(super) arabic: f32,
    /// Probability that its letters are Latin. The rest is that of figures, dots and dirt.
    pub(super) latin: f32,
    /// Logarithm of the odds that the piece is upright and not upside down.
    pub(super) upright: f32,
}

/// The classifications of all pieces of level lines on a mask without rules.
pub(super) fn letterforms(mask: &Mask) -> Vec<Letterform> {
    lines::pieces(mask).iter().map(letterform).collect()
}

/// Pieces that are letters rather than figures, dots or dirt: the column of the word, the middle row, and the width of
/// the ink, in cells, times the probability that it is letters.
pub(super) fn letters(mask: &Mask) -> impl Iterator<Item = (usize, usize, f32)> {
    lines::pieces(mask).into_iter().map(|piece| {
        let form = letterform(&piece);
        let (column, rows) = piece.place;
        (column, rows.start.midpoint(rows.end), form.width * (form.arabic + form.latin))
    })
}

/// The mean logarithm of the odds that a piece is upright, and the number of pieces. Figures, dots and dirt say little
/// of the side that is up, and are left out.
pub(super) fn uprightness(mask: &Mask) -> (f32, usize) {
    let mut forms = letterforms(mask);
    forms.retain(|form| form.arabic + form.latin >= LETTERS);
    (forms.iter().map(|form| form.upright).sum::<f32>() / forms.len().max(1) as f32, forms.len())
}

fn letterform(piece: &Piece) -> Letterform {
    let (as_is, turned) = (scores(&piece.features), scores(&upside_down(&piece.features)));
    let greatest = as_is.iter().chain(&turned).copied().fold(f32::MIN, f32::max);
    let [as_is, turned] = [as_is, turned].map(|scores| scores.map(|score| (score - greatest).exp()));
    let [upright, reversed] = [as_is, turned].map(|shares| shares.iter().sum::<f32>());
    let all = upright + reversed;
    Letterform {
        width: piece.covered as f32,
        arabic: (as_is[0] + turned[0]) / all,
        latin: (as_is[1] + turned[1]) / all,
        upright: ((upright / all + DOUBT) / (reversed / all + DOUBT)).ln(),
    }
}

/// The scores for Arabic, Latin and neither.
fn scores(features: &[f32; FEATURES]) -> [f32; 3] {
    std::array::from_fn(|class| {
        let sum: f32 = features.iter().zip(&WEIGHTS[class]).map(|(feature, weight)| feature * weight).sum();
        sum + BIAS[class]
    })
}
