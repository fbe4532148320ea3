//! Why an image cannot be read.

use image::ImageError;

use crate::tesseract::TesseractError;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The image cannot be decoded.
    #[error("cannot decode the image: {0}")]
    Decode(#[from] ImageError),
    /// The image cannot be resized.
    #[error("cannot resize the image: {0}")]
    Resize(#[from] page_image::ScaleError),
    /// Tesseract failed.
    #[error(transparent)]
    Tesseract(#[from] TesseractError),
    /// The thread that prepares images is gone.
    #[error("the preparation of the image was stopped")]
    Stopped,
}
