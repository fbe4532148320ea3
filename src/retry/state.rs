//! The retry state of a page on one stage: what follows each attempt. Pure.

use std::time::Duration;

use crate::model::{
    Attempt, AttemptOutcome, Engine, FailureClass, MachineFault, Stage, View, configuration::Configuration,
};

use super::policy::{RetryOptions, RetryStep, retry_steps};

/// What a rank does after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAttempt {
    /// The answer is accepted.
    Accept,
    /// The engine found nothing on the image.
    Blank,
    /// Ask the same engine again.
    AskAgain {
        /// How to ask; the same step as before if the request was not at fault.
        step: RetryStep,
        /// Wait this long first.
        pause: Duration,
    },
    /// The engine has failed the page on this stage.
    SettleFailed(FailureClass),
    /// Return the page to rank 0: the machine failed, not the page.
    Return(MachineFault),
}

/// Maximum number of failed attempts on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// On one stage. Also the maximum number of server failures on one page, on all its stages.
    pub stage: u32,
    /// On all stages together.
    pub page: u32,
}

impl Budget {
    /// The budget that the configuration gives to a stage on `engine`.
    pub fn of(configuration: &Configuration, engine: Engine) -> Budget {
        let stage = configuration.engines.of(engine).attempts.get();
        Budget { stage, page: configuration.schedule.page_attempts.get() }
    }
}

/// Number of engine deaths with the page alone in flight that prove it poison.
pub const POISON_DEATHS: u8 = 2;

/// Number of returns because of connection faults after which a page is tried alone.
pub const RETURNS_LIMIT: u8 = 3;

/// Number of interruptions of one page after which a rank returns it.
pub const INTERRUPTIONS_LIMIT: u32 = 6;

/// The retry state of a page on one stage of an engine.
#[derive(Debug, Clone)]
pub struct RetryState {
    budget: Budget,
    /// For a suspect page, which is alone in flight: the number of earlier engine deaths while it was alone.
    probe: Option<u8>,
    step: RetryStep,
    /// Steps that failed, on this stage or an earlier one.
    tried: Vec<RetryStep>,
    /// The image of the whole page is too large, for the server or for the context together with its answer. Another
    /// sampling does not change that.
    whole_overflows: bool,
    failed_on_stage: u32,
    failed_on_page: u32,
    /// Server failures among the failures on this engine.
    server_failures: u32,
    /// Interruptions since the last attempt that was not interrupted.
    interruptions: u32,
    /// Why the last attempt failed; `None` if it was accepted or interrupted.
    class: Option<FailureClass>,
}

impl RetryState {
    /// The state before the first attempt.
    pub fn new(budget: Budget, probe: Option<u8>) -> Self {
        RetryState {
            budget,
            probe,
            step: RetryStep::FIRST,
            tried: Vec::new(),
            whole_overflows: false,
            failed_on_stage: 0,
            failed_on_page: 0,
            server_failures: 0,
            interruptions: 0,
            class: None,
        }
    }

    /// Continues after `attempts`, all that count on the page so far; `None` if no step is left to try.
    ///
    /// A page that killed its server on an earlier stage is not asked again: its last attempt did not fail, it was
    /// interrupted.
    pub fn resume(stage: Stage, attempts: &[Attempt], budget: Budget, probe: Option<u8>) -> Option<Self> {
        let mut retry = RetryState::new(budget, probe);
        let mut last = None;
        for attempt in attempts {
            let here = attempt.stage.engine() == stage.engine();
            if here {
                retry.step = RetryStep::of(attempt);
                last = Some(attempt);
            }
            if let AttemptOutcome::Failed(class) = attempt.outcome {
                retry.failed_on_page += 1;
                retry.failed_on_stage += u32::from(here && attempt.stage == stage);
                if here {
                    retry.count_failure(class);
                }
            }
        }
        let step = match last {
            None => retry.has_budget().then_some(RetryStep::FIRST),
            Some(Attempt { outcome: AttemptOutcome::Failed(class), .. }) => {
                retry.class = Some(*class);
                retry.next(*class)
            }
            Some(last) => (last.stage == stage).then_some(retry.step),
        };
        retry.step = step?;
        Some(retry)
    }

    /// The next retry step.
    pub fn step(&self) -> RetryStep {
        self.step
    }

    /// What follows an attempt.
    ///
    /// A failed answer is asked again with the next retry step, a server failure with the same step after a pause, each
    /// within the budgets. Overload, aborts and lost connections are retried with a growing pause and do not count. A
    /// dead server or a drain returns the page at once. But a page that is alone in flight, on a server that serves
    /// other pages, and has reached [`POISON_DEATHS`] deaths or such interruptions, is their cause and fails.
    pub fn after(&mut self, outcome: AttemptOutcome) -> AfterAttempt {
        self.class = None;
        match outcome {
            AttemptOutcome::Accepted | AttemptOutcome::Blank => {
                self.interruptions = 0;
                if outcome == AttemptOutcome::Blank { AfterAttempt::Blank } else { AfterAttempt::Accept }
            }
            AttemptOutcome::Failed(class) => {
                self.interruptions = 0;
                self.failed_on_stage += 1;
                self.failed_on_page += 1;
                self.count_failure(class);
                self.class = Some(class);
                match self.next(class) {
                    None => AfterAttempt::SettleFailed(class),
                    Some(step) => {
                        self.step = step;
                        let same = retry_steps(class) == RetryOptions::SameAgain;
                        AfterAttempt::AskAgain {
                            step,
                            pause: if same { pause(self.server_failures) } else { Duration::ZERO },
                        }
                    }
                }
            }
            AttemptOutcome::Interrupted(fault) => {
                self.interruptions += 1;
                self.after_interruption(fault)
            }
        }
    }

    fn after_interruption(&self, fault: MachineFault) -> AfterAttempt {
        let last_probe = self.probe.is_some_and(|deaths| deaths.saturating_add(1) >= POISON_DEATHS);
        match fault {
            MachineFault::Overloaded | MachineFault::ConnectionLost | MachineFault::Aborted
                if self.interruptions < INTERRUPTIONS_LIMIT =>
            {
                AfterAttempt::AskAgain { step: self.step, pause: pause(self.interruptions) }
            }
            MachineFault::ServerDied if last_probe => AfterAttempt::SettleFailed(FailureClass::Poison),
            MachineFault::ConnectionLost | MachineFault::Aborted if last_probe => {
                AfterAttempt::SettleFailed(FailureClass::ServerError)
            }
            _ => AfterAttempt::Return(fault),
        }
    }

    /// Skips the current step, because the page cannot be shown that way. Gives the next step, if any.
    pub fn skip(&mut self) -> Option<RetryStep> {
        self.tried.push(self.step);
        self.step = self.next(self.class?)?;
        Some(self.step)
    }

    /// Whether another stage on this engine could continue from here.
    pub(crate) fn has_more(&self) -> bool {
        let fresh = RetryState { failed_on_stage: 0, ..self.clone() };
        self.class.is_some_and(|class| fresh.next(class).is_some())
    }

    /// Whether the page has used up its budget.
    pub(crate) fn is_spent(&self) -> bool {
        self.failed_on_page >= self.budget.page
    }

    fn count_failure(&mut self, class: FailureClass) {
        match retry_steps(class) {
            RetryOptions::SameAgain => self.server_failures += 1,
            RetryOptions::Others(_) => self.tried.push(self.step),
        }
        let overflows = matches!(class, FailureClass::ContextFull | FailureClass::ImageTooLarge);
        self.whole_overflows |= overflows && self.step.view == View::Whole;
    }

    fn has_budget(&self) -> bool {
        self.failed_on_stage < self.budget.stage && !self.is_spent()
    }

    fn next(&self, class: FailureClass) -> Option<RetryStep> {
        if !self.has_budget() {
            return None;
        }
        match retry_steps(class) {
            RetryOptions::SameAgain => (self.server_failures < self.budget.stage).then_some(self.step),
            RetryOptions::Others(steps) => steps.iter().copied().find(|step| {
                let overflows = self.whole_overflows && step.view == View::Whole;
                !overflows && !self.tried.contains(step)
            }),
        }
    }
}

/// Half a second, doubling, at most 16 s. The driver adds jitter.
fn pause(repetition: u32) -> Duration {
    Duration::from_millis(500 << repetition.saturating_sub(1).min(5))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use AttemptOutcome::{Accepted, Failed, Interrupted};
    use FailureClass as Class;

    pub(crate) const BUDGET: Budget = Budget { stage: 3, page: 10 };
    const PATIENT: Budget = Budget { stage: 10, page: 10 };

    fn again(step: u8, view: View, milliseconds: u64) -> AfterAttempt {
        AfterAttempt::AskAgain { step: RetryStep { step, view }, pause: Duration::from_millis(milliseconds) }
    }

    fn all_after(budget: Budget, outcomes: &[AttemptOutcome]) -> Vec<AfterAttempt> {
        let mut retry = RetryState::new(budget, None);
        outcomes.iter().map(|outcome| retry.after(*outcome)).collect()
    }

    #[test]
    fn a_loop_is_retried_with_higher_temperatures_and_changed_images_until_the_budget_ends() {
        let looped = Failed(Class::Loop);
        let way = [again(1, View::Whole, 0), again(2, View::Reduced, 0), AfterAttempt::SettleFailed(Class::Loop)];
        assert_eq!(all_after(BUDGET, &[looped; 3]), way);
        let way = [
            again(1, View::Whole, 0),
            again(2, View::Reduced, 0),
            again(1, View::Halves, 0),
            again(3, View::Halves, 0),
            AfterAttempt::SettleFailed(Class::Loop),
        ];
        assert_eq!(all_after(PATIENT, &[looped; 5]), way);
        let page = Budget { stage: 10, page: 2 };
        assert_eq!(all_after(page, &[looped; 2])[1], AfterAttempt::SettleFailed(Class::Loop));
    }

    #[test]
    fn each_class_has_its_steps_and_no_step_is_tried_twice() {
        use AfterAttempt::SettleFailed;
        let table = [
            (vec![Failed(Class::Truncated); 2], again(0, View::Halves, 0)),
            (vec![Failed(Class::Truncated); 3], SettleFailed(Class::Truncated)),
            (vec![Failed(Class::ContextFull)], again(0, View::Halves, 0)),
            (vec![Failed(Class::ImageTooLarge)], again(0, View::Reduced, 0)),
            (vec![Failed(Class::ImageTooLarge); 2], again(0, View::Halves, 0)),
            (vec![Failed(Class::ImageTooLarge), Failed(Class::Loop)], again(2, View::Reduced, 0)),
            (vec![Failed(Class::BrokenText)], again(1, View::Whole, 0)),
            (vec![Failed(Class::Repeated)], again(1, View::Whole, 0)),
            (vec![Failed(Class::Empty); 2], again(2, View::Reduced, 0)),
            (vec![Failed(Class::Unparsable); 3], SettleFailed(Class::Unparsable)),
            (vec![Failed(Class::ServerError)], again(0, View::Whole, 500)),
            (vec![Failed(Class::Stalled); 2], again(0, View::Whole, 1000)),
            (vec![Failed(Class::Loop), Failed(Class::ServerError)], again(1, View::Whole, 500)),
            (vec![Failed(Class::Empty), Failed(Class::Loop)], again(2, View::Reduced, 0)),
            (vec![Failed(Class::ContextFull), Failed(Class::Truncated)], SettleFailed(Class::Truncated)),
            (vec![Failed(Class::ContextFull), Failed(Class::Loop)], again(2, View::Reduced, 0)),
            (vec![Failed(Class::Rejected)], SettleFailed(Class::Rejected)),
            (vec![Failed(Class::Encrypted)], SettleFailed(Class::Encrypted)),
            (vec![Accepted], AfterAttempt::Accept),
            (vec![AttemptOutcome::Blank], AfterAttempt::Blank),
        ];
        for (outcomes, expected) in table {
            assert_eq!(all_after(PATIENT, &outcomes).last(), Some(&expected), "{outcomes:?}");
        }
        let errors = [Failed(Class::ServerError); 3];
        assert_eq!(all_after(BUDGET, &errors)[2], SettleFailed(Class::ServerError), "a server is not asked for ever");
    }

    #[test]
    fn a_view_that_cannot_be_had_is_passed_over() {
        let mut retry = RetryState::new(PATIENT, None);
        retry.after(Failed(Class::ContextFull));
        assert_eq!(retry.skip(), Some(RetryStep { step: 0, view: View::Reduced }));
        assert_eq!(retry.after(Failed(Class::ContextFull)), AfterAttempt::SettleFailed(Class::ContextFull));
        let mut retry = RetryState::new(PATIENT, None);
        retry.after(Failed(Class::Truncated));
        retry.after(Failed(Class::Truncated));
        assert_eq!(retry.skip(), None);
        assert!(!retry.has_more());
    }

    #[test]
    fn interruptions_are_ridden_out_and_cost_the_page_nothing() {
        use AfterAttempt::{Return, SettleFailed};
        let interrupted = |fault, times: usize| vec![Interrupted(fault); times];
        let after = |probe, outcomes: &[AttemptOutcome]| {
            let mut retry = RetryState::new(BUDGET, probe);
            outcomes.iter().map(|outcome| retry.after(*outcome)).last().unwrap()
        };
        use MachineFault::{Aborted, ConnectionLost, Draining, Overloaded, ServerDied};
        let table = [
            (None, interrupted(Overloaded, 1), again(0, View::Whole, 500)),
            (None, interrupted(Aborted, 5), again(0, View::Whole, 8000)),
            (None, interrupted(Overloaded, 6), Return(Overloaded)),
            (None, interrupted(ServerDied, 1), Return(ServerDied)),
            (Some(0), interrupted(ServerDied, 1), Return(ServerDied)),
            (Some(1), interrupted(ServerDied, 1), SettleFailed(Class::Poison)),
            (Some(1), interrupted(ConnectionLost, 1), again(0, View::Whole, 500)),
            (None, interrupted(Draining, 1), Return(Draining)),
            (Some(0), interrupted(Aborted, 6), Return(Aborted)),
            (Some(1), interrupted(ConnectionLost, 6), SettleFailed(Class::ServerError)),
            (Some(1), interrupted(Overloaded, 6), Return(Overloaded)),
        ];
        for (probe, outcomes, expected) in table {
            assert_eq!(after(probe, &outcomes), expected, "{outcomes:?} {probe:?}");
        }
        let looped = [interrupted(Overloaded, 5), vec![Failed(Class::Loop)], interrupted(Overloaded, 1)].concat();
        assert_eq!(after(None, &looped), again(1, View::Whole, 500));
    }

    const SECOND: Stage = Stage::On(Engine::at(1).unwrap());

    /// An attempt on the page, as its records hold it.
    pub(crate) fn made(stage: Stage, step: u8, view: View, outcome: AttemptOutcome) -> Attempt {
        let mut attempt = Attempt { step, ..Attempt::sample(stage, outcome) };
        attempt.shown.view = view;
        attempt
    }

    fn resumed(stage: Stage, attempts: &[Attempt]) -> Option<RetryStep> {
        RetryState::resume(stage, attempts, BUDGET, None).map(|retry| retry.step())
    }

    pub(crate) fn looped_on_first() -> Vec<Attempt> {
        [(0, View::Whole), (1, View::Whole), (2, View::Reduced)]
            .map(|(step, view)| made(Stage::FIRST, step, view, Failed(Class::Loop)))
            .into()
    }

    #[test]
    fn a_page_continues_where_another_rank_or_stage_has_left_it() {
        let died = Interrupted(MachineFault::ServerDied);
        assert_eq!(resumed(Stage::FIRST, &[]), Some(RetryStep::FIRST));
        let mut attempts = looped_on_first();
        let one = RetryStep { step: 1, view: View::Whole };
        assert_eq!(resumed(Stage::FIRST, &attempts[..1]), Some(one));
        assert_eq!(resumed(Stage::FIRST, &[attempts[0].clone(), made(Stage::FIRST, 1, View::Whole, died)]), Some(one));
        assert_eq!(resumed(Stage::FIRST, &attempts), None, "the stage's budget is spent");
        assert_eq!(resumed(SECOND, &attempts), Some(RetryStep::FIRST));
        let halves = RetryStep { step: 1, view: View::Halves };
        assert_eq!(resumed(Stage::FirstAgain, &attempts), Some(halves));
        attempts.push(made(SECOND, 0, View::Whole, Failed(Class::Loop)));
        attempts.push(made(Stage::FirstAgain, 1, View::Halves, Accepted));
        assert_eq!(resumed(Stage::FirstAgain, &attempts), Some(halves), "its other half is not read yet");
        attempts.push(made(Stage::FirstAgain, 1, View::Halves, Failed(Class::Loop)));
        assert_eq!(resumed(Stage::FirstAgain, &attempts), Some(RetryStep { step: 3, view: View::Halves }));
    }

    #[test]
    fn a_page_that_killed_its_server_or_spent_its_budget_is_not_asked_for_again() {
        let died = Interrupted(MachineFault::ServerDied);
        assert_eq!(resumed(Stage::FirstAgain, &[made(Stage::FIRST, 0, View::Whole, died)]), None);
        let many = vec![made(Stage::FIRST, 0, View::Whole, Failed(Class::ServerError)); 10];
        assert_eq!(resumed(SECOND, &many), None);
    }
}
