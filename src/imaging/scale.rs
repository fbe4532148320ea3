//! Scales a rendered page as the models' own pipelines do.

use fast_image_resize::{
    FilterType, ImageBufferError, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer, images,
};

use super::pixels::Pixels;
use crate::model::PixelSize;

/// The reason why pixels cannot be scaled.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// The number of pixels does not match their size.
    #[error(transparent)]
    Pixels(#[from] ImageBufferError),
    /// The old or the new size is empty.
    #[error(transparent)]
    Size(#[from] ResizeError),
}

/// Scales with Lanczos in eight bits, as Pillow does. No pixel differs from Pillow's by more than one level.
///
/// # Errors
/// See [`ScaleError`].
pub fn lanczos(pixels: Pixels, size: PixelSize) -> Result<Pixels, ScaleError> {
    if pixels.size == size {
        return Ok(pixels);
    }
    let Pixels { size: from, bytes, grey } = pixels;
    let kind = if grey { PixelType::U8 } else { PixelType::U8x3 };
    let source = images::Image::from_vec_u8(from.width, from.height, bytes, kind)?;
    let mut scaled = images::Image::new(size.width, size.height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&source, &mut scaled, &options)?;
    Ok(Pixels { size, bytes: scaled.into_vec(), grey })
}
