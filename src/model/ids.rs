//! Identifiers. Each is its own type, so that a page number cannot be passed where a rank is expected.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An MPI rank of this run, from 0. Rank 0 is coordinator and worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RankId(pub u32);

impl RankId {
    /// The rank that runs the scheduler.
    pub const COORDINATOR: RankId = RankId(0);
}

impl fmt::Display for RankId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}", self.0)
    }
}

/// A document of the plan, numbered by its position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentId(pub u32);

impl DocumentId {
    /// Position in the plan's list of documents.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A page within its document, from 0. Users see [`PageIndex::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageIndex(pub u32);

impl PageIndex {
    /// The page number from 1, used in exports and messages.
    pub fn number(self) -> u32 {
        self.0 + 1
    }

    /// The index of a page number from 1; `None` for 0.
    pub fn from_number(number: u32) -> Option<Self> {
        number.checked_sub(1).map(PageIndex)
    }
}

/// One page of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageRef {
    /// The document of the plan.
    pub document: DocumentId,
    /// The page within it.
    pub page: PageIndex,
}

impl fmt::Display for PageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {} page {}", self.document.0, self.page.number())
    }
}

/// Number of an assignment of pages to a rank. It increases over the whole life of a run directory, so that an answer
/// to an older assignment is recognised and a later record supersedes an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}
