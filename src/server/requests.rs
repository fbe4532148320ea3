//! What the requests for pages have shown of the present life of a server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Trial;

/// The requests of one start of a server.
#[derive(Debug, Default)]
pub struct Requests {
    start: u32,
    /// Number of requests so far.
    asked: u32,
    answered: bool,
    /// Number of requests under way for pages that are tried again, among others.
    among_others: u32,
    /// The same in isolation.
    isolated: u32,
    /// The start before it died and had answered nothing: pages go to this one one at a time until it answers.
    one_at_a_time: bool,
}

/// What the requests say about the death of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathEvidence {
    /// No page was sent to it.
    NothingAsked,
    /// It had answered pages.
    Answered,
    /// It had been sent several pages and answered none. One of them may be at fault.
    AnsweredNone,
    /// It had been sent one page, and not to find out whether that kills it, and did not answer it.
    AnsweredNotOne,
    /// Some pages in flight were suspect after an earlier death, and one of them may be at fault.
    SuspectsInFlight {
        /// It had answered pages.
        answered: bool,
    },
    /// Nothing but suspects was in flight, to find which of them kills it.
    OnlySuspectsInFlight,
}

impl Requests {
    /// A page is sent. A request of another start begins a new life.
    pub fn asks(&mut self, start: u32, trial: Option<Trial>) {
        if self.start != start {
            *self = Requests { start, one_at_a_time: self.one_at_a_time, ..Requests::default() };
        }
        self.asked += 1;
        *self.in_trial(trial) += u32::from(trial.is_some());
    }

    /// A page that was sent so has been answered.
    pub fn answered(&mut self, start: u32, trial: Option<Trial>) {
        if self.start == start {
            (self.answered, self.one_at_a_time) = (true, false);
            let under_way = self.in_trial(trial);
            *under_way = under_way.saturating_sub(u32::from(trial.is_some()));
        }
    }

    fn in_trial(&mut self, trial: Option<Trial>) -> &mut u32 {
        if trial.is_some_and(Trial::is_isolated) { &mut self.isolated } else { &mut self.among_others }
    }

    /// Whether pages are sent one at a time.
    pub fn is_one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }

    /// The server has died.
    pub fn end(&mut self) -> DeathEvidence {
        let ended = std::mem::take(self);
        self.one_at_a_time = ended.one_at_a_time || ended.asked > 0 && !ended.answered;
        match ended {
            Requests { asked: 0, .. } => DeathEvidence::NothingAsked,
            Requests { isolated: 1.., .. } => DeathEvidence::OnlySuspectsInFlight,
            Requests { answered: false, asked: 1, .. } => DeathEvidence::AnsweredNotOne,
            Requests { among_others: 1.., answered, .. } => DeathEvidence::SuspectsInFlight { answered },
            Requests { answered: false, .. } => DeathEvidence::AnsweredNone,
            Requests { .. } => DeathEvidence::Answered,
        }
    }
}

/// The requests of a service, shared between its pages and its supervisor.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedRequests(Arc<Mutex<Requests>>);

impl SharedRequests {
    pub(super) fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMONG_OTHERS: Option<Trial> = Some(Trial::AmongOthers);

    #[test]
    fn a_death_says_who_may_be_at_fault() {
        for (asked, answered, expected) in [
            (&[][..], &[][..], DeathEvidence::NothingAsked),
            (&[None; 2], &[None], DeathEvidence::Answered),
            (&[None; 2], &[], DeathEvidence::AnsweredNone),
            (&[None], &[], DeathEvidence::AnsweredNotOne),
            (&[None, AMONG_OTHERS], &[None], DeathEvidence::SuspectsInFlight { answered: true }),
            (&[None, AMONG_OTHERS], &[AMONG_OTHERS], DeathEvidence::Answered),
            (&[Some(Trial::Alone { deaths: 0 })], &[], DeathEvidence::OnlySuspectsInFlight),
            (&[None, Some(Trial::Together)], &[None], DeathEvidence::OnlySuspectsInFlight),
        ] {
            let mut requests = Requests::default();
            asked.iter().for_each(|trial| requests.asks(1, *trial));
            answered.iter().for_each(|trial| requests.answered(1, *trial));
            assert_eq!(requests.end(), expected, "{asked:?} {answered:?}");
        }
    }

    #[test]
    fn after_a_start_without_an_answer_the_first_page_is_alone() {
        let mut requests = Requests::default();
        requests.asks(1, None);
        assert!(!requests.is_one_at_a_time());
        requests.end();
        requests.asks(2, None);
        // An answer of the earlier start says nothing about this one.
        requests.answered(1, None);
        assert!(requests.is_one_at_a_time());
        requests.answered(2, None);
        assert!(!requests.is_one_at_a_time());
    }
}
