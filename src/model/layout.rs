//! How a page lies and divides, and what is to be looked for.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BBox, Language, Rotation, Skew};

/// How sure a decision is, in hundredths: 50 is a guess, 100 is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidence(pub u8);

/// When something is done to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// On no page.
    #[default]
    Never,
    /// Where the page's pixels speak for it.
    Auto,
    /// On every page where it can be done at all.
    Always,
}

/// Another word than `never`, `auto` or `always`.
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

/// What is looked for on a page before an engine is shown it. Data of a profile, obeyed by `imaging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutRule {
    /// Whether columns are shown one by one.
    pub columns: When,
    /// Whether content that lies on its side or upside down is shown upright.
    pub upright: bool,
    /// Whether a skew of more than 0.3 degrees is taken out.
    pub straighten: bool,
    /// Whether bad scans are cleaned: light evened out, specks removed, contrast raised.
    pub clean: When,
}

impl LayoutRule {
    /// Nothing: a page is shown as it is.
    pub const AS_IS: LayoutRule =
        LayoutRule { columns: When::Never, upright: false, straighten: false, clean: When::Never };

    /// What Tesseract needs: it reads what it is shown from left to right, line by line.
    pub const OF_TESSERACT: LayoutRule =
        LayoutRule { columns: When::Auto, upright: true, straighten: true, clean: When::Auto };
}

/// Why a page is, or is not, divided into columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ColumnsReason {
    /// Columns were not looked for.
    #[default]
    NotLookedFor = 0,
    /// A rule stands between two columns of text.
    Rule = 1,
    /// Nothing divides the middle of the page.
    NoDivision = 3,
    /// The line in the middle is one of a table's.
    Table = 4,
    /// The first page of an issue, with its masthead.
    Cover = 5,
    /// There is too little on it.
    Sparse = 6,
    /// Its content lies on its side.
    CompletedSwitch = 7,
    /// The page was divided because it was told to be.
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
        ColumnsReason::CompletedSwitch,
        ColumnsReason::Forced,
    ];

    /// The word used in shards, exports and pictures.
    pub fn name(self) -> &'static str {
        match self {
            ColumnsReason::NotLookedFor => "not-looked-for",
            ColumnsReason::Rule => "rule",
            ColumnsReason::NoDivision => "no-division",
            ColumnsReason::Table => "table",
            ColumnsReason::Cover => "cover",
            ColumnsReason::Sparse => "sparse",
            ColumnsReason::CompletedSwitch => "turned",
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
    /// Where the columns begin.
    pub top: u16,
    /// Where they end.
    pub bottom: u16,
    /// Where the line stands at its upper end.
    pub x_top: u16,
    /// Where it stands at its lower end.
    pub x_bottom: u16,
}

/// Whether a page has two columns that are read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The line between them; `None` for a page that is left whole.
    pub divide: Option<Divide>,
    /// Why.
    pub reason: ColumnsReason,
    /// How sure.
    pub confidence: Confidence,
}

/// What was found of a page, and done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageLayout {
    /// The turn that brought the whole page upright.
    pub turn: Rotation,
    /// How skewed it is; `None` where that was not looked for, or there is too little to tell.
    pub skew: Option<Skew>,
    /// Whether the skew was taken out.
    pub straightened: bool,
    /// Whether it was cleaned.
    pub cleaned: bool,
    /// The language that its letters look like.
    pub script: Language,
    /// Its columns, on the page made upright and straight.
    pub columns: Columns,
}

impl PageLayout {
    /// Whether all of the page was turned, straightened or cleaned.
    pub fn is_changed(&self) -> bool {
        self.turn != Rotation::None || self.straightened || self.cleaned
    }

    /// The skew that was taken out of the page.
    pub fn skew_taken_out(&self) -> Skew {
        self.skew.filter(|_| self.straightened).unwrap_or_default()
    }
}

/// A part of a page that is shown by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its place, on the page made upright and straight.
    pub bbox: BBox,
    /// The turn that brings what is on it upright.
    pub turn: Rotation,
}

impl Region {
    /// All of the page, as it is.
    pub const PAGE: Region = Region { bbox: BBox::PAGE, turn: Rotation::None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_add_up_and_are_undone() {
        for turn in Rotation::ALL {
            assert_eq!(turn.then(turn.inverse()), Rotation::None);
            assert_eq!(Rotation::from_degrees(turn.degrees()), Some(turn));
        }
        assert_eq!(Rotation::Right.then(Rotation::Right), Rotation::Half);
        assert_eq!(Rotation::Half.then(Rotation::Left), Rotation::Right);
        assert_eq!(Rotation::Left.degrees(), 270);
    }
}
