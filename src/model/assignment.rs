//! Pages on their way to a rank, and what comes back of them.

use serde::{Deserialize, Serialize};

use super::{
    Answer, Attempt, Engine, EngineSet, FailureClass, LeaseId, PageIndex, PageRef, RecordPlace, Stage, Verdict,
};

/// Consecutive pages of one document, for one engine, under one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The assignment.
    pub lease: LeaseId,
    /// The engine to ask.
    pub engine: Engine,
    /// The first page.
    pub first: PageRef,
    /// Number of pages, at least 1.
    pub count: u32,
    /// For a page suspected of killing its engine: the deaths at which it was alone in flight. Nothing else may be in
    /// flight on the rank meanwhile.
    pub probe: Option<u8>,
}

impl Unit {
    /// The pages of the unit, in order.
    pub fn pages(self) -> impl Iterator<Item = PageRef> {
        let PageRef { document, page } = self.first;
        (page.0..page.0 + self.count).map(move |index| PageRef { document, page: PageIndex(index) })
    }
}

/// A page's earlier attempts, sent along with it, so that its next record holds them all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The page.
    pub page: PageRef,
    /// How far it is on its escalation.
    pub stage: Stage,
    /// The engines that it may be given to, on this stage or later.
    pub remaining: EngineSet,
    /// A record of an earlier start of the run, whose attempts come first.
    pub sealed: Option<RecordPlace>,
    /// The page is to be read again from the beginning: the attempts of that record count for nothing.
    pub again: bool,
    /// Attempts of this start without answers: on earlier visits, or on a rank that gave the page back.
    pub attempts: Vec<Attempt>,
    /// The best text that this stage gave so far, on a rank that gave the page back.
    pub text: Option<Answer>,
    /// The page has failed with this class, since no rank gave it back: its record is to be written without work on it.
    pub give_up: Option<FailureClass>,
}

impl Prior {
    /// A page that nothing has happened to yet.
    pub fn none(page: PageRef) -> Prior {
        Prior {
            page,
            stage: Stage::Primary,
            remaining: EngineSet::all(),
            sealed: None,
            again: false,
            attempts: Vec::new(),
            text: None,
            give_up: None,
        }
    }
}

/// How a rank settled a page on one engine. Sent only after the record is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    /// The page.
    pub page: PageRef,
    /// The assignment under which it was worked on.
    pub lease: LeaseId,
    /// How it ended on this engine.
    pub verdict: Verdict,
    /// For a failed page, its attempts without their answers: they travel along, so that the final record holds them
    /// all. Empty otherwise.
    pub attempts: Vec<Attempt>,
    /// For a failed page, the engines that it may yet be given to.
    pub remaining: EngineSet,
}
