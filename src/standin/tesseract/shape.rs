//! The part of a page that an image shows: all of it, a column, or a strip.

use crate::model::PixelSize;

use crate::tesseract::Segmentation;

/// Greatest width of a column, inches: half of the widest known page is 4.5, the whole of the narrowest 7.0.
const COLUMN_INCHES: f32 = 5.5;
/// Greatest height of a strip with one flow of lines, inches.
const STRIP_INCHES: f32 = 1.5;

/// The part of a page that an image shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A column of a page.
    Column,
    /// A low part of a page, over its whole width.
    Strip,
    /// A page, or most of one.
    Page,
}

impl Shape {
    pub(super) fn of(size: PixelSize, dpi: f32) -> Self {
        if size.width as f32 <= COLUMN_INCHES * dpi {
            Shape::Column
        } else if size.height as f32 <= STRIP_INCHES * dpi {
            Shape::Strip
        } else {
            Shape::Page
        }
    }

    pub(super) fn segmentation(self) -> Segmentation {
        match self {
            Shape::Column | Shape::Strip => Segmentation::Flow,
            Shape::Page => Segmentation::Page,
        }
    }
}
