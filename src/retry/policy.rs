//! The retry policy: the steps in which an engine is asked for a page. Pure tables.

use crate::model::{Attempt, FailureClass, Remedy, View};

/// A retry step: how the engine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryStep {
    /// Index into the profile's list of samplings, from 0.
    pub step: u8,
    /// What the image shows.
    pub view: View,
}

impl RetryStep {
    /// The step of the first attempt.
    pub const FIRST: RetryStep = RetryStep { step: 0, view: View::Whole };

    /// The step of an earlier attempt.
    pub(crate) fn of(attempt: &Attempt) -> RetryStep {
        RetryStep { step: attempt.step, view: attempt.shown.view }
    }
}

/// What may help after an answer was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryOptions {
    /// The same request after a pause: the request was not at fault.
    SameAgain,
    /// Another request: the first of these steps that was not tried yet.
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

/// A loop depends on chance first, so a sampling with a higher temperature comes first; it needs no rendering
/// (`docs/facts/chandra.md`, "Retries"). A loop that survives it depends on the image, so the image is changed: first
/// the reduced page, then its halves.
const LOOP: &[RetryStep] = &[whole(1), reduced(2), halves(1), halves(3)];

/// An answer that fills the token budget is an undetected loop, or the page has more text than fits; half of the page
/// fits. The halves are a new image, so they start with the first sampling.
const TRUNCATED: &[RetryStep] = &[whole(1), halves(0)];

/// If image and answer do not fit the context together, the whole page fails again. A page that cannot be cut is made
/// smaller.
const CONTEXT_FULL: &[RetryStep] = &[halves(0), reduced(0)];

/// A smaller image of the whole page comes before its halves, because nothing is cut.
const IMAGE_TOO_LARGE: &[RetryStep] = &[reduced(0), halves(0)];

/// The answer is no reading of the page: first another sampling, then another image.
const UNUSABLE: &[RetryStep] = &[whole(1), reduced(2)];

/// The retry steps on the same engine after a failure of this class. Interruptions are not failures.
pub(crate) fn retry_steps(class: FailureClass) -> RetryOptions {
    match class {
        FailureClass::Loop => RetryOptions::Others(LOOP),
        FailureClass::Truncated => RetryOptions::Others(TRUNCATED),
        FailureClass::ContextFull => RetryOptions::Others(CONTEXT_FULL),
        FailureClass::ImageTooLarge => RetryOptions::Others(IMAGE_TOO_LARGE),
        FailureClass::ServerError | FailureClass::Stalled => RetryOptions::SameAgain,
        class if class.remedy() == Remedy::SameEngine => RetryOptions::Others(UNUSABLE),
        // A rejected request is rejected again, and a page that kills its engine kills it again.
        _ => RetryOptions::Others(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_classes_that_the_engine_can_mend_have_steps_and_no_step_is_named_twice() {
        for &class in FailureClass::ALL {
            let RetryOptions::Others(steps) = retry_steps(class) else { continue };
            assert_eq!(!steps.is_empty(), class.remedy() == Remedy::SameEngine, "{class}");
            for (place, step) in steps.iter().enumerate() {
                assert!(*step != RetryStep::FIRST && !steps[..place].contains(step), "{class}: {step:?}");
            }
        }
    }

    /// Three attempts per stage are the default of the configuration.
    #[test]
    fn a_changed_image_is_tried_before_the_page_is_given_away() {
        for &class in FailureClass::ALL {
            let RetryOptions::Others(steps) = retry_steps(class) else { continue };
            let first_stage = &steps[..steps.len().min(2)];
            assert!(steps.is_empty() || first_stage.iter().any(|step| step.view != View::Whole), "{class}");
        }
    }
}
