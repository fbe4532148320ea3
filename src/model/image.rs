//! What an engine wants to see, and what it was shown.

use serde::{Deserialize, Serialize};

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl PixelSize {
    /// Number of pixels.
    pub fn area(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// The multiple that both sides of an image are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grid {
    /// Any size within the bounds (Chandra 1, DeepSeek-OCR).
    Free,
    /// Both sides a multiple of this many pixels (Chandra 2's client: 28; its server's cells: 32).
    Cells(u32),
}

/// How a page comes to the size that its rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// PDFium draws at that very size: no pixel is resampled.
    #[default]
    Direct,
    /// As the `chandra-ocr` package does it: drawn at the rule's resolution, then brought to the size with Lanczos.
    Parity,
}

/// How large a page is drawn for an engine. Data of the engine's profile, obeyed by `imaging`.
///
/// The rule is that of the model's own pipeline (`docs/facts/chandra.md`, "Page images"):
/// `dpi = max(dpi, min_side / shorter side in inches)`, then the area is brought into
/// `min_pixels..=max_pixels` and the sides to the grid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRule {
    /// Dots per inch of an ordinary page.
    pub dpi: f32,
    /// The shorter side has at least this many pixels; 0 for no such rule.
    pub min_side: u32,
    /// Least number of pixels.
    pub min_pixels: u64,
    /// Greatest number of pixels. Visual tokens are the currency: never send more than the model asks.
    pub max_pixels: u64,
    /// The multiple of both sides.
    pub grid: Grid,
    /// How the page comes to its size.
    #[serde(default)]
    pub scaling: Scaling,
}

impl ImageRule {
    /// The same page with sides a fifth shorter. For Chandra that is 64 % of the tokens, none of which sees what it saw
    /// before, and still 154 dpi, more than DeepSeek-OCR's own pipeline draws with; for DeepSeek-OCR, whose tiles every
    /// page fills, it is as many tokens of the same (`docs/facts/deepseek.md`, "Tiles and tokens").
    #[must_use]
    pub fn reduced(self) -> Self {
        ImageRule {
            dpi: self.dpi * 4.0 / 5.0,
            min_side: self.min_side * 4 / 5,
            max_pixels: (self.max_pixels * 16 / 25).max(self.min_pixels),
            ..self
        }
    }
}

/// What was sent to an engine, and what it cost to make.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Size of the sent image.
    pub size: PixelSize,
    /// Effective resolution of the sent image.
    pub dpi: f32,
    /// Whether it was sent as 8-bit grey (the page has no colour).
    pub grey: bool,
    /// Encoded size in bytes.
    pub encoded_bytes: u32,
    /// Fraction of pixels that are ink, 0.0..=1.0, measured before the blank test.
    pub ink: f32,
    /// Time PDFium took, in microseconds.
    pub render_micros: u32,
    /// Time the encoder took, in microseconds.
    pub encode_micros: u32,
}
