//! What follows an attempt, and what follows an engine's verdict. Pure tables.

use std::time::Duration;

use crate::model::{AttemptOutcome, Engine, FailureClass, MachineFault, Remedy};

/// What a rank does after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAttempt {
    /// The answer is good.
    Accept,
    /// The engine says the page is blank.
    SettleBlank,
    /// Ask the same engine again, at this rung of its sampling ladder.
    AskAgain {
        /// Position on the ladder: 0 is the first attempt's.
        rung: usize,
        /// Wait this long before.
        pause: Duration,
    },
    /// This engine has failed the page.
    SettleFailed(FailureClass),
    /// Give the page back: the machine failed, not the page.
    Return(MachineFault),
}

/// What an attempt's outcome is weighed against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Attempts on this engine that count against the page, this one included.
    pub counted: u32,
    /// Interruptions since the last counted attempt, this one included.
    pub interruptions: u32,
    /// Most counted attempts on this engine.
    pub limit: u32,
    /// For a page suspected of killing its engine, which is alone in flight: the deaths it was alone at before.
    pub trial: Option<u8>,
}

impl Tally {
    /// Whether another death or interruption of the page alone proves that it is the cause.
    fn last_trial(self) -> bool {
        self.trial.is_some_and(|deaths| deaths + 1 >= POISON_DEATHS)
    }
}

/// Engine deaths with the page alone in flight that prove it poison.
pub const POISON_DEATHS: u8 = 2;

/// Times that a page may come back for a fault of its connection before it is tried alone.
pub const RETURNS_LIMIT: u8 = 3;

/// Interruptions of one page that a rank rides out by itself before it gives the page back.
pub const INTERRUPTIONS_LIMIT: u32 = 6;

/// What follows an attempt.
///
/// A loop or an unusable answer is asked again one rung up the ladder (facts of the engines, E9: higher
/// temperature, fresh cache salt); a server error or a stall at the same rung after a pause; a refused request
/// never, since the same request is refused again. Overload, aborts and lost connections are ridden out with a growing
/// pause and never count; a dead server or a drain gives the page back at once. But a page that is alone in flight, on a
/// server that serves others, at [`POISON_DEATHS`] deaths or such interruptions, is the cause of them.
pub fn after_attempt(outcome: AttemptOutcome, tally: Tally) -> AfterAttempt {
    match outcome {
        AttemptOutcome::Accepted => AfterAttempt::Accept,
        AttemptOutcome::Blank => AfterAttempt::SettleBlank,
        AttemptOutcome::Failed(class) => match class.remedy() {
            Remedy::SameEngine if tally.counted < tally.limit => AfterAttempt::AskAgain {
                rung: tally.counted as usize,
                pause: match class {
                    FailureClass::ServerError | FailureClass::Stalled => pause(tally.counted),
                    _ => Duration::ZERO,
                },
            },
            Remedy::SameEngine | Remedy::OtherEngine | Remedy::Operator => AfterAttempt::SettleFailed(class),
        },
        AttemptOutcome::Interrupted(fault) => match fault {
            MachineFault::Overloaded | MachineFault::ConnectionLost | MachineFault::Aborted
                if tally.interruptions < INTERRUPTIONS_LIMIT =>
            {
                AfterAttempt::AskAgain { rung: tally.counted as usize, pause: pause(tally.interruptions) }
            }
            MachineFault::ServerDied if tally.last_trial() => AfterAttempt::SettleFailed(FailureClass::Poison),
            MachineFault::ConnectionLost | MachineFault::Aborted if tally.last_trial() => {
                AfterAttempt::SettleFailed(FailureClass::ServerError)
            }
            _ => AfterAttempt::Return(fault),
        },
    }
}

/// Half a second, doubling, at most 16 s. The driver adds jitter.
fn pause(repetition: u32) -> Duration {
    Duration::from_millis(500 << repetition.saturating_sub(1).min(5))
}

/// Where a page goes that `engine` has failed.
///
/// The other engine gets it unless only a person can help; the second engine's failure is final.
pub fn after_engine(engine: Engine, class: FailureClass, other_engine_served: bool) -> Option<Engine> {
    match (engine, class.remedy()) {
        (_, Remedy::Operator) | (Engine::DeepSeek, _) => None,
        (Engine::Chandra, Remedy::SameEngine | Remedy::OtherEngine) => other_engine_served.then_some(Engine::DeepSeek),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counted: u32, interruptions: u32) -> Tally {
        Tally { counted, interruptions, limit: 3, trial: None }
    }

    fn suspect(deaths: u8) -> Tally {
        Tally { trial: Some(deaths), ..tally(0, 1) }
    }

    fn again(rung: usize, milliseconds: u64) -> AfterAttempt {
        AfterAttempt::AskAgain { rung, pause: Duration::from_millis(milliseconds) }
    }

    #[test]
    fn the_table_of_attempts() {
        use AfterAttempt::*;
        use AttemptOutcome::*;
        let table = [
            (Accepted, tally(1, 0), Accept),
            (Blank, tally(1, 0), SettleBlank),
            (Failed(FailureClass::Loop), tally(1, 0), again(1, 0)),
            (Failed(FailureClass::Loop), tally(2, 0), again(2, 0)),
            (Failed(FailureClass::Loop), tally(3, 0), SettleFailed(FailureClass::Loop)),
            (Failed(FailureClass::Truncated), tally(1, 0), again(1, 0)),
            (Failed(FailureClass::Unparsable), tally(2, 0), again(2, 0)),
            (Failed(FailureClass::Empty), tally(1, 0), again(1, 0)),
            (Failed(FailureClass::ServerError), tally(1, 0), again(1, 500)),
            (Failed(FailureClass::Stalled), tally(2, 0), again(2, 1000)),
            (Failed(FailureClass::Rejected), tally(1, 0), SettleFailed(FailureClass::Rejected)),
            (Failed(FailureClass::ContextFull), tally(1, 0), SettleFailed(FailureClass::ContextFull)),
            (Failed(FailureClass::Encrypted), tally(1, 0), SettleFailed(FailureClass::Encrypted)),
            (Interrupted(MachineFault::Overloaded), tally(0, 1), again(0, 500)),
            (Interrupted(MachineFault::ConnectionLost), tally(1, 5), again(1, 8000)),
            (Interrupted(MachineFault::Overloaded), tally(0, 6), Return(MachineFault::Overloaded)),
            (Interrupted(MachineFault::ServerDied), tally(0, 1), Return(MachineFault::ServerDied)),
            (Interrupted(MachineFault::ServerDied), suspect(0), Return(MachineFault::ServerDied)),
            (Interrupted(MachineFault::ServerDied), suspect(1), SettleFailed(FailureClass::Poison)),
            (Interrupted(MachineFault::ConnectionLost), suspect(1), again(0, 500)),
            (Interrupted(MachineFault::Draining), tally(2, 1), Return(MachineFault::Draining)),
            (Interrupted(MachineFault::Aborted), tally(0, 1), again(0, 500)),
            (Interrupted(MachineFault::Aborted), tally(0, 6), Return(MachineFault::Aborted)),
            (
                Interrupted(MachineFault::Aborted),
                Tally { trial: Some(0), ..tally(0, 6) },
                Return(MachineFault::Aborted),
            ),
            (
                Interrupted(MachineFault::ConnectionLost),
                Tally { trial: Some(1), ..tally(0, 6) },
                SettleFailed(FailureClass::ServerError),
            ),
            (
                Interrupted(MachineFault::Overloaded),
                Tally { trial: Some(1), ..tally(0, 6) },
                Return(MachineFault::Overloaded),
            ),
        ];
        for (outcome, tally, expected) in table {
            assert_eq!(after_attempt(outcome, tally), expected, "{outcome:?} {tally:?}");
        }
    }

    #[test]
    fn every_class_is_final_on_the_second_engine_and_on_the_first_when_only_a_person_can_help() {
        for &class in FailureClass::ALL {
            assert_eq!(after_engine(Engine::DeepSeek, class, true), None);
            assert_eq!(after_engine(Engine::Chandra, class, false), None);
            let goes_on = class.remedy() != Remedy::Operator;
            assert_eq!(after_engine(Engine::Chandra, class, true).is_some(), goes_on, "{class}");
        }
    }
}
