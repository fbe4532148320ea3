//! The ledger: one state per page, 16 bytes each.

use crate::model::{DocumentId, Engine, LeaseId, PageIndex, PageRef, Verdict};

/// State of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// It waits for an engine.
    Waiting(Engine),
    /// It is assigned to a rank.
    Leased(LeaseId),
    /// It has its final verdict.
    Settled(Verdict),
}

/// The states of all pages of the plan.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Position of each document's first page in `stages`; one more entry than documents.
    offsets: Vec<u32>,
    stages: Vec<PageState>,
    unsettled: usize,
}

impl Ledger {
    /// All pages wait for stage 1. `page_counts` is in document order; a refused document counts 0.
    pub(super) fn new(page_counts: &[u32]) -> Self {
        let mut offsets = Vec::with_capacity(page_counts.len() + 1);
        let mut total = 0u32;
        offsets.push(0);
        for count in page_counts {
            total += count;
            offsets.push(total);
        }
        let stages = vec![PageState::Waiting(Engine::FIRST); total as usize];
        Ledger { offsets, unsettled: stages.len(), stages }
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = DocumentId> {
        (0..self.offsets.len() as u32 - 1).map(DocumentId)
    }

    pub(super) fn page_count(&self, document: DocumentId) -> u32 {
        self.offsets[document.index() + 1] - self.offsets[document.index()]
    }

    pub(super) fn contains(&self, page: PageRef) -> bool {
        page.document.index() + 1 < self.offsets.len() && page.page.0 < self.page_count(page.document)
    }

    pub(super) fn stage(&self, page: PageRef) -> PageState {
        self.stages[self.position(page)]
    }

    pub(super) fn set(&mut self, page: PageRef, stage: PageState) {
        let position = self.position(page);
        let was_settled = matches!(self.stages[position], PageState::Settled(_));
        let is_settled = matches!(stage, PageState::Settled(_));
        self.stages[position] = stage;
        self.unsettled = self.unsettled + usize::from(was_settled) - usize::from(is_settled);
    }

    pub(super) fn len(&self) -> usize {
        self.stages.len()
    }

    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PageRef, PageState)> {
        self.documents().flat_map(move |document| {
            (0..self.page_count(document)).map(move |index| {
                let page = PageRef { document, page: PageIndex(index) };
                (page, self.stage(page))
            })
        })
    }

    fn position(&self, page: PageRef) -> usize {
        debug_assert!(self.contains(page), "{page} is not in the plan");
        self.offsets[page.document.index()] as usize + page.page.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_takes_sixteen_bytes() {
        assert_eq!(size_of::<PageState>(), 16);
    }

    #[test]
    fn refused_documents_have_no_pages() {
        let ledger = Ledger::new(&[2, 0, 3]);
        assert_eq!(ledger.len(), 5);
        assert!(!ledger.contains(PageRef { document: DocumentId(1), page: PageIndex(0) }));
        assert!(ledger.contains(PageRef { document: DocumentId(2), page: PageIndex(2) }));
        assert!(!ledger.contains(PageRef { document: DocumentId(3), page: PageIndex(0) }));
    }
}
