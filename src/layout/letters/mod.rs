//! What letters look like: Arabic, Latin, or neither; upright or upside down.
//!
//! One linear model looks at a piece of a line in two ways, as it is and upside down, and says which of the three it is and
//! which way up it makes more sense.

mod lines;
mod weights;

use self::{
    lines::{FEATURES, Piece, upside_down},
    weights::{BIAS, WEIGHTS},
};
use super::mask::Mask;

/// Cells to an inch: a small letter is six cells high, and a word of the mask two thirds of an inch wide.
pub(super) const PER_INCH: f32 = 96.0;
/// Longer runs of ink, in inches, are rules or pictures: the longest stroke of letters in running text is shorter.
pub(super) const LONGEST_STROKE: f32 = 0.5;
/// Keeps one clear piece from outweighing a page: odds are taken as a thousand to one at most.
const DOUBT: f32 = 0.001;

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Letterform {
    /// Width of its ink in cells.
    pub(super) width: f32,
    /// How likely its letters are Arabic: 0.0..=1.0.
    pub(super) arabic: f32,
    /// How likely they are Latin; what is left are figures, dots and dirt.
    pub(super) latin: f32,
    /// Logarithm of the odds that it is the right way up.
    pub(super) upright: f32,
}

/// The looks of all pieces of level lines on a mask without rules.
pub(super) fn letterforms(mask: &Mask) -> Vec<Letterform> {
    lines::pieces(mask).iter().map(letterform).collect()
}

/// By how much a piece, on the mean, looks more upright than upside down, and the number of pieces.
pub(super) fn uprightness(mask: &Mask) -> (f32, usize) {
    let looks = letterforms(mask);
    (looks.iter().map(|look| look.upright).sum::<f32>() / looks.len().max(1) as f32, looks.len())
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

/// Scores for Arabic, Latin and neither.
fn scores(features: &[f32; FEATURES]) -> [f32; 3] {
    std::array::from_fn(|class| {
        let sum: f32 = features.iter().zip(&WEIGHTS[class]).map(|(feature, weight)| feature * weight).sum();
        sum + BIAS[class]
    })
}
