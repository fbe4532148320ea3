//! The ladder: in which ways an engine is asked for a page, one after the other. Pure tables.

use crate::model::{Attempt, FailureClass, Remedy, View};

/// A way of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryStep {
    /// Position on the profile's sampling ladder, 0-based.
    pub step: u8,
    /// What the engine is shown.
    pub view: View,
}

impl RetryStep {
    /// The way of the first attempt.
    pub const FIRST: RetryStep = RetryStep { step: 0, view: View::Whole };

    /// The way an attempt was made.
    pub(crate) fn of(attempt: &Attempt) -> RetryStep {
        RetryStep { step: attempt.step, view: attempt.shown.view }
    }
}

/// What may help where an answer was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ways {
    /// The same request after a pause: nothing was wrong with it.
    SameAgain,
    /// Another request: the first of these that was not tried yet.
    Others(&'static [RetryStep]),
}

const fn whole(step: u8) -> RetryStep {
    RetryStep { step, view: View::Whole }
}

const fn reduced(step: u8) -> RetryStep {
    RetryStep { step, view: View::Reduced }
}

const fn halves(step: u8) -> RetryStep {
    RetryStep { step, view: View::Halves }
}

/// A loop depends on chance first, so a warmer sampling comes first and costs no drawing (`docs/facts/chandra.md`,
/// "Retries"); a loop that survives it hangs on what the model sees, so the image is changed: all of it, then half of
/// it.
const LOOP: &[RetryStep] = &[whole(1), reduced(2), halves(1), halves(3)];

/// Without an end within the budget a page is looping unseen, or has more text than fits: half of it does. The halves
/// are a new image, so they are read without chance first.
const TRUNCATED: &[RetryStep] = &[whole(1), halves(0)];

/// Where image and answer do not fit together, the whole page fails again. One that cannot be cut is made smaller.
const CONTEXT_FULL: &[RetryStep] = &[halves(0), reduced(0)];

/// An answer that is no reading of the page: another throw of the dice, then another image.
const UNUSABLE: &[RetryStep] = &[whole(1), reduced(2)];

/// What may help on the same engine after a failure of this class. Interruptions are not failures.
pub(crate) fn retry_steps(class: FailureClass) -> Ways {
    match class {
        FailureClass::Loop => Ways::Others(LOOP),
        FailureClass::Truncated => Ways::Others(TRUNCATED),
        FailureClass::ContextFull => Ways::Others(CONTEXT_FULL),
        FailureClass::ServerError | FailureClass::Stalled => Ways::SameAgain,
        class if class.remedy() == Remedy::SameEngine => Ways::Others(UNUSABLE),
        // A refused request is refused again, and a page that kills its engine kills it again.
        _ => Ways::Others(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_classes_that_the_engine_can_mend_have_ways_and_no_way_is_named_twice() {
        for &class in FailureClass::ALL {
            let Ways::Others(rungs) = retry_steps(class) else { continue };
            assert_eq!(!rungs.is_empty(), class.remedy() == Remedy::SameEngine, "{class}");
            for (place, rung) in rungs.iter().enumerate() {
                assert!(*rung != RetryStep::FIRST && !rungs[..place].contains(rung), "{class}: {rung:?}");
            }
        }
    }

    /// Three attempts a stage are the default of the configuration.
    #[test]
    fn a_changed_image_is_tried_before_the_page_is_given_away() {
        for &class in FailureClass::ALL {
            let Ways::Others(rungs) = retry_steps(class) else { continue };
            let first_visit = &rungs[..rungs.len().min(2)];
            assert!(rungs.is_empty() || first_visit.iter().any(|rung| rung.view != View::Whole), "{class}");
        }
    }
}
