//! Identifiers. Each is a newtype so that a page number can never be passed where a rank is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An MPI rank of this run, 0-based. Rank 0 is coordinator and worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RankId(pub u32);

impl RankId {
    /// The rank that deals the work.
    pub const COORDINATOR: RankId = RankId(0);
}

impl fmt::Display for RankId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}", self.0)
    }
}

/// A document of the frozen plan, numbered by its position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentId(pub u32);

impl DocumentId {
    /// Position in the plan's list of documents.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A page within its document, 0-based. People are shown [`PageIndex::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageIndex(pub u32);

impl PageIndex {
    /// The 1-based page number that people, exports and error messages use.
    pub fn number(self) -> u32 {
        self.0 + 1
    }

    /// The index of a 1-based page number; `None` for 0.
    pub fn from_number(number: u32) -> Option<Self> {
        number.checked_sub(1).map(PageIndex)
    }
}

/// One page of one document: the unit of the ledger.
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

/// One assignment of pages to a rank. Strictly increasing over the life of a run directory, so that an
/// answer to an older assignment is recognised and a later record supersedes an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}", self.0)
    }
}
