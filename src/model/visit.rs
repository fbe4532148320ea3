//! A page's course over the engines.

use serde::{Deserialize, Serialize};

use super::Engine;

/// A page's stay with an engine. It goes on to the next only where it was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Visit {
    /// With Chandra.
    #[default]
    First = 1,
    /// With DeepSeek-OCR.
    Second = 2,
    /// With Chandra again, for the ways of asking that were not tried on the first visit.
    Return = 3,
}

impl Visit {
    /// All visits, in order.
    pub const ALL: [Visit; 3] = [Visit::First, Visit::Second, Visit::Return];

    /// The word used in shards and exports.
    pub fn name(self) -> &'static str {
        match self {
            Visit::First => "first",
            Visit::Second => "second",
            Visit::Return => "return",
        }
    }

    /// Whom the page stays with.
    pub fn engine(self) -> Engine {
        match self {
            Visit::First | Visit::Return => Engine::Chandra,
            Visit::Second => Engine::DeepSeek,
        }
    }

    /// The visit with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|visit| *visit as u8 == code)
    }
}
