//! Progress of a page: every attempt on it, and the best text so far.

use crate::{
    model::{Answer, Attempt},
    store::EarlierAttempts,
};

/// Progress of a page. It belongs to the page's task, so that a recalled page takes it along.
pub(super) struct PageProgress {
    /// All attempts, oldest first: those of the record of an earlier start, those of this start on earlier stages or on
    /// ranks that returned the page, and those of this task.
    attempts: Vec<Attempt>,
    /// Number of attempts of the record.
    recorded: usize,
    /// Number of attempts before this task: of the record and of this start.
    before: usize,
    /// Index of the first attempt that counts against the page.
    counts_from: u16,
    /// The longest text that one retry step gave on this stage.
    best: Answer,
}

impl PageProgress {
    /// A page with these attempts of this start, and the best text of this stage on another rank.
    pub(super) fn new(prior: Vec<Attempt>, text: Option<Answer>) -> PageProgress {
        let (before, best) = (prior.len(), text.unwrap_or(Answer::NONE));
        PageProgress { attempts: prior, recorded: 0, before, counts_from: 0, best }
    }

    /// Puts the attempts of the page's record first. If the page is read again, none of them counts.
    pub(super) fn add_recorded(&mut self, earlier: EarlierAttempts, again: bool) {
        let EarlierAttempts { attempts, counts_from } = earlier;
        self.recorded = attempts.len();
        self.before += attempts.len();
        let all = u16::try_from(attempts.len()).unwrap_or(u16::MAX);
        self.counts_from = if again { all } else { counts_from.min(all) };
        self.attempts.splice(0..0, attempts);
    }

    /// Adds an attempt of this task, and the text of the stage including it.
    pub(super) fn add(&mut self, attempt: Attempt, text: &Answer) {
        self.attempts.push(attempt);
        if text.characters > self.best.characters {
            self.best = text.clone();
        }
    }

    /// All attempts that count against the page.
    pub(super) fn counting(&self) -> &[Attempt] {
        &self.attempts[usize::from(self.counts_from)..]
    }

    /// All attempts of this start.
    pub(super) fn of_this_start(&self) -> &[Attempt] {
        &self.attempts[self.recorded..]
    }

    /// Number of all attempts: the index of the next one in the page's record.
    pub(super) fn total(&self) -> usize {
        self.attempts.len()
    }

    /// Number of attempts of the record of an earlier start.
    pub(super) fn recorded(&self) -> usize {
        self.recorded
    }

    /// Number of attempts that were made before this task.
    pub(super) fn before(&self) -> usize {
        self.before
    }

    /// Number of attempts of this task.
    pub(super) fn made_here(&self) -> usize {
        self.attempts.len() - self.before
    }

    pub(super) fn best(&self) -> &Answer {
        &self.best
    }

    /// All attempts, and the index of the first that counts, for the page's record.
    pub(super) fn into_record(self) -> (Vec<Attempt>, u16) {
        (self.attempts, self.counts_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttemptOutcome, FailureClass, Stage};

    fn attempts(number: usize) -> Vec<Attempt> {
        vec![Attempt::sample(Stage::FIRST, AttemptOutcome::Failed(FailureClass::Loop)); number]
    }

    fn counts(progress: &PageProgress) -> [usize; 4] {
        [progress.counting().len(), progress.of_this_start().len(), progress.before(), progress.made_here()]
    }

    #[test]
    fn the_attempts_of_a_record_come_first_and_count_unless_the_page_is_read_again() {
        let record = || EarlierAttempts { attempts: attempts(5), counts_from: 2 };
        let mut progress = PageProgress::new(attempts(3), None);
        assert_eq!(counts(&progress), [3, 3, 3, 0]);
        progress.add_recorded(record(), false);
        progress.add(attempts(1).remove(0), &Answer::NONE);
        assert_eq!(counts(&progress), [7, 4, 8, 1]);
        assert_eq!((progress.recorded(), progress.total()), (5, 9));
        let mut again = PageProgress::new(attempts(3), None);
        again.add_recorded(record(), true);
        assert_eq!(counts(&again), [3, 3, 8, 0]);
        let (all, counts_from) = again.into_record();
        assert_eq!((all.len(), counts_from), (8, 5));
    }

    #[test]
    fn the_best_text_is_the_longest() {
        let mut progress = PageProgress::new(Vec::new(), Some(Answer { characters: 5, ..Answer::NONE }));
        for characters in [3, 9, 7] {
            progress.add(attempts(1).remove(0), &Answer { characters, ..Answer::NONE });
        }
        assert_eq!(progress.best().characters, 9);
    }
}
