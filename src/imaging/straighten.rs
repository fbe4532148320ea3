//! Removes the skew of a page.

use image::{ImageBuffer, Luma, Pixel, Rgb};
use imageproc::geometric_transformations::{Border, Interpolation, rotate_about_center};

use super::pixels::Pixels;
use crate::{
    layout::{Sheet, letter_within},
    model::Skew,
};

/// The page, rotated so that its lines are level. The free corners are filled with `paper`. The interpolation makes
/// every letter less sharp, so a page is rotated only if its skew does more harm.
pub(super) fn straightened(pixels: Pixels, skew: Skew, paper: u8) -> Pixels {
    let angle = -skew.degrees().to_radians();
    if pixels.grey { rotated(pixels, angle, Luma([paper])) } else { rotated(pixels, angle, Rgb([paper; 3])) }
}

/// Whether a letter near a corner would be outside the image after straightening.
pub(super) fn loses_ink(sheet: &Sheet<'_>, skew: Skew) -> bool {
    let (width, height) = (sheet.size.width as f32, sheet.size.height as f32);
    let (sine, cosine) = (-skew.degrees().to_radians()).sin_cos();
    letter_within(sheet, |x, y| {
        let (x, y) = (x as f32 - width / 2.0, y as f32 - height / 2.0);
        let (x, y) = (x * cosine - y * sine + width / 2.0, x * sine + y * cosine + height / 2.0);
        x < 0.0 || y < 0.0 || x >= width || y >= height
    })
}

/// Rotates clockwise by `angle` radians.
fn rotated<P>(pixels: Pixels, angle: f32, fill: P) -> Pixels
where
    P: Pixel<Subpixel = u8> + Send + Sync,
{
    let Pixels { size, bytes, grey } = pixels;
    let mut image = ImageBuffer::<P, _>::new(size.width, size.height);
    image.copy_from_slice(&bytes);
    let image = rotate_about_center(&image, angle, Interpolation::Bilinear, Border::Constant(fill));
    Pixels { size, bytes: image.into_raw(), grey }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PixelSize;

    const SIZE: PixelSize = PixelSize { width: 800, height: 1100 };

    /// A page of letters, each a square of 16 pixels at 192 dots per inch.
    fn page(letters: &[(usize, usize)]) -> Pixels {
        let mut bytes = vec![255; SIZE.area() as usize];
        for (left, top) in letters {
            for y in *top..top + 16 {
                bytes[y * 800 + left..][..16].fill(0);
            }
        }
        Pixels { size: SIZE, bytes, grey: true }
    }

    fn black(pixels: &Pixels) -> usize {
        pixels.bytes.iter().filter(|&&level| level < 128).count()
    }

    #[test]
    fn a_letter_is_lost_where_straightening_takes_it_out_of_the_picture_and_only_there() {
        let places = [(60, 11), (724, 11), (11, 60), (11, 1024)];
        for (skew, lost) in [(Skew(300), [false, true, true, false]), (Skew(-300), [true, false, false, true])] {
            for (place, expected) in places.into_iter().zip(lost) {
                let pixels = page(&[(400, 500), place]);
                assert_eq!(loses_ink(&pixels.sheet(192.0), skew), expected, "{place:?} {skew:?}");
                let before = black(&pixels);
                let after = black(&straightened(pixels, skew, 255));
                assert_eq!(after + 60 < before, expected, "{place:?} {skew:?}: {before} before, {after} after");
            }
        }
        assert!(!loses_ink(&page(&[(100, 100), (690, 990)]).sheet(192.0), Skew(500)));
    }
}
