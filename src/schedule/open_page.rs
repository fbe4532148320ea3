//! What the scheduler knows of a page besides its state in the ledger. Only pages with a history have an entry.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{
        Answer, Attempt, Engine, EngineSet, FailureClass, LeaseId, PageRef, Prior, RankId, RecordPlace, Settlement,
        Stage, Verdict,
    },
    retry::escalation::Escalation,
};

/// The failure class of a page that is given up.
pub(super) const GIVEN_UP: FailureClass = FailureClass::Stuck;

/// Number of leases of one page that may expire before the page has failed.
pub(super) const MOST_EXPIRIES: usize = 3;

/// A page that was in flight when its engine died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspect {
    /// Number of engine deaths while the page was tried again, in ever smaller trials.
    pub(super) deaths_in_trials: u8,
    /// Number of engine deaths while the page was alone in flight.
    pub(super) deaths_alone: u8,
    /// The rank of the last death. The page is tried there, so that only one rank loses its server because of it.
    pub(super) rank: RankId,
}

/// A verdict on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenVerdict {
    pub(super) verdict: Verdict,
    /// The engine that gave it; `None` if no engine saw the page.
    pub(super) engine: Option<Engine>,
}

/// A lease under which a page did not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExpiredLease {
    pub(super) lease: LeaseId,
    pub(super) rank: RankId,
}

/// A failure that does not count yet: its server may be at fault, and another server is to try the page.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// The ranks that have failed the page on this stage.
    pub(super) failed_by: BTreeSet<RankId>,
    /// The last of these failures.
    pub(super) failure: Settlement,
}

/// An unsettled page with a history.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenPage {
    /// Set if the page was in flight when its engine died.
    pub(super) suspect: Option<Suspect>,
    /// Set beyond the first stage.
    pub(super) escalation: Option<Escalation>,
    /// Number of returns on this stage because of connection faults.
    pub(super) returns: u8,
    /// Its attempts in this start of the run, sent along with it.
    pub(super) history: Vec<Attempt>,
    /// The best text of this stage, which continues on another rank.
    pub(super) text: Option<Box<Answer>>,
    /// Its record of an earlier start. The attempts of that record precede `history`.
    pub(super) sealed: Option<RecordPlace>,
    /// The page is to be read again. It keeps this verdict if the new reading fails.
    pub(super) kept: Option<GivenVerdict>,
    /// Its leases that expired.
    pub(super) expired: Vec<ExpiredLease>,
    /// A verdict given under an expired lease while the page was assigned again.
    pub(super) late: Option<GivenVerdict>,
    /// Set while its failure is in doubt.
    pub(super) doubt: Option<Box<Doubt>>,
    /// Its failure on an earlier stage was taken back after it had gone on. If it fails here too, it continues from this.
    pub(super) taken_back: Option<Box<OpenPage>>,
    /// It has failed because it did not come back. A rank must still write that record.
    pub(super) given_up: bool,
}

impl OpenPage {
    pub(super) fn stage(&self) -> Stage {
        self.escalation.map_or(Stage::FIRST, |escalation| escalation.stage)
    }

    /// Whether it waits in no queue and is dealt by itself.
    pub(super) fn waits_apart(&self) -> bool {
        self.suspect.is_some() || self.doubt.is_some() || !self.expired.is_empty()
    }

    /// Whether the rank's server has failed it, and that is in doubt.
    pub(super) fn was_failed_by(&self, rank: RankId) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.failed_by.contains(&rank))
    }

    /// Whether it waits apart only because leases of it expired.
    pub(super) fn waits_for_expiry(&self) -> bool {
        !self.given_up && self.suspect.is_none() && self.doubt.is_none()
    }

    /// What its next rank must know of earlier work; `None` if there was none.
    fn prior(&self, page: PageRef) -> Option<Prior> {
        let stage = self.stage();
        let is_plain = self.sealed.is_none() && self.history.is_empty() && stage == Stage::FIRST;
        if is_plain && !self.given_up {
            return None;
        }
        Some(Prior {
            stage,
            remaining: self.escalation.map_or(EngineSet::ANY, |escalation| escalation.remaining),
            sealed: self.sealed,
            again: self.kept.is_some(),
            attempts: self.history.clone(),
            text: self.text.as_deref().cloned(),
            give_up: self.given_up.then_some(GIVEN_UP),
            ..Prior::none(page)
        })
    }
}

/// All open pages. A page without an entry waits for its first stage, is on it, or is settled.
#[derive(Debug, Default)]
pub(super) struct OpenPages(BTreeMap<PageRef, OpenPage>);

impl OpenPages {
    pub(super) fn get(&self, page: PageRef) -> Option<&OpenPage> {
        self.0.get(&page)
    }

    /// The entry of the page; a new one if there is none.
    pub(super) fn entry(&mut self, page: PageRef) -> &mut OpenPage {
        self.0.entry(page).or_default()
    }

    /// Replaces the entry of the page.
    pub(super) fn insert(&mut self, page: PageRef, open: OpenPage) {
        self.0.insert(page, open);
    }

    /// Removes the entry of a settled page.
    pub(super) fn remove(&mut self, page: PageRef) -> Option<OpenPage> {
        self.0.remove(&page)
    }

    pub(super) fn stage(&self, page: PageRef) -> Stage {
        self.get(page).map_or(Stage::FIRST, OpenPage::stage)
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

    /// Every page of a run has an entry if all are to be read again. With its key and its state in the ledger, a page
    /// must stay below 200 bytes.
    #[test]
    fn an_entry_takes_little_room() {
        assert!(size_of::<OpenPage>() <= 128, "{} bytes", size_of::<OpenPage>());
    }
}
