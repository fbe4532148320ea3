//! Content that lies on its side or upside down.

use super::Sheet;
use crate::model::{Confidence, Region, Turn};

/// The turn that brings the whole page upright, and how sure that is.
pub fn page_turn(_sheet: &Sheet<'_>) -> (Turn, Confidence) {
    (Turn::None, Confidence(0))
}

/// On an upright page, the part of it that lies on its side.
pub fn turned_region(_sheet: &Sheet<'_>) -> Option<(Region, Confidence)> {
    None
}
