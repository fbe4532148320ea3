//! Rotations of a page: quarter turns and skew.

use serde::{Deserialize, Serialize};

/// A rotation by quarter turns, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Rotation {
    /// No rotation.
    #[default]
    None = 0,
    /// 90 degrees clockwise.
    Right = 1,
    /// Upside down.
    Half = 2,
    /// 90 degrees counter-clockwise.
    Left = 3,
}

impl Rotation {
    /// All rotations.
    pub const ALL: [Rotation; 4] = [Rotation::None, Rotation::Right, Rotation::Half, Rotation::Left];

    /// Degrees clockwise: 0, 90, 180 or 270.
    pub fn degrees(self) -> u16 {
        self as u16 * 90
    }

    /// The rotation by this many degrees clockwise; `None` if that is no quarter turn.
    pub fn from_degrees(degrees: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|turn| turn.degrees() == degrees)
    }

    /// This rotation followed by another.
    #[must_use]
    pub fn then(self, other: Rotation) -> Rotation {
        Self::ALL[(self as usize + other as usize) % 4]
    }

    /// The rotation that undoes this one.
    #[must_use]
    pub fn inverse(self) -> Rotation {
        Self::ALL[(4 - self as usize) % 4]
    }

    /// Whether width and height are exchanged.
    pub fn is_sideways(self) -> bool {
        matches!(self, Rotation::Right | Rotation::Left)
    }
}

/// An angle in hundredths of a degree, clockwise: by how much lines of text fall to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Skew(pub i16);

impl Skew {
    /// A smaller skew is not corrected: over half a page, lines of text stay within a third of their height.
    pub const NEGLIGIBLE: Skew = Skew(30);

    /// The angle in degrees.
    pub fn degrees(self) -> f32 {
        f32::from(self.0) / 100.0
    }
}
