//! What of a page an engine is shown.

use serde::{Deserialize, Serialize};

use super::{BBox, PixelSize};

/// How a page is shown to an engine. A model that loops or loses its way on one image often reads another of the same
/// page; that is tried before the page is given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum View {
    /// The whole page at the size of the profile.
    Whole = 1,
    /// The whole page with sides a fifth shorter, see [`super::ImageRule::reduced`].
    Reduced = 2,
    /// The upper half, then the lower, cut where a white band spans the width. What is read of a page with columns comes
    /// in the order of the halves: both columns of the upper one first.
    Halves = 3,
}

impl View {
    /// All views.
    pub const ALL: [View; 3] = [View::Whole, View::Reduced, View::Halves];

    /// The word used in request ids, shards and exports.
    pub fn name(self) -> &'static str {
        match self {
            View::Whole => "whole",
            View::Reduced => "reduced",
            View::Halves => "halves",
        }
    }

    /// Into how many images it divides a page, in reading order.
    pub fn parts(self) -> u8 {
        match self {
            View::Whole | View::Reduced => 1,
            View::Halves => 2,
        }
    }

    /// The view with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|view| *view as u8 == code)
    }
}

/// What one request showed of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// How the page was shown.
    pub view: View,
    /// Which of the view's images it was, 0-based.
    pub part: u8,
    /// Place of that image on the page.
    pub bbox: BBox,
    /// Its size.
    pub size: PixelSize,
}
