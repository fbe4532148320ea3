//! What the requests for pages have shown of the present life of a server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Trial;

/// The requests of one start of a server.
#[derive(Debug, Default)]
pub struct Requests {
    start: u32,
    asked: bool,
    answered: bool,
    /// Number of requests under way for pages that are tried again, among others.
    among_others: u32,
    /// The same in isolation.
    isolated: u32,
}

/// What the requests say about the death of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathEvidence {
    /// No page was sent to it.
    NothingAsked,
    /// It had answered pages.
    Answered,
    /// It had been sent pages and answered none.
    AnsweredNothing,
    /// It had answered pages. Some in flight were suspect after an earlier death, and one of them may be at fault.
    SuspectsInFlight,
    /// Nothing but suspects was in flight, to find which of them kills it.
    OnlySuspectsInFlight,
}

impl Requests {
    /// A page is sent. A request of another start begins a new life.
    pub fn asks(&mut self, start: u32, trial: Option<Trial>) {
        if self.start != start {
            *self = Requests { start, ..Requests::default() };
        }
        self.asked = true;
        *self.in_trial(trial) += u32::from(trial.is_some());
    }

    /// A page that was sent so has been answered.
    pub fn answered(&mut self, start: u32, trial: Option<Trial>) {
        if self.start == start {
            self.answered = true;
            let under_way = self.in_trial(trial);
            *under_way = under_way.saturating_sub(u32::from(trial.is_some()));
        }
    }

    fn in_trial(&mut self, trial: Option<Trial>) -> &mut u32 {
        if trial.is_some_and(Trial::is_isolated) { &mut self.isolated } else { &mut self.among_others }
    }

    /// The server has died.
    pub fn end(&mut self) -> DeathEvidence {
        match std::mem::take(self) {
            Requests { asked: false, .. } => DeathEvidence::NothingAsked,
            Requests { isolated: 1.., .. } => DeathEvidence::OnlySuspectsInFlight,
            Requests { answered: false, .. } => DeathEvidence::AnsweredNothing,
            Requests { among_others: 1.., .. } => DeathEvidence::SuspectsInFlight,
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
