//! Why an image cannot be read.

use image::ImageError;

use super::process::TesseractError;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The image cannot be decoded.
    #[error("image cannot be decoded: {0}")]
    Decode(#[from] ImageError),
    /// The image cannot be made smaller.
    #[error("image cannot be resized: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
    /// Tesseract gave nothing.
    #[error(transparent)]
    Tesseract(#[from] TesseractError),
    /// The thread that prepares images is gone.
    #[error("image preparation was stopped")]
    Stopped,
}
