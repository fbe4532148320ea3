//! Whether letters are Arabic or Latin, by their shapes.

use super::{
    Sheet, letters,
    letters::Letterform,
    mask::Mask,
    turned::{head_end, is_on_its_side},
};
use crate::model::Language;

/// A piece of a line counts for a script that it is this likely to be in: figures and dirt look like neither.
const SURE: f32 = 0.8;
/// Both scripts are there in earnest when the lesser has this share of the text. Of the corpus's pages in one script one in
/// fifty comes near it, and those carry names or a head of a table in the other.
const MIXED: f32 = 0.1;
/// Inches of text, all lines put end to end, below which nothing is said.
const LEAST_TEXT: f32 = 1.0;

/// What letters look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Script {
    /// [`Language::Mixed`] where both scripts are there in earnest, [`Language::Unknown`] where there is too little text.
    pub language: Language,
    /// Share of the text that looks Arabic: 0.0..=1.0.
    pub arabic: f32,
}

/// The script of a page, or of a part of one. A table on its side under an upright header is read as it lies: whether letters
/// are upside down makes no difference here. The running header counts only where there is nothing else.
pub fn script(sheet: &Sheet<'_>) -> Script {
    let mask = Mask::of(sheet, letters::PER_INCH);
    let text = mask.without_runs(mask.cells(letters::LONGEST_STROKE));
    let body = head_end(&mask).unwrap_or(0)..mask.down;
    let body = text.cut(body);
    let found = if is_on_its_side(&body) { of_text(&body.turned_right()) } else { of_text(&body) };
    match found.language {
        Language::Unknown if body.down < text.down => of_text(&text),
        _ => found,
    }
}

fn of_text(text: &Mask) -> Script {
    let looks = letters::letterforms(text);
    let inches = |likely: fn(&Letterform) -> f32| -> f32 {
        looks.iter().filter(|look| likely(look) > SURE).fold(0.0, |sum, look| sum + look.width / text.per_inch)
    };
    let (arabic, latin) = (inches(|look| look.arabic), inches(|look| look.latin));
    let text = arabic + latin;
    if text < LEAST_TEXT {
        return Script { language: Language::Unknown, arabic: 0.0 };
    }
    let share = arabic / text;
    let lesser = share.min(1.0 - share);
    let language = match share {
        _ if lesser >= MIXED => Language::Mixed,
        share if share > 0.5 => Language::Arabic,
        _ => Language::French,
    };
    Script { language, arabic: share }
}
