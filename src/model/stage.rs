//! The stages of a page.

use serde::{Deserialize, Serialize};

use super::Engine;

/// A stage of a page on one engine. A page that a stage did not read goes on to the next one. The serialised names are
/// those in the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Stage {
    /// On Chandra.
    #[default]
    #[serde(rename = "first")]
    Primary = 1,
    /// On DeepSeek-OCR, after Chandra failed the page.
    #[serde(rename = "second")]
    Fallback = 2,
    /// On Chandra again, for the retry steps that the primary stage did not try.
    #[serde(rename = "return")]
    PrimaryRetry = 3,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 3] = [Stage::Primary, Stage::Fallback, Stage::PrimaryRetry];

    /// Name in shards and exports.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Primary => "first",
            Stage::Fallback => "second",
            Stage::PrimaryRetry => "return",
        }
    }

    /// The engine of the stage.
    pub fn engine(self) -> Engine {
        match self {
            Stage::Primary | Stage::PrimaryRetry => Engine::Chandra,
            Stage::Fallback => Engine::DeepSeek,
        }
    }

    /// The stage with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == code)
    }
}
