//! A page on a simulated rank: what a worker does with it, by the same retry policy.

use crate::{
    model::{
        Attempt, AttemptOutcome, Engine, EngineSet, FailureClass, MachineFault, PageRef, Prior, RankId, ServerKind,
        Settlement, Stage, Trial, Unit, Verdict,
    },
    retry::{
        RetryStep,
        escalation::remaining_engines,
        state::{AfterAttempt, Budget, RetryState},
    },
    schedule::Event,
};

/// The default budget of the configuration.
const BUDGET: Budget = Budget { stage: 3, page: 10 };

/// A page in progress.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) page: PageRef,
    pub(super) unit: Unit,
    stage: Stage,
    /// The engines that it may be given to.
    open: EngineSet,
    retry: RetryState,
    /// All attempts in this start of the run.
    attempts: Vec<Attempt>,
}

/// What follows an attempt.
pub(super) enum Next {
    /// Ask the same engine again.
    Ask(Task),
    /// Send the event to rank 0.
    Tell(Event),
}

impl Task {
    /// Starts a page of a unit. A page with no step left to try is settled at once, and so is one that rank 0 has given
    /// up.
    pub(super) fn begin(rank: RankId, unit: Unit, page: PageRef, prior: Option<Prior>) -> Next {
        let prior = prior.unwrap_or_else(|| Prior::none(page));
        let Prior { stage, remaining: open, attempts, give_up, .. } = prior;
        let settled = |class, attempts| {
            let (lease, verdict) = (unit.lease, Verdict::Failed(class));
            let remaining = EngineSet::default();
            let settlement = Settlement { page, lease, verdict, engine: None, attempts, remaining };
            Next::Tell(Event::Settled { rank, settlement })
        };
        if let Some(class) = give_up {
            return settled(class, attempts);
        }
        match RetryState::resume(stage, &attempts, BUDGET, unit.trial.and_then(Trial::deaths_alone)) {
            Some(retry) => Next::Ask(Task { page, unit, stage, open, retry, attempts }),
            None => settled(last_failure(&attempts, unit.engine), attempts),
        }
    }

    /// What follows an attempt with this outcome.
    pub(super) fn continue_page(mut self, rank: RankId, outcome: AttemptOutcome) -> Next {
        if !matches!(outcome, AttemptOutcome::Accepted | AttemptOutcome::Blank) {
            self.attempts.push(attempt(rank, self.stage, &self.retry, outcome));
        }
        let verdict = match self.retry.after(outcome) {
            AfterAttempt::Accept => Verdict::Read,
            AfterAttempt::Blank => Verdict::Blank,
            AfterAttempt::SettleFailed(class) => Verdict::Failed(class),
            AfterAttempt::AskAgain { .. } => return Next::Ask(self),
            AfterAttempt::Return(fault) => return Next::Tell(self.give_back(rank, fault)),
        };
        let (page, lease, engine) = (self.page, self.unit.lease, Some(self.unit.engine));
        let settlement = match verdict {
            Verdict::Failed(class) => {
                let remaining = self.open.and(remaining_engines(
                    self.stage,
                    class,
                    &self.retry,
                    &self.attempts,
                    BUDGET,
                    EngineSet::ANY,
                ));
                Settlement { page, lease, verdict, engine, attempts: self.attempts, remaining }
            }
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => {
                Settlement { page, lease, verdict, engine, attempts: Vec::new(), remaining: EngineSet::default() }
            }
        };
        Next::Tell(Event::Settled { rank, settlement })
    }

    /// Whether the engine has failed the page before.
    pub(super) fn has_failed(&self) -> bool {
        let engine = self.unit.engine;
        self.attempts
            .iter()
            .any(|attempt| attempt.stage.engine() == engine && matches!(attempt.outcome, AttemptOutcome::Failed(_)))
    }

    /// Returns the page with its attempts.
    pub(super) fn give_back(self, rank: RankId, fault: MachineFault) -> Event {
        let (page, lease) = (self.page, self.unit.lease);
        Event::Returned { rank, page, lease, fault, attempts: self.attempts, text: None }
    }
}

/// The class of the last failure on this engine, or else of the last failure on any: as a worker reports it.
fn last_failure(attempts: &[Attempt], engine: Engine) -> FailureClass {
    let failure = |attempt: &Attempt| match attempt.outcome {
        AttemptOutcome::Failed(class) => Some((attempt.stage.engine(), class)),
        _ => None,
    };
    let failures = || attempts.iter().rev().filter_map(failure);
    let of_engine = failures().find(|(by, _)| *by == engine);
    of_engine.or_else(|| failures().next()).map_or(FailureClass::Poison, |(_, class)| class)
}

fn attempt(rank: RankId, stage: Stage, retry: &RetryState, outcome: AttemptOutcome) -> Attempt {
    let RetryStep { step, view } = retry.step();
    let mut attempt = Attempt { rank, step, ..Attempt::sample(stage, outcome) };
    attempt.shown.view = view;
    attempt.served_by.server = ServerKind::StandInSynthetic;
    attempt
}
