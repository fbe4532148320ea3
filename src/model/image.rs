//! The image size that an engine needs, and the image that it was sent.

use serde::{Deserialize, Serialize};

use super::{Grid, PixelSize};

/// How a page is brought to the size of its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// PDFium renders at exactly that size: no pixel is resampled.
    #[default]
    Direct,
    /// As in the `chandra-ocr` package: rendered at the rule's resolution, then resampled to the size with Lanczos.
    Parity,
}

/// The size at which a page is rendered for an engine. Data of the engine's profile, applied by `imaging`.
///
/// The rule is that of the model's own pipeline (`docs/facts/chandra.md`, "Page images"):
/// `dpi = max(dpi, min_side / shorter side in inches)`, but no more than `max_side` allows. Then the area is brought into `min_pixels..=max_pixels` and the
/// sides to the grid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRule {
    /// Dots per inch of an ordinary page.
    pub dpi: f32,
    /// Minimum length of the shorter side in pixels; 0 without a minimum.
    pub min_side: u32,
    /// Maximum length of the longer side in pixels, before the sides are brought to the grid.
    // Always written: the messages to the renderer do not name their fields.
    #[serde(default)]
    pub max_side: Option<u32>,
    /// Minimum number of pixels.
    pub min_pixels: u64,
    /// Maximum number of pixels. Each visual token costs time, so no image exceeds what the model asks for.
    pub max_pixels: u64,
    /// The multiple to which both sides are rounded.
    pub grid: Grid,
    /// How the page is brought to its size.
    #[serde(default)]
    pub scaling: Scaling,
}

impl ImageRule {
    /// The same page with sides shorter by a fifth. For Chandra this is 64 % of the tokens, all of them different from
    /// before, and still 154 dpi, more than DeepSeek-OCR's own pipeline renders with. For DeepSeek-OCR, whose tiles
    /// every page fills, it is the same number of tokens (`docs/facts/deepseek.md`, "Tiles and tokens").
    #[must_use]
    pub fn reduced(self) -> Self {
        ImageRule {
            dpi: self.dpi * 4.0 / 5.0,
            min_side: self.min_side * 4 / 5,
            max_side: self.max_side.map(|side| side * 4 / 5),
            max_pixels: (self.max_pixels * 16 / 25).max(self.min_pixels),
            ..self
        }
    }
}

/// The image that was sent to an engine, and the time that it took to make.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Size of the sent image.
    pub size: PixelSize,
    /// Effective resolution of the sent image.
    pub dpi: f32,
    /// Whether it was sent as 8-bit grey, because the page has no colour.
    pub grey: bool,
    /// Encoded size in bytes.
    pub encoded_bytes: u32,
    /// Share of pixels that are ink, 0.0..=1.0, measured before the blank test.
    pub ink: f32,
    /// Time of rendering in PDFium, in microseconds.
    pub render_micros: u32,
    /// Time of encoding, in microseconds.
    pub encode_micros: u32,
}

impl ImageFacts {
    /// Area of its ink, in square inches.
    pub fn ink_area(&self) -> f32 {
        self.ink * self.size.area() as f32 / (self.dpi * self.dpi)
    }
}
