//! Scales a page.

use fast_image_resize::{
    FilterType, ImageBufferError, IntoImageView, IntoImageViewMut, PixelTrait, PixelType, ResizeAlg, ResizeError,
    ResizeOptions, Resizer,
    images::Image,
    pixels::{U8, U8x3},
};

use crate::PixelSize;
use crate::Pixels;

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
    scaled(pixels, size, FilterType::Lanczos3)
}

/// Scales with the cubic filter of Catmull and Rom, which keeps the edges of letters sharp.
///
/// # Errors
/// See [`ScaleError`].
pub fn catmull_rom(pixels: Pixels, size: PixelSize) -> Result<Pixels, ScaleError> {
    scaled(pixels, size, FilterType::CatmullRom)
}

fn scaled(pixels: Pixels, size: PixelSize, filter: FilterType) -> Result<Pixels, ScaleError> {
    if pixels.size == size {
        return Ok(pixels);
    }
    let Pixels { size: from, bytes, grey } = pixels;
    let kind = if grey { PixelType::U8 } else { PixelType::U8x3 };
    let source = Image::from_vec_u8(from.width, from.height, bytes, kind)?;
    let mut scaled = Image::new(size.width, size.height, kind);
    if grey { scale::<U8>(&source, &mut scaled, filter) } else { scale::<U8x3>(&source, &mut scaled, filter) }?;
    Ok(Pixels { size, bytes: scaled.into_vec(), grey })
}

/// `Resizer::resize` is built for every kind of pixel there is: a sixth of all the code of this crate.
fn scale<P: PixelTrait>(source: &Image<'_>, scaled: &mut Image<'_>, filter: FilterType) -> Result<(), ResizeError> {
    let (Some(from), Some(mut to)) = (source.image_view::<P>(), scaled.image_view_mut::<P>()) else {
        return Err(ResizeError::PixelTypesAreDifferent);
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize_typed(&from, &mut to, &options)
}
