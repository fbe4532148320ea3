//! How far the failures of a rank's server are believed.

use std::collections::BTreeSet;

use crate::model::PageRef;

use super::open_page::OpenPage;

/// Number of pages that a server reads for each failure that is believed at once. Pages that truly fail are fewer.
const READ_PER_FAILURE: u32 = 8;

/// Number of failures in a row that are believed at once.
const BELIEVED_IN_A_ROW: u32 = 2;

/// Number of pages, not believed to fail, that a server may leave to others before it gets no more.
const OPEN_DOUBTS: usize = 4;

/// Number of pages that a server failed in a row and others read, after which it is suspended.
const SUSPENDED_AT: usize = 4;

/// The same for a server that was restarted, after which it is given up.
const GIVEN_UP_AT: usize = 2;

/// A page as it was before a failure that was believed.
#[derive(Debug, Clone)]
pub(super) struct PageBefore {
    pub(super) page: PageRef,
    pub(super) open: OpenPage,
}

/// What a server may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Standing {
    /// It reads pages.
    #[default]
    Trusted,
    /// It failed pages that others read. It gets no pages and is restarted once it holds none.
    Suspended,
    /// Its restart was ordered.
    Restarting,
    /// It was restarted and gets single pages until it reads one.
    OnTrial,
    /// It failed pages that others read after its restart, too.
    GivenUp,
}

/// The failures of one server.
#[derive(Debug)]
pub(super) struct ServerTrust {
    standing: Standing,
    /// Number of pages that it has read and that no believed failure has used up.
    unused_reads: u32,
    /// Pages that it failed in a row.
    failures: u32,
    /// Pages of that row whose failure was believed.
    believed: Vec<PageBefore>,
    /// Pages of that row that wait for another server.
    doubted: BTreeSet<PageRef>,
    /// Number of pages of that row that another server read.
    contradicted: usize,
}

impl Default for ServerTrust {
    fn default() -> Self {
        ServerTrust {
            standing: Standing::default(),
            unused_reads: ServerTrust::MOST_UNUSED,
            failures: 0,
            believed: Vec::new(),
            doubted: BTreeSet::new(),
            contradicted: 0,
        }
    }
}

impl ServerTrust {
    const MOST_UNUSED: u32 = READ_PER_FAILURE * BELIEVED_IN_A_ROW;

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Number of pages that it failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it may be given pages, of those that no server has failed.
    pub(super) fn takes_pages(&self) -> bool {
        match self.standing {
            Standing::Trusted => self.doubted.len() + self.contradicted < OPEN_DOUBTS,
            Standing::OnTrial => self.doubted.is_empty(),
            Standing::Suspended | Standing::Restarting | Standing::GivenUp => false,
        }
    }

    /// It has read a page, which ends its row of failures. Gives whether nothing is left to remember of it.
    pub(super) fn read(&mut self) -> bool {
        let unused_reads = (self.unused_reads + 1).min(ServerTrust::MOST_UNUSED);
        *self = ServerTrust { unused_reads, ..ServerTrust::default() };
        unused_reads == ServerTrust::MOST_UNUSED
    }

    /// It has failed a page. Gives whether the failure is believed at once.
    pub(super) fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        let left = self.unused_reads.checked_sub(READ_PER_FAILURE).filter(|_| self.standing == Standing::Trusted);
        self.unused_reads = left.unwrap_or(self.unused_reads);
        left.is_some()
    }

    /// The last failure is believed.
    pub(super) fn believe(&mut self, before: PageBefore) {
        self.believed.push(before);
    }

    /// Another server is to try the page.
    pub(super) fn doubt(&mut self, page: PageRef) {
        self.doubted.insert(page);
    }

    pub(super) fn doubts(&self, page: PageRef) -> bool {
        self.doubted.contains(&page)
    }

    pub(super) fn all_doubts(&self) -> impl Iterator<Item = PageRef> {
        self.doubted.iter().copied()
    }

    /// No other server reads the page either: the page is at fault.
    pub(super) fn confirmed(&mut self, page: PageRef) {
        if self.doubted.remove(&page) {
            self.failures = self.failures.saturating_sub(1);
        }
    }

    /// Another server has read the page. Gives the failures that are no longer believed, if the server is suspended for
    /// it or given up.
    pub(super) fn contradicted(&mut self, page: PageRef) -> Vec<PageBefore> {
        self.contradicted += usize::from(self.doubted.remove(&page));
        self.standing = match self.standing {
            Standing::Trusted if self.contradicted >= SUSPENDED_AT => Standing::Suspended,
            Standing::OnTrial if self.contradicted >= GIVEN_UP_AT => Standing::GivenUp,
            _ => return Vec::new(),
        };
        std::mem::take(&mut self.believed)
    }

    /// Its restart was ordered.
    pub(super) fn restart(&mut self) {
        *self = ServerTrust { standing: Standing::Restarting, ..ServerTrust::default() };
    }

    /// It is ready.
    pub(super) fn ready(&mut self) {
        if self.standing == Standing::Restarting {
            self.standing = Standing::OnTrial;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DocumentId, PageIndex};

    fn page(index: u32) -> PageRef {
        PageRef { document: DocumentId(0), page: PageIndex(index) }
    }

    /// Fails pages from `first` on until the server gets no more; the next page.
    fn fails(trust: &mut ServerTrust, first: u32) -> u32 {
        let mut next = first;
        while trust.takes_pages() {
            if trust.failed() {
                trust.believe(PageBefore { page: page(next), open: OpenPage::default() });
            } else {
                trust.doubt(page(next));
            }
            next += 1;
        }
        next
    }

    #[test]
    fn a_server_that_others_contradict_is_suspended_tried_and_given_up() {
        let mut trust = ServerTrust::default();
        assert_eq!(fails(&mut trust, 0), 6, "two are believed, four wait for others");
        assert!((2..5).all(|index| trust.contradicted(page(index)).is_empty() && !trust.takes_pages()));
        let back: Vec<_> = trust.contradicted(page(5)).iter().map(|before| before.page).collect();
        assert_eq!((back, trust.standing()), (vec![page(0), page(1)], Standing::Suspended));
        trust.restart();
        trust.ready();
        for (first, standing) in [(6, Standing::OnTrial), (7, Standing::GivenUp)] {
            assert_eq!(fails(&mut trust, first), first + 1, "one page at a time");
            trust.contradicted(page(first));
            assert_eq!(trust.standing(), standing);
        }
    }

    #[test]
    fn pages_that_others_fail_too_say_nothing() {
        let mut trust = ServerTrust::default();
        let mut next = 0;
        for _ in 0..100 {
            let first = next;
            next = fails(&mut trust, next);
            (first..next).for_each(|index| trust.confirmed(page(index)));
        }
        assert_eq!((trust.standing(), trust.takes_pages()), (Standing::Trusted, true));
    }

    #[test]
    fn a_server_that_fails_many_pages_between_others_is_not_believed() {
        let believed = |reads: u32| {
            let mut trust = ServerTrust::default();
            let rounds = (0..100).map(|_| {
                for _ in 0..reads {
                    trust.read();
                }
                trust.failed()
            });
            rounds.filter(|believed| *believed).count()
        };
        assert_eq!((believed(20), believed(8)), (100, 100));
        assert!(believed(1) < 20, "{}", believed(1));
    }
}
