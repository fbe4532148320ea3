//! A drawn page brought to another size as the models' own pipelines do it.

use fast_image_resize::{
    FilterType, ImageBufferError, IntoImageView, IntoImageViewMut, PixelTrait, PixelType, ResizeAlg, ResizeError,
    ResizeOptions, Resizer,
    images::Image,
    pixels::{U8, U8x3},
};

use super::pixels::Pixels;
use crate::model::PixelSize;

/// Pixels that cannot be scaled.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// They do not fill their size.
    #[error(transparent)]
    Pixels(#[from] ImageBufferError),
    /// There is nothing to scale, or nothing to scale to.
    #[error(transparent)]
    Size(#[from] ResizeError),
}

/// Scales with Lanczos in eight bits, as Pillow does: no pixel differs by more than one level.
///
/// # Errors
/// See [`ScaleError`].
pub fn lanczos(pixels: Pixels, size: PixelSize) -> Result<Pixels, ScaleError> {
    if pixels.size == size {
        return Ok(pixels);
    }
    let Pixels { size: from, bytes, grey } = pixels;
    let kind = if grey { PixelType::U8 } else { PixelType::U8x3 };
    let source = Image::from_vec_u8(from.width, from.height, bytes, kind)?;
    let mut scaled = Image::new(size.width, size.height, kind);
    if grey { scale::<U8>(&source, &mut scaled) } else { scale::<U8x3>(&source, &mut scaled) }?;
    Ok(Pixels { size, bytes: scaled.into_vec(), grey })
}

/// `Resizer::resize` is built for every kind of pixel there is: a sixth of all the code of this crate.
fn scale<P: PixelTrait>(source: &Image<'_>, scaled: &mut Image<'_>) -> Result<(), ResizeError> {
    let (Some(from), Some(mut to)) = (source.image_view::<P>(), scaled.image_view_mut::<P>()) else {
        return Err(ResizeError::PixelTypesAreDifferent);
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize_typed(&from, &mut to, &options)
}
