//! Pages that wait for an engine, kept as ranges: a million pages take little memory.

use std::collections::{BTreeSet, VecDeque};

use crate::model::{DocumentId, PageIndex, PageRef};

/// Consecutive pages of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageRange {
    pub(super) document: DocumentId,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl PageRange {
    pub(super) fn start(self) -> PageRef {
        PageRef { document: self.document, page: PageIndex(self.first) }
    }
}

/// First in, first out. Returned pages go to the front.
#[derive(Debug, Default)]
pub(super) struct PageQueue {
    ranges: VecDeque<PageRange>,
    len: usize,
}

impl PageQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push_back(&mut self, range: PageRange) {
        if range.count > 0 {
            self.len += range.count as usize;
            self.ranges.push_back(range);
        }
    }

    /// Puts a page at the front, joined to the range that it directly precedes or follows.
    pub(super) fn push_front(&mut self, page: PageRef) {
        self.len += 1;
        if let Some(front) = self.ranges.front_mut()
            && front.document == page.document
        {
            if page.page.0 + 1 == front.first {
                front.first -= 1;
                front.count += 1;
                return;
            }
            if page.page.0 == front.first + front.count {
                front.count += 1;
                return;
            }
        }
        self.ranges.push_front(PageRange { document: page.document, first: page.page.0, count: 1 });
    }

    /// Takes up to `most` pages off the front, all of one document.
    pub(super) fn take(&mut self, most: u32) -> Option<PageRange> {
        let front = self.ranges.front_mut()?;
        let taken = PageRange { count: front.count.min(most), ..*front };
        front.first += taken.count;
        front.count -= taken.count;
        if front.count == 0 {
            self.ranges.pop_front();
        }
        self.len -= taken.count as usize;
        Some(taken)
    }

    /// Takes the last page.
    pub(super) fn take_last(&mut self) -> Option<PageRange> {
        self.take_last_of(self.ranges.len().checked_sub(1)?)
    }

    /// Takes the last page of the range at this index.
    pub(super) fn take_last_of(&mut self, index: usize) -> Option<PageRange> {
        let range = self.ranges.get_mut(index)?;
        range.count -= 1;
        let taken = PageRange { first: range.first + range.count, count: 1, ..*range };
        if range.count == 0 {
            self.ranges.remove(index);
        }
        self.len -= 1;
        Some(taken)
    }

    /// The index of the last range that is of none of these documents.
    pub(super) fn last_of_others(&self, documents: &BTreeSet<DocumentId>) -> Option<usize> {
        self.ranges.iter().rposition(|range| !documents.contains(&range.document))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = PageRef> {
        self.ranges.iter().copied().flat_map(PageRange::pages)
    }
}

impl PageRange {
    fn pages(self) -> impl Iterator<Item = PageRef> {
        (self.first..self.first + self.count)
            .map(move |index| PageRef { document: self.document, page: PageIndex(index) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_given_back_join_their_neighbours() {
        let mut queue = PageQueue::default();
        queue.push_back(PageRange { document: DocumentId(0), first: 0, count: 8 });
        let taken = queue.take(3).unwrap();
        assert_eq!((taken.first, taken.count, queue.len()), (0, 3, 5));
        for index in [2, 1] {
            queue.push_front(PageRef { document: DocumentId(0), page: PageIndex(index) });
        }
        let again = queue.take(100).unwrap();
        assert_eq!((again.first, again.count, queue.len()), (1, 7, 0));
        assert!(queue.take(1).is_none());
        queue.push_back(PageRange { document: DocumentId(0), first: 4, count: 2 });
        let last = [queue.take_last().unwrap(), queue.take_last().unwrap()].map(|range| (range.first, range.count));
        assert_eq!((last, queue.len()), ([(5, 1), (4, 1)], 0));
        assert!(queue.take_last().is_none());
    }
}
