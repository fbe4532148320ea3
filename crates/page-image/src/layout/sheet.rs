//! A page in levels of grey.

use std::borrow::Cow;

use crate::PixelSize;

/// A pixel is dark if it is this many levels darker than the paper.
const CONTRAST: u8 = 48;

/// The grey levels of a page, rows from the top, without padding.
#[derive(Debug, Clone)]
pub struct Sheet<'a> {
    /// Width and height in pixels.
    pub size: PixelSize,
    /// Resolution in dots per inch.
    pub dpi: f32,
    /// Lightness of every pixel: 0 is black, 255 white.
    pub levels: Cow<'a, [u8]>,
    /// Lightness of the paper.
    pub paper: u8,
}

impl<'a> Sheet<'a> {
    /// A page with these pixels; `levels` has one byte for each.
    pub fn new(size: PixelSize, dpi: f32, levels: Cow<'a, [u8]>) -> Self {
        let paper = paper_level(&levels, size.width as usize);
        Sheet { size, dpi, levels, paper }
    }

    /// Pixels darker than this are ink.
    pub fn threshold(&self) -> u8 {
        self.paper.saturating_sub(CONTRAST)
    }

    /// The rows of the page; no rows if it has no width.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.levels.chunks_exact((self.size.width as usize).max(1))
    }
}

/// Lightness of the paper: the most frequent of the lighter half of all levels, in every fourth row. A page that is
/// dark everywhere has no paper; white is taken then, so that the page counts as ink.
fn paper_level(levels: &[u8], width: usize) -> u8 {
    let mut histogram = [0u32; 256];
    let rows = levels.chunks(width.max(1)).step_by(4);
    rows.flatten().for_each(|&level| histogram[usize::from(level)] += 1);
    let commonest = (128..=255u8).max_by_key(|&level| histogram[usize::from(level)]);
    commonest.filter(|&level| histogram[usize::from(level)] > 0).unwrap_or(255)
}
