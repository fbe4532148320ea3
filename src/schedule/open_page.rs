//! What is known of a page besides its stage in the ledger: of pages only that something has happened to.

use std::collections::BTreeMap;

use crate::{
    model::{
        Answer, Attempt, Engine, EngineSet, FailureClass, LeaseId, PageRef, Prior, RankId, RecordPlace, Stage, Verdict,
    },
    retry::escalation::Escalation,
};

/// The class of a page that is given up.
pub(super) const GIVEN_UP: FailureClass = FailureClass::Stuck;

/// Leases of one page that may expire before the page has failed.
pub(super) const MOST_EXPIRIES: usize = 3;

/// A page that was in flight when its engine died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspect {
    /// Deaths at which it was alone.
    pub(super) deaths: u8,
    /// Where the last death was. It is tried there: one rank loses its server by it, not one after the other.
    pub(super) rank: RankId,
}

/// A lease under which a page did not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExpiredLease {
    pub(super) lease: LeaseId,
    pub(super) rank: RankId,
    pub(super) engine: Engine,
}

/// An unsettled page that something has happened to.
#[derive(Debug, Default)]
pub(super) struct OpenPage {
    /// It was in flight when its engine died.
    pub(super) suspect: Option<Suspect>,
    /// Where it is beyond its first stage.
    pub(super) escalation: Option<Escalation>,
    /// How often it came back on this stage for a fault of its connection.
    pub(super) returns: u8,
    /// Its attempts of this start, to be sent along with it.
    pub(super) history: Vec<Attempt>,
    /// The best text of this stage, which goes on elsewhere.
    pub(super) text: Option<Box<Answer>>,
    /// Its record of an earlier start, whose attempts belong before those.
    pub(super) sealed: Option<RecordPlace>,
    /// The page is to be read again, and keeps this verdict if it is not read this time.
    pub(super) kept: Option<Verdict>,
    /// Its leases that expired.
    pub(super) expired: Vec<ExpiredLease>,
    /// What a rank said of it under one of those while it was out again, and the engine of that lease.
    pub(super) late: Option<(Verdict, Engine)>,
    /// It has failed because it did not come back; that is to be written down.
    pub(super) given_up: bool,
}

impl OpenPage {
    pub(super) fn stage(&self) -> Stage {
        self.escalation.map_or(Stage::Primary, |escalation| escalation.stage)
    }

    /// Whether it waits in no queue: it is dealt by itself.
    pub(super) fn waits_apart(&self) -> bool {
        self.suspect.is_some() || !self.expired.is_empty()
    }

    /// What its next rank must know; `None` where that is nothing.
    fn prior(&self, page: PageRef) -> Option<Prior> {
        let stage = self.stage();
        let is_plain = self.sealed.is_none() && self.history.is_empty() && stage == Stage::Primary;
        if is_plain && !self.given_up {
            return None;
        }
        Some(Prior {
            stage,
            remaining: self.escalation.map_or(EngineSet::all(), |escalation| escalation.remaining),
            sealed: self.sealed,
            again: self.kept.is_some(),
            attempts: self.history.clone(),
            text: self.text.as_deref().cloned(),
            give_up: self.given_up.then_some(GIVEN_UP),
            ..Prior::none(page)
        })
    }
}

/// All of them. A page without an entry waits for its first stage, is on it, or is settled.
#[derive(Debug, Default)]
pub(super) struct OpenPages(BTreeMap<PageRef, OpenPage>);

impl OpenPages {
    pub(super) fn get(&self, page: PageRef) -> Option<&OpenPage> {
        self.0.get(&page)
    }

    /// The page's entry, a new one if it has none.
    pub(super) fn entry(&mut self, page: PageRef) -> &mut OpenPage {
        self.0.entry(page).or_default()
    }

    /// Forgets a page that is settled.
    pub(super) fn remove(&mut self, page: PageRef) -> Option<OpenPage> {
        self.0.remove(&page)
    }

    pub(super) fn stage(&self, page: PageRef) -> Stage {
        self.get(page).map_or(Stage::Primary, OpenPage::stage)
    }

    pub(super) fn suspect(&self, page: PageRef) -> Option<Suspect> {
        self.get(page)?.suspect
    }

    pub(super) fn prior(&self, page: PageRef) -> Option<Prior> {
        self.get(page)?.prior(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page of a run may have an entry, where all are to be read again; with its key and its place in the ledger it
    /// must stay below 200 bytes.
    #[test]
    fn an_entry_takes_little_room() {
        assert!(size_of::<OpenPage>() <= 128, "{} bytes", size_of::<OpenPage>());
    }
}
