//! Whether to believe an answer that says the page twice, or that another page got before. Pure.

use crate::model::{Attempt, AttemptOutcome, FailureClass, Shown};

/// Corrects the outcome of an answer about an image. `attempts` are those on the page that count.
///
/// The engine is asked again once. If the answer comes again, the page is so: two copies of a form on one page, one form
/// on many pages. The attempt's reason stays as the remark on the page.
pub fn outcome_of(outcome: AttemptOutcome, shown: Shown, attempts: &[Attempt]) -> AttemptOutcome {
    const REPEATED: AttemptOutcome = AttemptOutcome::Failed(FailureClass::Repeated);
    let asked_again =
        || attempts.iter().any(|attempt| attempt.outcome == REPEATED && attempt.shown.shares_place(shown));
    if outcome == REPEATED && asked_again() { AttemptOutcome::Accepted } else { outcome }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BBox, PixelSize, Stage};

    #[test]
    fn what_comes_again_is_the_page() {
        let repeated = AttemptOutcome::Failed(FailureClass::Repeated);
        let looped = AttemptOutcome::Failed(FailureClass::Loop);
        let page = Shown::whole(PixelSize { width: 1600, height: 2240 });
        let column = |left| Shown { bbox: BBox { left, right: left + 500, ..BBox::PAGE }, ..page };
        let attempt = |shown, outcome| Attempt { shown, ..Attempt::sample(Stage::FIRST, outcome) };
        assert_eq!(outcome_of(repeated, page, &[]), repeated);
        assert_eq!(outcome_of(repeated, page, &[attempt(page, looped)]), repeated);
        assert_eq!(outcome_of(repeated, page, &[attempt(page, repeated)]), AttemptOutcome::Accepted);
        assert_eq!(outcome_of(repeated, column(0), &[attempt(column(500), repeated)]), repeated, "the other column");
        assert_eq!(outcome_of(looped, page, &[attempt(page, repeated)]), looped);
    }
}
