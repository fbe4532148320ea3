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

/// The engines that may still be asked for a page that failed with `class` at the end of `retry`, out of all engines of
/// the run. `attempts` are all that count on the page; `budget` is that of a stage on the first engine.
pub fn remaining_engines(
    stage: Stage,
    class: FailureClass,
    retry: &RetryState,
    attempts: &[Attempt],
    budget: Budget,
    engines: EngineSet,
) -> EngineSet {
    if class.remedy() == Remedy::Operator || retry.is_spent() {
        return EngineSet::default();
    }
    let again = match stage {
        Stage::FIRST => retry.has_more(),
        Stage::On(_) => RetryState::resume(Stage::FirstAgain, attempts, budget, None).is_some(),
        Stage::FirstAgain => false,
    };
    let is_new = |engine: &Engine| {
        let on_it = Stage::On(*engine);
        stage != on_it && !attempts.iter().any(|attempt| attempt.stage == on_it)
    };
    let first = Some(Engine::FIRST).filter(|_| again);
    engines.without(Engine::FIRST).iter().filter(is_new).chain(first).collect()
}

/// The next stage of a failed page with these remaining engines: the next engine that some rank serves, else the first
/// engine again.
pub fn next_stage(remaining: EngineSet, served: EngineSet) -> Option<Stage> {
    let next = remaining.and(served).without(Engine::FIRST).first();
    next.map(Stage::On).or_else(|| remaining.contains(Engine::FIRST).then_some(Stage::FirstAgain))
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
        let engine = |position| Engine::at(position).unwrap();
        let all: EngineSet = (0..3).map(engine).collect();
        let [second, third] = [1, 2].map(engine);
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
            remaining_engines(stage, class, retry, attempts, BUDGET, all)
        };
        assert_eq!(of(Stage::FIRST, Class::Loop, &looped, &attempts), all);
        let refused = state_after(&[Failed(Class::Rejected)]);
        let others = all.without(Engine::FIRST);
        assert_eq!(of(Stage::FIRST, Class::Rejected, &refused, &attempts), others);
        let killed = state_after(&[Interrupted(MachineFault::ServerDied)]);
        assert_eq!(of(Stage::FIRST, Class::Poison, &killed, &attempts), others);
        assert_eq!(of(Stage::FIRST, Class::TooLarge, &looped, &attempts), EngineSet::default());
        assert_eq!(of(Stage::FirstAgain, Class::Loop, &looped, &attempts), others, "no rank has served them so far");
        attempts.push(made(Stage::On(second), 0, View::Whole, Failed(Class::Rejected)));
        assert_eq!(of(Stage::On(second), Class::Rejected, &refused, &attempts), all.without(second));
        attempts.push(made(Stage::On(third), 0, View::Whole, Failed(Class::Rejected)));
        assert_eq!(of(Stage::On(third), Class::Rejected, &refused, &attempts), EngineSet::only(Engine::FIRST));
        assert_eq!(of(Stage::FirstAgain, Class::Loop, &looped, &attempts), EngineSet::default());
        let mut spent = RetryState::new(Budget { page: 3, ..BUDGET }, None);
        for _ in 0..3 {
            spent.after(Failed(Class::Loop));
        }
        assert_eq!(of(Stage::FIRST, Class::Loop, &spent, &attempts), EngineSet::default());
    }

    #[test]
    fn the_stages_are_the_engines_in_order_and_the_first_again() {
        let set = |positions: &[usize]| positions.iter().map(|at| Engine::at(*at).unwrap()).collect::<EngineSet>();
        let on = |position| Some(Stage::On(Engine::at(position).unwrap()));
        for (remaining, served, expected) in [
            (set(&[0, 1, 2]), set(&[0, 1, 2]), on(1)),
            (set(&[0, 2]), set(&[0, 1, 2]), on(2)),
            (set(&[0, 1, 2]), set(&[0, 2]), on(2)),
            (set(&[0, 1]), set(&[0]), Some(Stage::FirstAgain)),
            (set(&[0]), set(&[0, 1]), Some(Stage::FirstAgain)),
            (set(&[1]), set(&[0, 1]), on(1)),
            (set(&[1]), set(&[0]), None),
            (set(&[]), set(&[0, 1]), None),
        ] {
            assert_eq!(next_stage(remaining, served), expected, "{remaining:?} {served:?}");
        }
    }
}
