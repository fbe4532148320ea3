//! Pages assigned to a rank, and how the rank settles them.

use serde::{Deserialize, Serialize};

use super::{
    Answer, Attempt, Engine, EngineSet, FailureClass, LeaseId, PageIndex, PageRef, RecordPlace, Stage, Verdict,
};

/// Consecutive pages of one document, for one engine, under one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Number of the assignment.
    pub lease: LeaseId,
    /// The engine to ask.
    pub engine: Engine,
    /// The first page.
    pub first: PageRef,
    /// Number of pages, at least 1.
    pub count: u32,
    /// Only for a page that was in flight when its engine died.
    pub trial: Option<Trial>,
}

/// How a page that was in flight when its engine died is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trial {
    /// Among any other pages: most deaths are the fault of no page.
    AmongOthers,
    /// With other such pages, and no page besides them is in flight on the rank: one of them is likely to kill the
    /// engine.
    Together,
    /// Alone in flight on the rank, after so many engine deaths while it was.
    Alone {
        /// Number of engine deaths.
        deaths: u8,
    },
}

impl Trial {
    /// Whether no page is in flight on the rank that is not tried again.
    pub fn is_isolated(self) -> bool {
        self != Trial::AmongOthers
    }

    /// For a page that is alone in flight, the number of earlier engine deaths while it was.
    pub fn deaths_alone(self) -> Option<u8> {
        match self {
            Trial::Alone { deaths } => Some(deaths),
            Trial::AmongOthers | Trial::Together => None,
        }
    }
}

impl Unit {
    /// The pages of the unit, in order.
    pub fn pages(self) -> impl Iterator<Item = PageRef> {
        let PageRef { document, page } = self.first;
        (page.0..page.0 + self.count).map(move |index| PageRef { document, page: PageIndex(index) })
    }
}

/// A page's earlier attempts. They are sent with it, so that its next record holds all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The page.
    pub page: PageRef,
    /// The stage that it is on.
    pub stage: Stage,
    /// The engines that it may be given to, on this stage or a later one.
    pub remaining: EngineSet,
    /// Place of its record of an earlier start. The attempts of that record come first.
    pub sealed: Option<RecordPlace>,
    /// The page is to be read again from the start: the attempts of that record do not count.
    pub again: bool,
    /// Attempts of this start, without answers: on earlier stages, or on a rank that returned the page.
    pub attempts: Vec<Attempt>,
    /// The best text of this stage so far, from a rank that returned the page.
    pub text: Option<Answer>,
    /// The page has failed with this class because no rank returned it. Its record is written without work on the page.
    pub give_up: Option<FailureClass>,
}

impl Prior {
    /// A page without a history.
    pub fn none(page: PageRef) -> Prior {
        Prior {
            page,
            stage: Stage::FIRST,
            remaining: EngineSet::ANY,
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
    /// The lease under which the rank worked on it.
    pub lease: LeaseId,
    /// Its verdict on this engine.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` if no engine saw the page.
    pub engine: Option<Engine>,
    /// For a failed page, its attempts without answers, so that the final record holds all of them. Empty otherwise.
    pub attempts: Vec<Attempt>,
    /// For a failed page, the engines that it may still be given to.
    pub remaining: EngineSet,
}
