//! A page's escalation over the engines: which stage follows one that has failed it. Pure.

use crate::model::{Attempt, Engine, EngineSet, FailureClass, Remedy, Stage};

use super::state::{Budget, RetryState};

/// How far a page is that has failed on its first stage to an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escalation {
    /// What it waits for, or is on.
    pub(crate) stage: Stage,
    /// The engines that it may be given to since.
    pub(crate) remaining: EngineSet,
}

/// The engines that a page may yet be given to which has failed with `class` at the end of `retry`. `attempts` are all
/// that count on it, `budget` is that of a stage to Chandra.
pub fn remaining_engines(
    stage: Stage,
    class: FailureClass,
    retry: &RetryState,
    attempts: &[Attempt],
    budget: Budget,
) -> EngineSet {
    if class.remedy() == Remedy::Operator || retry.is_spent() {
        return EngineSet::default();
    }
    let seen = |stage: Stage| attempts.iter().any(|attempt| attempt.stage == stage);
    let again = match stage {
        Stage::Primary => retry.has_more(),
        Stage::Fallback => RetryState::resume(Stage::PrimaryRetry, attempts, budget, None).is_some(),
        Stage::PrimaryRetry => false,
    };
    let engines = [(Engine::Chandra, again), (Engine::DeepSeek, stage != Stage::Fallback && !seen(Stage::Fallback))];
    engines.into_iter().filter(|(_, open)| *open).fold(EngineSet::default(), |set, (engine, _)| set.with(engine))
}

/// The next stage of a page that has failed and has these engines remaining of it: to the one that has not seen it, where some
/// rank serves that, else back to the first.
pub fn next_stage(remaining: EngineSet, second_served: bool) -> Option<Stage> {
    if remaining.contains(Engine::DeepSeek) && second_served {
        Some(Stage::Fallback)
    } else {
        remaining.contains(Engine::Chandra).then_some(Stage::PrimaryRetry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            AttemptOutcome::{self, Failed, Interrupted},
            FailureClass as Class, MachineFault, View,
        },
        retry::state::tests::{BUDGET, looped_on_first, made},
    };

    #[test]
    fn what_lies_ahead_of_a_failed_page_follows_from_its_attempts() {
        let both = EngineSet::only(Engine::Chandra).with(Engine::DeepSeek);
        let climb_of = |outcomes: &[AttemptOutcome]| {
            let mut retry = RetryState::new(BUDGET, None);
            for outcome in outcomes {
                retry.after(*outcome);
            }
            retry
        };
        let looped = climb_of(&[Failed(Class::Loop); 3]);
        let mut attempts = looped_on_first();
        let of = |stage, class, retry: &RetryState, attempts: &[Attempt]| {
            remaining_engines(stage, class, retry, attempts, BUDGET)
        };
        assert_eq!(of(Stage::Primary, Class::Loop, &looped, &attempts), both);
        let refused = climb_of(&[Failed(Class::Rejected)]);
        let other = EngineSet::only(Engine::DeepSeek);
        assert_eq!(of(Stage::Primary, Class::Rejected, &refused, &attempts), other);
        let killed = climb_of(&[Interrupted(MachineFault::ServerDied)]);
        assert_eq!(of(Stage::Primary, Class::Poison, &killed, &attempts), other);
        assert_eq!(of(Stage::Primary, Class::TooLarge, &looped, &attempts), EngineSet::default());
        assert_eq!(of(Stage::PrimaryRetry, Class::Loop, &looped, &attempts), other, "nobody served it so far");
        attempts.push(made(Stage::Fallback, 0, View::Whole, Failed(Class::Rejected)));
        assert_eq!(of(Stage::Fallback, Class::Rejected, &refused, &attempts), EngineSet::only(Engine::Chandra));
        assert_eq!(of(Stage::PrimaryRetry, Class::Loop, &looped, &attempts), EngineSet::default());
        let mut spent = RetryState::new(Budget { page: 3, ..BUDGET }, None);
        for _ in 0..3 {
            spent.after(Failed(Class::Loop));
        }
        assert_eq!(of(Stage::Primary, Class::Loop, &spent, &attempts), EngineSet::default());
    }

    #[test]
    fn the_course_is_the_first_engine_the_second_and_the_first_again() {
        let set = |engines: &[Engine]| engines.iter().fold(EngineSet::default(), |set, engine| set.with(*engine));
        use Engine::{Chandra, DeepSeek};
        for (engines, second_served, expected) in [
            (set(&[Chandra, DeepSeek]), true, Some(Stage::Fallback)),
            (set(&[Chandra, DeepSeek]), false, Some(Stage::PrimaryRetry)),
            (set(&[Chandra]), true, Some(Stage::PrimaryRetry)),
            (set(&[DeepSeek]), true, Some(Stage::Fallback)),
            (set(&[DeepSeek]), false, None),
            (set(&[]), true, None),
        ] {
            assert_eq!(next_stage(engines, second_served), expected, "{engines} {second_served}");
        }
    }
}
