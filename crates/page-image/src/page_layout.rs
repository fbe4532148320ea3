//! The layout of a page, and the rules for it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BBox, Language, Rotation, Skew};

/// Confidence of a decision, in hundredths: 50 is a guess, 100 is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidence(pub u8);

/// On which pages something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// On no page.
    #[default]
    Never,
    /// On pages whose pixels suggest it.
    Auto,
    /// On every page where it is possible.
    Always,
}

/// A word other than `never`, `auto` or `always`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: give never, auto or always")]
pub struct ParseWhenError(String);

impl FromStr for When {
    type Err = ParseWhenError;

    fn from_str(text: &str) -> Result<Self, ParseWhenError> {
        match text {
            "never" => Ok(When::Never),
            "auto" => Ok(When::Auto),
            "always" => Ok(When::Always),
            other => Err(ParseWhenError(other.into())),
        }
    }
}

/// How a page is analysed and changed before an engine sees it. Data of a profile, applied by `imaging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutRule {
    /// Whether columns are shown one by one.
    pub columns: When,
    /// Whether content that lies on its side or upside down is shown upright.
    pub upright: bool,
    /// Whether a skew of more than 0.3 degrees is corrected.
    pub straighten: bool,
    /// Whether bad scans are cleaned: uneven light corrected, specks removed, contrast raised.
    pub clean: When,
}

impl LayoutRule {
    /// No change: a page is shown as it is.
    pub const AS_IS: LayoutRule =
        LayoutRule { columns: When::Never, upright: false, straighten: false, clean: When::Never };

    /// The rule for Tesseract: it reads an image from left to right, line by line.
    pub const OF_TESSERACT: LayoutRule =
        LayoutRule { columns: When::Auto, upright: true, straighten: true, clean: When::Auto };
}

/// Why a page is divided into columns, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ColumnsReason {
    /// Columns were not looked for.
    #[default]
    NotLookedFor = 0,
    /// A rule separates two columns of text.
    Rule = 1,
    /// Nothing divides the middle of the page.
    NoDivision = 3,
    /// The line in the middle belongs to a table.
    Table = 4,
    /// The first page of an issue, with its masthead.
    Cover = 5,
    /// There is too little text on the page.
    Sparse = 6,
    /// Its content lies on its side.
    Turned = 7,
    /// Division was forced by a setting.
    Forced = 8,
}

impl ColumnsReason {
    /// All reasons.
    pub const ALL: [ColumnsReason; 8] = [
        ColumnsReason::NotLookedFor,
        ColumnsReason::Rule,
        ColumnsReason::NoDivision,
        ColumnsReason::Table,
        ColumnsReason::Cover,
        ColumnsReason::Sparse,
        ColumnsReason::Turned,
        ColumnsReason::Forced,
    ];

    /// Name in shards, exports and pictures.
    pub fn name(self) -> &'static str {
        match self {
            ColumnsReason::NotLookedFor => "not-looked-for",
            ColumnsReason::Rule => "rule",
            ColumnsReason::NoDivision => "no-division",
            ColumnsReason::Table => "table",
            ColumnsReason::Cover => "cover",
            ColumnsReason::Sparse => "sparse",
            ColumnsReason::Turned => "turned",
            ColumnsReason::Forced => "forced",
        }
    }

    /// The reason with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

/// The line between two columns, on the scale of [`BBox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divide {
    /// Upper end of the columns.
    pub top: u16,
    /// Lower end of the columns.
    pub bottom: u16,
    /// Position of the line at its upper end.
    pub x_top: u16,
    /// Position of the line at its lower end.
    pub x_bottom: u16,
}

/// Whether a page has two columns that are read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The line between them; `None` if the page stays whole.
    pub divide: Option<Divide>,
    /// Reason of the decision.
    pub reason: ColumnsReason,
    /// Confidence of the decision.
    pub confidence: Confidence,
}

/// What was found on a page, and how the page was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageLayout {
    /// The rotation that brought the whole page upright.
    pub turn: Rotation,
    /// Its skew; `None` if it was not measured, or if there is too little text to measure it.
    pub skew: Option<Skew>,
    /// Whether the skew was corrected.
    pub straightened: bool,
    /// Whether the page was cleaned.
    pub cleaned: bool,
    /// The language by the look of its letters.
    pub script: Language,
    /// Its columns, on the upright and straightened page.
    pub columns: Columns,
}

impl PageLayout {
    /// Whether the whole page was rotated, straightened or cleaned.
    pub fn is_changed(&self) -> bool {
        self.turn != Rotation::None || self.straightened || self.cleaned
    }

    /// The skew that was corrected.
    pub fn skew_taken_out(&self) -> Skew {
        self.skew.filter(|_| self.straightened).unwrap_or_default()
    }
}

/// A part of a page that is shown as an image of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its place on the upright and straightened page.
    pub bbox: BBox,
    /// The rotation that brings its content upright.
    pub turn: Rotation,
}

impl Region {
    /// The whole page as it is.
    pub const PAGE: Region = Region { bbox: BBox::PAGE, turn: Rotation::None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_add_up_and_are_undone() {
        for turn in Rotation::ALL {
            assert_eq!(turn.then(turn.inverse()), Rotation::None);
            assert_eq!(Rotation::from_degrees(turn.degrees()), Some(turn));
        }
        assert_eq!(Rotation::Right.then(Rotation::Right), Rotation::Half);
        assert_eq!(Rotation::Half.then(Rotation::Left), Rotation::Right);
        assert_eq!(Rotation::Left.degrees(), 270);
    }
}
