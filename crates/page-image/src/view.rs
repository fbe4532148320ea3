//! Views: how a page is shown to an engine.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A view of a page. A model that loops or fails on one image often reads another image of the same page. That is tried
/// before the page goes to the other engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum View {
    /// The whole page at the size of the profile: in one image, or in the parts of its layout.
    Whole = 1,
    /// The same with sides shorter by a fifth.
    Reduced = 2,
    /// More parts: the columns of the page, if it has some that were not shown one by one before. Otherwise an upper
    /// and a lower half of the page or of each of its parts, cut at a white band.
    Halves = 3,
}

impl View {
    /// All views.
    pub const ALL: [View; 3] = [View::Whole, View::Reduced, View::Halves];

    /// Name in request ids, shards and exports.
    pub fn name(self) -> &'static str {
        match self {
            View::Whole => "whole",
            View::Reduced => "reduced",
            View::Halves => "halves",
        }
    }

    /// The view with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|view| *view as u8 == code)
    }
}

/// A word that is not a view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: give whole, reduced or halves")]
pub struct ParseViewError(String);

impl FromStr for View {
    type Err = ParseViewError;

    fn from_str(text: &str) -> Result<Self, ParseViewError> {
        Self::ALL.into_iter().find(|view| view.name() == text).ok_or_else(|| ParseViewError(text.into()))
    }
}
