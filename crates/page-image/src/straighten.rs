//! Removes the skew of a page.

use std::array;

use crate::Pixels;
use crate::{
    Skew,
    layout::{Sheet, letter_within},
};

/// The page, rotated so that its lines are level. The free corners are filled with `paper`. The interpolation makes
/// every letter less sharp, so a page is rotated only if its skew does more harm.
pub(super) fn straightened(pixels: Pixels, skew: Skew, paper: u8) -> Pixels {
    let angle = -skew.degrees().to_radians();
    let bytes = if pixels.grey { rotated::<1>(&pixels, angle, paper) } else { rotated::<3>(&pixels, angle, paper) };
    Pixels { bytes, ..pixels }
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

/// Bytes of the page rotated clockwise about its middle by `angle` radians. A pixel, of `BYTES`, is blended from the four
/// around the place that it comes from: those above, those below, and what that gave; each blend is cut to a whole level.
fn rotated<const BYTES: usize>(pixels: &Pixels, angle: f32, paper: u8) -> Vec<u8> {
    let (width, height) = (i64::from(pixels.size.width), i64::from(pixels.size.height));
    let (from, _) = pixels.bytes.as_chunks::<BYTES>();
    let at = |x: i64, y: i64| {
        let within = (0..width).contains(&x) && (0..height).contains(&y);
        if within { from[(y * width + x) as usize] } else { [paper; BYTES] }
    };
    let blend = |first: [u8; BYTES], second: [u8; BYTES], share: f32| {
        array::from_fn(|byte| ((1.0 - share) * f32::from(first[byte]) + share * f32::from(second[byte])) as u8)
    };
    let (sine, cosine) = angle.sin_cos();
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let shift_x = cosine * -middle_x + sine * -middle_y + middle_x;
    let shift_y = -sine * -middle_x + cosine * -middle_y + middle_y;
    let mut bytes = Vec::with_capacity(pixels.bytes.len());
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x as f32, y as f32);
            let (x, y) = (cosine * x + sine * y + shift_x, -sine * x + cosine * y + shift_y);
            let (left, top) = (x.floor() as i64, y.floor() as i64);
            let share = x - left as f32;
            let above = blend(at(left, top), at(left + 1, top), share);
            let below = blend(at(left, top + 1), at(left + 1, top + 1), share);
            bytes.extend(blend(above, below, y - top as f32));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelSize;

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

    #[test]
    fn a_page_is_rotated_to_the_bit_as_imageproc_rotates_it() {
        let image = image::open("../../tests/data/standin/arabic.png").unwrap().into_luma8();
        let size = PixelSize { width: image.width(), height: image.height() };
        let grey = Pixels { size, bytes: image.into_raw(), grey: true };
        let bytes = grey.bytes.iter().flat_map(|&level| [level, 255 - level, level / 2]).collect();
        let colour = Pixels { size, bytes, grey: false };
        // Checksums of what imageproc 0.27 gave: bilinear, the border constant.
        for (skew, expected) in [(Skew(57), [0xccd7_87a7, 0x7a53_f1b9]), (Skew(-250), [0x37e5_5438, 0xe92a_1034])] {
            let found = [&grey, &colour].map(|page| crc32c::crc32c(&straightened(page.clone(), skew, 250).bytes));
            assert_eq!(found, expected, "{skew:?}");
        }
    }
}
