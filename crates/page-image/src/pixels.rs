//! The pixels of a rendered page.

use std::borrow::Cow;

use crate::{
    PixelSize,
    layout::{Ink, Sheet},
};

/// Greatest difference between the channels of a pixel that still counts as grey. JPEG scans of black on white have
/// colour of this order, which is not visible but would treble the size of the image.
const GREY_TOLERANCE: u8 = 8;
/// Pixels that are checked for colour together.
const STRIP: usize = 4096;

/// A rendered page: rows from the top, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width and height in pixels.
    pub size: PixelSize,
    /// One byte for each pixel if `grey`, else three: red, green, blue.
    pub bytes: Vec<u8>,
    /// Whether the page has no colour.
    pub grey: bool,
}

impl Pixels {
    /// Packs PDFium's pixels of four bytes (red, green, blue, unused): to grey if the page has no colour, else to red,
    /// green, blue.
    pub fn from_rgbx(size: PixelSize, rgbx: &[u8]) -> Pixels {
        let (pixels, _) = rgbx.as_chunks::<4>();
        // In strips, each without an early exit, so that the compiler can vectorise the comparison.
        let grey = !pixels.chunks(STRIP).any(|strip| strip.iter().fold(false, |any, &pixel| any | is_coloured(pixel)));
        let bytes = if grey {
            pixels.iter().map(|&[red, green, blue, _]| luma([red, green, blue])).collect()
        } else {
            pixels.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect()
        };
        Pixels { size, bytes, grey }
    }

    /// The page in levels of grey; it was rendered at `dpi`.
    pub fn sheet(&self, dpi: f32) -> Sheet<'_> {
        self.shaded(dpi, luma)
    }

    /// Share of the pixels that differ from the paper, however little: 0.0..=1.0. Everything that was drawn counts, and
    /// so does the grain of a scan.
    pub fn marked(&self) -> f32 {
        const SLACK: u8 = 2;
        let sheet = self.sheet(1.0);
        let marked = sheet.levels.iter().filter(|level| level.abs_diff(sheet.paper) > SLACK).count();
        marked as f32 / sheet.levels.len().max(1) as f32
    }

    /// The ink of the page, rendered at `dpi`. A page that is blank in levels of grey is checked again with the darkest
    /// channel of each pixel, because in grey a pink stamp is as light as paper.
    pub fn ink(&self, dpi: f32) -> Ink {
        let ink = Ink::of(&self.sheet(dpi));
        if ink.blank && !self.grey {
            Ink::of(&self.shaded(dpi, |[red, green, blue]| red.min(green).min(blue)))
        } else {
            ink
        }
    }

    fn shaded(&self, dpi: f32, shade: impl Fn([u8; 3]) -> u8) -> Sheet<'_> {
        let levels = if self.grey {
            Cow::Borrowed(self.bytes.as_slice())
        } else {
            let (pixels, _) = self.bytes.as_chunks::<3>();
            pixels.iter().map(|&pixel| shade(pixel)).collect()
        };
        Sheet::new(self.size, dpi, levels)
    }
}

/// White pixels of four bytes for a page of this size; `None` if there is not enough memory.
pub fn white_canvas(size: PixelSize) -> Option<Vec<u8>> {
    let bytes = usize::try_from(size.area().checked_mul(4)?).ok()?;
    let mut canvas = Vec::new();
    canvas.try_reserve_exact(bytes).ok()?;
    canvas.resize(bytes, u8::MAX);
    Some(canvas)
}

fn is_coloured([red, green, blue, _]: [u8; 4]) -> bool {
    red.max(green).max(blue) - red.min(green).min(blue) > GREY_TOLERANCE
}

/// ITU-R 601 luma in integers, exact for grey.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 77 + u32::from(green) * 150 + u32::from(blue) * 29 + 128) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: PixelSize = PixelSize { width: 2, height: 1 };

    #[test]
    fn a_page_without_colour_becomes_grey_and_keeps_every_level() {
        for level in 0..=255 {
            let pixels = Pixels::from_rgbx(TWO, &[level, level, level, 0, 255, 250, 255, 0]);
            assert!(pixels.grey);
            assert_eq!(pixels.bytes[0], level);
        }
    }

    #[test]
    fn one_coloured_pixel_keeps_the_page_in_colour() {
        let pixels = Pixels::from_rgbx(TWO, &[0, 0, 0, 9, 200, 30, 40, 9]);
        assert_eq!(pixels, Pixels { size: TWO, bytes: vec![0, 0, 0, 200, 30, 40], grey: false });
        assert_eq!(*pixels.sheet(192.0).levels, [0, 82]);
    }

    #[test]
    fn a_pale_pink_stamp_is_no_blank_page() {
        let size = PixelSize { width: 400, height: 400 };
        let stamp = |at: usize| at / 400 > 150 && at / 400 < 160 && (100..300).contains(&(at % 400));
        let rgbx: Vec<u8> = (0..160_000).flat_map(|at| if stamp(at) { [255, 190, 190, 0] } else { [255; 4] }).collect();
        assert!(!Pixels::from_rgbx(size, &rgbx).ink(192.0).blank);
        assert!(Pixels::from_rgbx(size, &[255; 640_000]).ink(192.0).blank);
    }
}
