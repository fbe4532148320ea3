//! A page's course over the engines: which visit follows one that has failed it. Pure.

use crate::model::{Attempt, Engine, EngineSet, FailureClass, Remedy, Visit};

use super::state::{Budget, Climb};

/// How far a page is that has failed on its first visit to an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// What it waits for, or is on.
    pub(crate) visit: Visit,
    /// The engines that it may be given to since.
    pub(crate) ahead: EngineSet,
}

/// The engines that a page may yet be given to which has failed with `class` at the end of `climb`. `attempts` are all
/// that count on it, `budget` is that of a visit to Chandra.
pub fn ahead(visit: Visit, class: FailureClass, climb: &Climb, attempts: &[Attempt], budget: Budget) -> EngineSet {
    if class.remedy() == Remedy::Operator || climb.is_spent() {
        return EngineSet::default();
    }
    let seen = |visit: Visit| attempts.iter().any(|attempt| attempt.visit == visit);
    let again = match visit {
        Visit::First => climb.has_more(),
        Visit::Second => Climb::resume(Visit::Return, attempts, budget, None).is_some(),
        Visit::Return => false,
    };
    let engines = [(Engine::Chandra, again), (Engine::DeepSeek, visit != Visit::Second && !seen(Visit::Second))];
    engines.into_iter().filter(|(_, open)| *open).fold(EngineSet::default(), |set, (engine, _)| set.with(engine))
}

/// The next visit of a page that has failed and has these engines ahead of it: to the one that has not seen it, where some
/// rank serves that, else back to the first.
pub fn after_visit(ahead: EngineSet, second_served: bool) -> Option<Visit> {
    if ahead.contains(Engine::DeepSeek) && second_served {
        Some(Visit::Second)
    } else {
        ahead.contains(Engine::Chandra).then_some(Visit::Return)
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
            let mut climb = Climb::new(BUDGET, None);
            for outcome in outcomes {
                climb.after(*outcome);
            }
            climb
        };
        let looped = climb_of(&[Failed(Class::Loop); 3]);
        let mut attempts = looped_on_first();
        let of = |visit, class, climb: &Climb, attempts: &[Attempt]| ahead(visit, class, climb, attempts, BUDGET);
        assert_eq!(of(Visit::First, Class::Loop, &looped, &attempts), both);
        let refused = climb_of(&[Failed(Class::Rejected)]);
        let other = EngineSet::only(Engine::DeepSeek);
        assert_eq!(of(Visit::First, Class::Rejected, &refused, &attempts), other);
        let killed = climb_of(&[Interrupted(MachineFault::ServerDied)]);
        assert_eq!(of(Visit::First, Class::Poison, &killed, &attempts), other);
        assert_eq!(of(Visit::First, Class::TooLarge, &looped, &attempts), EngineSet::default());
        assert_eq!(of(Visit::Return, Class::Loop, &looped, &attempts), other, "nobody served it so far");
        attempts.push(made(Visit::Second, 0, View::Whole, Failed(Class::Rejected)));
        assert_eq!(of(Visit::Second, Class::Rejected, &refused, &attempts), EngineSet::only(Engine::Chandra));
        assert_eq!(of(Visit::Return, Class::Loop, &looped, &attempts), EngineSet::default());
        let mut spent = Climb::new(Budget { page: 3, ..BUDGET }, None);
        for _ in 0..3 {
            spent.after(Failed(Class::Loop));
        }
        assert_eq!(of(Visit::First, Class::Loop, &spent, &attempts), EngineSet::default());
    }

    #[test]
    fn the_course_is_the_first_engine_the_second_and_the_first_again() {
        let set = |engines: &[Engine]| engines.iter().fold(EngineSet::default(), |set, engine| set.with(*engine));
        use Engine::{Chandra, DeepSeek};
        for (engines, second_served, expected) in [
            (set(&[Chandra, DeepSeek]), true, Some(Visit::Second)),
            (set(&[Chandra, DeepSeek]), false, Some(Visit::Return)),
            (set(&[Chandra]), true, Some(Visit::Return)),
            (set(&[DeepSeek]), true, Some(Visit::Second)),
            (set(&[DeepSeek]), false, None),
            (set(&[]), true, None),
        ] {
            assert_eq!(after_visit(engines, second_served), expected, "{engines} {second_served}");
        }
    }
}
