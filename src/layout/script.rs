//! Whether letters are Arabic or Latin, by their shapes.

use super::Sheet;
use crate::model::{Confidence, Language};

/// What letters look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Script {
    /// [`Language::Mixed`] where both scripts are there in earnest, [`Language::Unknown`] where there is too little text.
    pub language: Language,
    /// Share of the text that looks Arabic: 0.0..=1.0.
    pub arabic: f32,
    /// How sure.
    pub confidence: Confidence,
}

/// The script of a page, or of a part of one, that is upright.
pub fn script(_sheet: &Sheet<'_>) -> Script {
    Script { language: Language::Unknown, arabic: 0.0, confidence: Confidence(0) }
}
