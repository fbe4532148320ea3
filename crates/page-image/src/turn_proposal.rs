//! Rotations that the letters of a page propose, and what speaks for or against them.
//!
//! The shapes of figures and dot leaders are sometimes taken for letters upside down or on their side. A wrong turn costs
//! the page and a missed one little, so a proposal needs a proof: the glyphs that PDFium drew or, where there are too few,
//! a reading of a few lines in both directions.

use serde::{Deserialize, Serialize};

use crate::{
    BBox, GlyphSource, Grid, Language, PixelSize, Pixels, Region, Rotation,
    cut::{cut, turned},
    layout::{Sample, samples, script},
};

/// White between samples, in inches: a reader sees the lines of two samples as separate lines.
const GAP: f32 = 0.15;

/// The part of a page that is proposed to be turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TurnPlace {
    /// The whole page.
    Page,
    /// Content on its side under an upright head.
    Region,
}

/// Whether a proposal was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A second measure agrees.
    Proven,
    /// It does not, or it could not be taken.
    Unproven,
}

/// The proposals of a page that were examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TurnProofs {
    /// For the whole page.
    pub page: Option<Proof>,
    /// For a region of it.
    pub region: Option<Proof>,
}

impl TurnProofs {
    /// What was found for `place`; `None` if it was not examined.
    pub fn get(&self, place: TurnPlace) -> Option<Proof> {
        match place {
            TurnPlace::Page => self.page,
            TurnPlace::Region => self.region,
        }
    }

    /// Notes what was found for `place`.
    pub fn set(&mut self, place: TurnPlace, proof: Proof) {
        match place {
            TurnPlace::Page => self.page = Some(proof),
            TurnPlace::Region => self.region = Some(proof),
        }
    }
}

/// What is known of a page besides its pixels.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// Its drawn glyphs.
    pub glyphs: GlyphSource<'a>,
    /// The proposals that were examined.
    pub proofs: TurnProofs,
}

/// A rotation that the letters propose and the glyphs do not settle.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnProposal {
    /// The part of the page.
    pub place: TurnPlace,
    /// The rotation that would bring it upright.
    pub turn: Rotation,
    /// The language by the look of the letters after the rotation.
    pub language: Language,
    /// Samples of its text as it stands, one below the other, in grey.
    pub as_it_is: Pixels,
    /// The same samples after the rotation.
    pub turned: Pixels,
}

impl TurnProposal {
    /// The proposal to turn what lies in `bbox` of a page rendered at `dpi`.
    pub(crate) fn new(place: TurnPlace, turn: Rotation, page: &Pixels, bbox: BBox, dpi: f32) -> TurnProposal {
        let sheet = page.sheet(dpi);
        let width = sheet.size.width as usize;
        let language = script(&cut(page, Region { bbox, turn }, Grid::Free).pixels.sheet(dpi)).language;
        let piece = |sample: &Sample| Pixels {
            size: PixelSize { width: sample.across.len() as u32, height: sample.down.len() as u32 },
            bytes: sample
                .down
                .clone()
                .flat_map(|y| &sheet.levels[y * width..][sample.across.clone()])
                .copied()
                .collect(),
            grey: true,
        };
        let pieces: Vec<Pixels> = samples(&sheet, bbox).iter().map(piece).collect();
        let gap = (GAP * dpi).max(1.0) as usize;
        let as_it_is = stacked(&pieces, gap, sheet.paper);
        let pieces: Vec<Pixels> = pieces.into_iter().map(|piece| turned(piece, turn)).collect();
        TurnProposal { place, turn, language, as_it_is, turned: stacked(&pieces, gap, sheet.paper) }
    }
}

/// The pieces one below the other on `paper`, with a margin of `gap` pixels around each.
fn stacked(pieces: &[Pixels], gap: usize, paper: u8) -> Pixels {
    let across = pieces.iter().map(|piece| piece.size.width as usize).max().unwrap_or(0) + 2 * gap;
    let down = pieces.iter().map(|piece| piece.size.height as usize + gap).sum::<usize>() + gap;
    let mut bytes = vec![paper; across * down];
    let mut top = gap;
    for piece in pieces {
        let width = piece.size.width as usize;
        for row in 0..piece.size.height as usize {
            bytes[(top + row) * across + gap..][..width].copy_from_slice(&piece.bytes[row * width..][..width]);
        }
        top += piece.size.height as usize + gap;
    }
    Pixels { size: PixelSize { width: across as u32, height: down as u32 }, bytes, grey: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(width: u32, height: u32, level: u8) -> Pixels {
        Pixels { size: PixelSize { width, height }, bytes: vec![level; (width * height) as usize], grey: true }
    }

    #[test]
    fn pieces_are_stacked_whole_with_a_margin() {
        let stack = stacked(&[piece(3, 2, 10), piece(5, 1, 20)], 2, 255);
        assert_eq!(stack.size, PixelSize { width: 9, height: 9 });
        let count = |level: u8| stack.bytes.iter().filter(|byte| **byte == level).count();
        assert_eq!((count(10), count(20)), (6, 5));
        assert_eq!(stack.bytes[2 * 9 + 2], 10);
        assert_eq!(stack.bytes[6 * 9 + 2], 20);
        assert_eq!(stacked(&[], 2, 255).size, PixelSize { width: 4, height: 2 });
    }

    #[test]
    fn a_proposal_has_the_same_samples_in_both_directions() {
        let size = PixelSize { width: 600, height: 900 };
        let bytes = (0..size.area() as usize)
            .map(|index| if index / 600 % 16 < 7 && index % 600 % 4 < 2 { 0 } else { 255 })
            .collect();
        let page = Pixels { size, bytes, grey: true };
        let proposal = TurnProposal::new(TurnPlace::Page, Rotation::Half, &page, BBox::PAGE, 96.0);
        let ink = |pixels: &Pixels| pixels.bytes.iter().filter(|level| **level == 0).count();
        assert_eq!(ink(&proposal.as_it_is), ink(&proposal.turned));
        assert!(ink(&proposal.turned) > 0 && proposal.turned != proposal.as_it_is);
    }
}
