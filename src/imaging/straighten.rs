//! Taking the skew out of a page.

use image::{ImageBuffer, Luma, Pixel, Rgb};
use imageproc::geometric_transformations::{Border, Interpolation, rotate_about_center};

use super::pixels::Pixels;
use crate::model::Skew;

/// The page rotated so that its lines are level, the corners that come free filled with `paper`. Rows of the page's own
/// light run through every letter of it: this costs sharpness, so it is done where the skew costs more.
pub(super) fn straightened(pixels: Pixels, skew: Skew, paper: u8) -> Pixels {
    let angle = -skew.degrees().to_radians();
    if pixels.grey { rotated(pixels, angle, Luma([paper])) } else { rotated(pixels, angle, Rgb([paper; 3])) }
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
