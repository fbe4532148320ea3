//! The blank check: whether to believe an engine that finds nothing to read on an image. Pure.

use crate::model::{Attempt, AttemptOutcome, FailureClass, Shown, View};

/// Evidence about an image besides the engine's answer.
#[derive(Debug, Clone, Copy)]
pub struct ImageEvidence {
    /// What part of the page the image shows.
    pub shown: Shown,
    /// Number of images of its view.
    pub parts: usize,
    /// Whether it has a mark as large as a letter.
    pub inked: bool,
    /// Area of ink, in square inches.
    pub ink: f32,
    /// It is the last image of its page, and none before it had text.
    pub decides: bool,
}

/// Area of ink, in square inches, up to which a part of a page may be a rule or an ornament. A line of text has 0.15,
/// the three asterisks that end an act 0.01, a vignette below two columns 0.05.
const ORNAMENT: f32 = 0.1;

/// Corrects the outcome of an engine. `attempts` are those on the page that count.
///
/// "Nothing there" becomes a failure where text was read of the same place before (text that was taken for none counts
/// for one character), where a half has ink, and where it would make a page blank although something was read of it.
/// Conversely, no text for a part that is a rule or an ornament at most means that the part is blank.
pub fn outcome_of(outcome: AttemptOutcome, evidence: &ImageEvidence, attempts: &[Attempt]) -> AttemptOutcome {
    let text_of = |attempt: &&Attempt| attempt.kept_characters > 1;
    let here = || {
        attempts.iter().filter(|attempt| attempt.shown.bbox.lies_mostly_in(evidence.shown.bbox)).any(|a| text_of(&a))
    };
    let divided = evidence.parts > if evidence.shown.view == View::Halves { 2 } else { 1 };
    let ornament = divided && evidence.ink <= ORNAMENT;
    let contradicted = || match evidence.shown.view {
        View::Halves => evidence.inked && !ornament,
        View::Whole | View::Reduced => here(),
    };
    match outcome {
        AttemptOutcome::Blank if contradicted() || evidence.decides && attempts.iter().any(|a| text_of(&a)) => {
            AttemptOutcome::Failed(FailureClass::Empty)
        }
        AttemptOutcome::Failed(FailureClass::Empty) if ornament && !here() => AttemptOutcome::Blank,
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BBox, PixelSize, Stage};

    const EMPTY: AttemptOutcome = AttemptOutcome::Failed(FailureClass::Empty);
    const PAGE: PixelSize = PixelSize { width: 1600, height: 2240 };

    fn evidence(view: View, parts: usize, ink: f32) -> ImageEvidence {
        let shown = Shown { view, ..Shown::whole(PAGE) };
        ImageEvidence { shown, parts, inked: ink > 0.0, ink, decides: false }
    }

    fn column(left: u16) -> Shown {
        Shown { bbox: BBox { left, right: left + 500, ..BBox::PAGE }, ..Shown::whole(PAGE) }
    }

    fn attempt(shown: Shown, kept_characters: u32) -> Attempt {
        Attempt { shown, kept_characters, ..Attempt::sample(Stage::FIRST, EMPTY) }
    }

    #[test]
    fn blank_is_not_believed_where_text_was_read_before() {
        let blank = AttemptOutcome::Blank;
        let whole = evidence(View::Whole, 1, 3.0);
        let read = [attempt(Shown::whole(PAGE), 40)];
        assert_eq!(outcome_of(blank, &whole, &read), EMPTY);
        assert_eq!(outcome_of(blank, &whole, &[attempt(Shown::whole(PAGE), 1)]), blank, "a hallucination is no text");
        let left = ImageEvidence { shown: column(0), ..evidence(View::Whole, 3, 3.0) };
        assert_eq!(outcome_of(blank, &left, &[attempt(column(0), 40)]), EMPTY);
        assert_eq!(outcome_of(blank, &left, &[attempt(column(500), 40)]), blank, "the other column's text");
        assert_eq!(outcome_of(blank, &left, &read), blank, "the page's, of which this may be the empty part");
    }

    #[test]
    fn a_page_of_which_something_was_read_is_not_blank() {
        let last = ImageEvidence { decides: true, shown: column(0), ..evidence(View::Whole, 3, 3.0) };
        assert_eq!(outcome_of(AttemptOutcome::Blank, &last, &[attempt(column(500), 40)]), EMPTY);
        assert_eq!(outcome_of(AttemptOutcome::Blank, &last, &[]), AttemptOutcome::Blank);
    }

    #[test]
    fn a_half_with_ink_is_not_blank() {
        let blank = AttemptOutcome::Blank;
        assert_eq!(outcome_of(blank, &evidence(View::Halves, 2, 0.05), &[]), EMPTY);
        assert_eq!(outcome_of(blank, &evidence(View::Halves, 2, 0.0), &[attempt(column(0), 40)]), blank);
        assert_eq!(outcome_of(blank, &evidence(View::Halves, 4, 0.05), &[]), blank, "a strip with an ornament");
    }

    #[test]
    fn a_part_with_an_ornament_has_nothing_to_be_read() {
        assert_eq!(outcome_of(EMPTY, &evidence(View::Whole, 4, 0.05), &[]), AttemptOutcome::Blank);
        assert_eq!(outcome_of(EMPTY, &evidence(View::Whole, 4, 0.3), &[]), EMPTY, "a line of text");
        assert_eq!(outcome_of(EMPTY, &evidence(View::Whole, 1, 0.05), &[]), EMPTY, "a page");
        let looped = AttemptOutcome::Failed(FailureClass::Loop);
        assert_eq!(outcome_of(looped, &evidence(View::Whole, 4, 0.05), &[]), looped);
    }
}
