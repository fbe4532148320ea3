//! The language of a page.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Main language of an edition or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Language {
    /// Unknown.
    #[default]
    Unknown = 0,
    /// French, or another language in Latin script.
    French = 1,
    /// Arabic.
    Arabic = 2,
    /// Both scripts in considerable amounts.
    Mixed = 3,
}

impl Language {
    /// Name in exports and reports: `fr`, `ar`, `mixed` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Language::Unknown => "unknown",
            Language::French => "fr",
            Language::Arabic => "ar",
            Language::Mixed => "mixed",
        }
    }

    /// The language of two texts together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, Language::Unknown) | (Language::Unknown, one) => one,
            (one, other) if one == other => one,
            _ => Language::Mixed,
        }
    }

    /// The language with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Unknown, Self::French, Self::Arabic, Self::Mixed].into_iter().find(|language| *language as u8 == code)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
