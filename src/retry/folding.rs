//! Folding of attempts: during a long overload a page is interrupted thousands of times, and its attempts travel with
//! it. Pure.

use crate::model::{Attempt, AttemptOutcome, TokenUsage};

/// The attempts, with those folded into one that ended alike within one series of interruptions. The last attempt stays
/// the last. Their number is bounded: failed and accepted attempts are few, and each series has one attempt of each kind.
pub fn folded(attempts: Vec<Attempt>) -> Vec<Attempt> {
    let mut folded: Vec<Attempt> = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let series = folded.iter().rposition(|earlier| !is_interrupted(earlier)).map_or(0, |last| last + 1);
        let alike = folded[series..].iter().position(|earlier| ended_alike(earlier, &attempt));
        let attempt = match alike {
            Some(place) => fold(&folded.remove(series + place), attempt),
            None => attempt,
        };
        folded.push(attempt);
    }
    folded
}

fn is_interrupted(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, AttemptOutcome::Interrupted(_))
}

/// Whether two interrupted attempts asked the same and ended alike.
fn ended_alike(one: &Attempt, other: &Attempt) -> bool {
    (one.outcome, one.stage, one.step, one.shown) == (other.outcome, other.stage, other.step, other.shown)
        && one.served_by == other.served_by
}

fn fold(earlier: &Attempt, last: Attempt) -> Attempt {
    Attempt {
        repeats: earlier.repeats.saturating_add(last.repeats).saturating_add(1),
        tokens: TokenUsage {
            prompt: earlier.tokens.prompt.saturating_add(last.tokens.prompt),
            completion: earlier.tokens.completion.saturating_add(last.tokens.completion),
        },
        started_unix_ms: earlier.started_unix_ms,
        duration: earlier.duration.saturating_add(last.duration),
        ..last
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{FailureClass, MachineFault, Stage};

    fn attempt(number: u32, outcome: AttemptOutcome) -> Attempt {
        Attempt {
            request_id: number.to_string(),
            started_unix_ms: number.into(),
            tokens: TokenUsage { prompt: 10, completion: 1 },
            duration: Duration::from_secs(1),
            ..Attempt::sample(Stage::FIRST, outcome)
        }
    }

    #[test]
    fn interruptions_of_one_kind_become_one_attempt_within_their_series() {
        use MachineFault::{ConnectionLost, Overloaded};
        let failed = AttemptOutcome::Failed(FailureClass::Loop);
        let [overloaded, cut] = [Overloaded, ConnectionLost].map(AttemptOutcome::Interrupted);
        let outcomes = [overloaded, cut, overloaded, cut, overloaded, failed, overloaded, failed, failed];
        let attempts: Vec<_> = (0..).zip(outcomes).map(|(number, outcome)| attempt(number, outcome)).collect();
        let folded_once = folded(attempts);
        let kinds: Vec<_> = folded_once.iter().map(|attempt| (attempt.outcome, attempt.repeats)).collect();
        assert_eq!(kinds, [(cut, 1), (overloaded, 2), (failed, 0), (overloaded, 0), (failed, 0), (failed, 0)]);
        let sum = &folded_once[1];
        assert_eq!((sum.request_id.as_str(), sum.started_unix_ms, sum.duration), ("4", 0, Duration::from_secs(3)));
        assert_eq!(sum.tokens, TokenUsage { prompt: 30, completion: 3 });
        assert_eq!(folded(folded_once.clone()), folded_once);
    }

    #[test]
    fn counts_and_sums_saturate() {
        let most = Attempt {
            repeats: u32::MAX,
            tokens: TokenUsage { prompt: u32::MAX, completion: u32::MAX },
            duration: Duration::MAX,
            ..attempt(0, AttemptOutcome::Interrupted(MachineFault::Overloaded))
        };
        let folded = folded(vec![most.clone(), most.clone()]);
        assert_eq!(folded, [most]);
    }
}
