//! Escalation: which stage follows after an engine has failed a page. Pure.

use crate::model::{Attempt, Engine, EngineSet, FailureClass, Remedy, Stage};

use super::state::{Budget, RetryState};

/// State of a page that has failed its first stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escalation {
    /// The stage that it waits for or is on.
    pub(crate) stage: Stage,
    /// The engines that it may still be given to.
    pub(crate) remaining: EngineSet,
}

/// The engines that may still be asked for a page that failed with `class` at the end of `retry`. `attempts` are all
/// that count on the page; `budget` is that of a stage on Chandra.
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

/// The next stage of a failed page with these remaining engines: the second engine if some rank serves it, else the
/// first engine again.
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
    fn the_remaining_engines_of_a_failed_page_follow_from_its_attempts() {
        let both = EngineSet::only(Engine::Chandra).with(Engine::DeepSeek);
        let state_after = |outcomes: &[AttemptOutcome]| {
            let mut retry = RetryState::new(BUDGET, None);
            for outcome in outcomes {
                retry.after(*outcome);
            }
            retry
        };
        let looped = state_after(&[Failed(Class::Loop); 3]);
        let mut attempts = looped_on_first();
        let of = |stage, class, retry: &RetryState, attempts: &[Attempt]| {
            remaining_engines(stage, class, retry, attempts, BUDGET)
        };
        assert_eq!(of(Stage::Primary, Class::Loop, &looped, &attempts), both);
        let refused = state_after(&[Failed(Class::Rejected)]);
        let other = EngineSet::only(Engine::DeepSeek);
        assert_eq!(of(Stage::Primary, Class::Rejected, &refused, &attempts), other);
        let killed = state_after(&[Interrupted(MachineFault::ServerDied)]);
        assert_eq!(of(Stage::Primary, Class::Poison, &killed, &attempts), other);
        assert_eq!(of(Stage::Primary, Class::TooLarge, &looped, &attempts), EngineSet::default());
        assert_eq!(of(Stage::PrimaryRetry, Class::Loop, &looped, &attempts), other, "no rank has served it so far");
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
    fn the_stages_are_the_first_engine_the_second_and_the_first_again() {
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
