//! Which of a page's records is final.

use std::{cmp::Reverse, collections::BTreeSet};

use super::recover::Recorded;
use crate::model::{Document, DocumentId, DocumentState, LeaseId, PageRecord, PageRef, RecordPlace, Verdict};

/// What is asked of a record to know whether it is final.
pub(super) trait Candidate {
    fn page(&self) -> PageRef;
    fn verdict(&self) -> Verdict;
    fn lease(&self) -> LeaseId;
    fn place(&self) -> RecordPlace;

    /// This record is final rather than `other`, of the same page.
    fn supersede(&mut self, other: &Self);
}

impl Candidate for Recorded {
    fn page(&self) -> PageRef {
        self.page
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn lease(&self) -> LeaseId {
        self.lease
    }

    fn place(&self) -> RecordPlace {
        self.place
    }

    fn supersede(&mut self, other: &Self) {
        if other.latest.lease > self.latest.lease {
            self.latest = other.latest;
        }
    }
}

/// The final record of each page among those of all shares, ordered by page: see [`PageRecord::precedence`]. A failed
/// one says on which engine. Records of documents that `documents`, the plan, says were replaced are never final.
pub fn finals(records: impl IntoIterator<Item = Recorded>, documents: &[Document]) -> Vec<Recorded> {
    reduce(records.into_iter().collect(), &replaced(documents))
}

/// The documents whose records are never final.
pub(super) fn replaced(documents: &[Document]) -> BTreeSet<DocumentId> {
    let replaced = documents.iter().filter(|document| document.state == DocumentState::Replaced);
    replaced.map(|document| document.id).collect()
}

/// The final record of each page, ordered by page, of documents that are not in `replaced`.
pub(super) fn reduce<T: Candidate>(mut records: Vec<T>, replaced: &BTreeSet<DocumentId>) -> Vec<T> {
    records.retain(|record| !replaced.contains(&record.page().document));
    let precedence = |record: &T| Reverse(PageRecord::precedence(record.verdict(), record.lease()));
    records.sort_unstable_by_key(|record| (record.page(), precedence(record), record.place()));
    records.dedup_by(|other, kept| {
        let same = other.page() == kept.page();
        if same {
            kept.supersede(other);
        }
        same
    });
    records
}
