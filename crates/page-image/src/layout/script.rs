//! Recognises Arabic and Latin script by the shapes of letters.

use super::{
    Sheet, letters,
    letters::Letterform,
    mask::Mask,
    turned::{head_end, is_on_its_side},
};
use crate::Language;

/// Least probability at which a piece of a line counts for a script. Figures and dirt are likely in neither.
const SURE: f32 = 0.8;
/// A page is mixed if the rarer script has at least this share of the text. Of the corpus's pages in one script, one in
/// fifty comes near it; these have names or the head of a table in the other script.
const MIXED: f32 = 0.1;
/// Least length of text in inches, all lines end to end. With less, the script is unknown.
const LEAST_TEXT: f32 = 1.0;

/// The script of a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Script {
    /// [`Language::Mixed`] if both scripts have a real share of the text, [`Language::Unknown`] if there is too little
    /// text.
    pub language: Language,
    /// Share of the text that looks Arabic: 0.0..=1.0.
    pub arabic: f32,
}

/// The script of a page or of a part of one. If the body is on its side under an upright header, it is rotated first;
/// whether letters are then upside down makes no difference. The running header counts only if there is no other text.
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
    let letterforms = letters::letterforms(text);
    let inches = |likely: fn(&Letterform) -> f32| -> f32 {
        letterforms.iter().filter(|form| likely(form) > SURE).fold(0.0, |sum, form| sum + form.width / text.per_inch)
    };
    let (arabic, latin) = (inches(|form| form.arabic), inches(|form| form.latin));
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
