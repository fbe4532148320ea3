//! What the tokens of a run were spent on.

use std::{fmt, ops::AddAssign};

use crate::model::{Attempt, AttemptOutcome, FailureClass, FinishReason, Spent, TokenTotals};

impl Spent {
    fn of(attempt: &Attempt) -> Spent {
        let tokens = attempt.tokens;
        Spent { attempts: 1, prompt: tokens.prompt.into(), generated: tokens.completion.into() }
    }
}

impl TokenTotals {
    /// Adds an attempt.
    pub fn count(&mut self, attempt: &Attempt, is_retry: bool) {
        let spent = Spent::of(attempt);
        match attempt.outcome {
            AttemptOutcome::Accepted | AttemptOutcome::Blank => self.accepted += spent,
            AttemptOutcome::Failed(FailureClass::Loop) => self.loops += spent,
            AttemptOutcome::Failed(_) => self.failures += spent,
            AttemptOutcome::Interrupted(_) => self.interrupted += spent,
        }
        if is_retry {
            self.retries += spent;
        }
        if let Some(FinishReason::Cut | FinishReason::Repetition) = attempt.finish {
            self.saved_by_cutting += u64::from(attempt.max_tokens.saturating_sub(attempt.tokens.completion));
        }
    }

    /// The sum over all attempts.
    pub fn all(&self) -> Spent {
        let mut all = self.accepted;
        all += self.loops;
        all += self.failures;
        all += self.interrupted;
        all
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.prompt += other.prompt;
        self.generated += other.generated;
    }
}

impl AddAssign for TokenTotals {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.loops += other.loops;
        self.failures += other.failures;
        self.interrupted += other.interrupted;
        self.retries += other.retries;
        self.saved_by_cutting += other.saved_by_cutting;
    }
}

/// `12 attempts, 47448 prompt tokens; generated: 15344 accepted, 495 in loops (36657 more at most, had they not been cut), …`
impl fmt::Display for TokenTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spent { attempts, prompt, .. } = self.all();
        write!(f, "{attempts} attempts, {prompt} prompt tokens; generated: {} accepted", self.accepted.generated)?;
        if self.loops.attempts > 0 {
            write!(f, ", {} in loops", self.loops.generated)?;
        }
        if self.saved_by_cutting > 0 {
            write!(f, " ({} more at most, had they not been cut)", self.saved_by_cutting)?;
        }
        for (spent, what) in [(self.failures, "in other failures"), (self.interrupted, "interrupted")] {
            if spent.attempts > 0 {
                write!(f, ", {} {what}", spent.generated)?;
            }
        }
        let Spent { attempts, prompt, generated } = self.retries;
        if attempts > 0 {
            write!(f, "; {attempts} retries took {prompt} prompt and {generated} generated tokens of these")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MachineFault, Stage, TokenUsage};

    fn attempt(outcome: AttemptOutcome, finish: Option<FinishReason>, completion: u32) -> Attempt {
        let tokens = TokenUsage { prompt: 4000, completion };
        Attempt { finish, max_tokens: 12_000, tokens, ..Attempt::sample(Stage::FIRST, outcome) }
    }

    #[test]
    fn every_attempt_is_of_one_kind_and_retries_are_counted_again() {
        let mut totals = TokenTotals::default();
        let looping = AttemptOutcome::Failed(FailureClass::Loop);
        totals.count(&attempt(looping, Some(FinishReason::Cut), 400), false);
        totals.count(&attempt(AttemptOutcome::Interrupted(MachineFault::ServerDied), None, 10), true);
        totals.count(&attempt(AttemptOutcome::Failed(FailureClass::Unparsable), Some(FinishReason::Stop), 90), true);
        totals.count(&attempt(AttemptOutcome::Accepted, Some(FinishReason::Stop), 1000), true);
        assert_eq!(totals.all(), Spent { attempts: 4, prompt: 16_000, generated: 1500 });
        assert_eq!(totals.retries, Spent { attempts: 3, prompt: 12_000, generated: 1100 });
        assert_eq!((totals.loops.generated, totals.saved_by_cutting), (400, 11_600));
        assert_eq!(
            totals.to_string(),
            "4 attempts, 16000 prompt tokens; generated: 1000 accepted, 400 in loops (11600 more at most, had they not \
             been cut), 90 in other failures, 10 interrupted; 3 retries took 12000 prompt and 1100 generated tokens of these"
        );
    }
}
