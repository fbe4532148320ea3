//! Prepares pixels for Tesseract: converts, shrinks, cuts and stacks grey images.

use image::GrayImage;
use page_image::{Pixels, catmull_rom};

use crate::{model::PixelSize, tesseract::PixelBox};

use super::error::ReadingError;

/// White between stacked pieces, pixels: enough for Tesseract to see the lines of two pieces as separate lines.
const GAP: u32 = 24;

/// An uncompressed image file that Leptonica reads.
pub fn portable_graymap(image: &GrayImage) -> Vec<u8> {
    let mut file = format!("P5\n{} {}\n255\n", image.width(), image.height()).into_bytes();
    file.extend_from_slice(image.as_raw());
    file
}

/// The image resized by `factor`; unchanged where `factor` is not less than 1.
pub fn resized(image: GrayImage, factor: f32) -> Result<GrayImage, ReadingError> {
    if factor >= 1.0 {
        return Ok(image);
    }
    let side = |pixels: u32| ((pixels as f32 * factor).round() as u32).max(1);
    let (width, height) = (side(image.width()), side(image.height()));
    let size = PixelSize { width: image.width(), height: image.height() };
    let scaled = catmull_rom(Pixels { size, bytes: image.into_raw(), grey: true }, PixelSize { width, height })?;
    let mut smaller = GrayImage::new(width, height);
    smaller.copy_from_slice(&scaled.bytes);
    Ok(smaller)
}

/// Top row of the band of `height` rows with the most dark pixels.
pub fn busiest_band(image: &GrayImage, height: u32) -> u32 {
    let ink: Vec<u64> = image.rows().map(|row| row.filter(|pixel| pixel.0[0] < 128).count() as u64).collect();
    let height = (height as usize).min(ink.len());
    let mut sum: u64 = ink[..height].iter().sum();
    let mut best = (sum, 0);
    for bottom in height..ink.len() {
        sum = sum + ink[bottom] - ink[bottom - height];
        if sum > best.0 {
            best = (sum, bottom + 1 - height);
        }
    }
    best.1 as u32
}

/// The places of pieces of an image that were put one below the other.
#[derive(Debug)]
pub struct Stack {
    pieces: Vec<PixelBox>,
    /// The row at which each piece begins.
    tops: Vec<u32>,
}

/// Puts pieces of `image` one below the other, on white.
pub fn stacked(image: &GrayImage, pieces: &[PixelBox]) -> (GrayImage, Stack) {
    let cuts: Vec<GrayImage> = pieces
        .iter()
        .map(|&[left, top, right, bottom]| {
            let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
            image::imageops::crop_imm(image, left, top, width, height).to_image()
        })
        .collect();
    let width = cuts.iter().map(GrayImage::width).max().unwrap_or(0) + 2 * GAP;
    let height = cuts.iter().map(|cut| cut.height() + GAP).sum::<u32>() + GAP;
    let mut canvas = GrayImage::from_pixel(width, height, image::Luma([255]));
    let mut tops = Vec::with_capacity(pieces.len());
    let mut top = GAP;
    for cut in &cuts {
        image::imageops::replace(&mut canvas, cut, i64::from(GAP), i64::from(top));
        tops.push(top);
        top += cut.height() + GAP;
    }
    (canvas, Stack { pieces: pieces.to_vec(), tops })
}

impl Stack {
    /// The index of the piece that a box on the stack belongs to, and the box in the image that the piece is from.
    /// `None` for a box above all pieces.
    pub fn unstacked(&self, [left, top, right, bottom]: PixelBox) -> Option<(usize, PixelBox)> {
        let middle = top.midpoint(bottom);
        let index = self.tops.iter().rposition(|&begin| middle >= begin.saturating_sub(GAP / 2))?;
        let (piece, begin) = (self.pieces.get(index)?, self.tops.get(index)?);
        let x = |value: u32| value.saturating_sub(GAP).saturating_add(piece[0]);
        let y = |value: u32| value.saturating_sub(*begin).saturating_add(piece[1]);
        Some((index, [x(left), y(top), x(right), y(bottom)]))
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    #[test]
    fn the_busiest_band_is_the_one_with_the_most_ink() {
        let page = GrayImage::from_fn(40, 100, |_, y| Luma([if (70..80).contains(&y) { 0 } else { 255 }]));
        assert_eq!(busiest_band(&page, 10), 70);
        assert_eq!(busiest_band(&page, 100), 0);
        assert_eq!(busiest_band(&page, 200), 0);
    }

    #[test]
    fn an_image_is_made_smaller_and_never_larger() {
        let page = GrayImage::from_pixel(192, 96, Luma([255]));
        assert_eq!(resized(page.clone(), 150.0 / 192.0).unwrap().dimensions(), (150, 75));
        assert_eq!(resized(page, 1.2).unwrap().dimensions(), (192, 96));
        assert_eq!(resized(GrayImage::new(1, 1), 0.1).unwrap().dimensions(), (1, 1));
    }

    #[test]
    fn a_place_on_a_stack_is_found_again_on_the_page() {
        let page = GrayImage::from_fn(100, 200, |_, y| Luma([if y == 155 { 0 } else { 255 }]));
        let (image, stack) = stacked(&page, &[[10, 20, 60, 40], [30, 150, 90, 170]]);
        let y = (0..image.height()).find(|&y| image.get_pixel(GAP, y).0[0] == 0).unwrap();
        assert_eq!(stack.unstacked([GAP, y, GAP + 5, y + 1]), Some((1, [30, 155, 35, 156])));
        assert_eq!(stack.unstacked([0, 0, 1, 1]), None);
    }

    #[test]
    fn pieces_off_the_page_are_empty() {
        let (image, stack) = stacked(&GrayImage::new(1, 1), &[[90, 90, 80, 80]]);
        assert!(image.height() > 0);
        assert_eq!(stack.unstacked([30, 30, 31, 31]).map(|(index, _)| index), Some(0));
    }
}
