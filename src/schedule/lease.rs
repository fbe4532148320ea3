//! Open assignments.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Engine, LeaseId, PageRef, RankId, Trial, Unit};

use super::protocol::Tick;

/// One assignment: its rank, and which of its pages are still open.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) rank: RankId,
    pub(super) engine: Engine,
    pub(super) trial: Option<Trial>,
    pub(super) assigned: Assigned,
    pub(super) open: BTreeSet<PageRef>,
}

/// The assignment of a page that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) engine: Engine,
    pub(super) trial: Option<Trial>,
    pub(super) assigned: Assigned,
}

/// When a page was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Assigned {
    pub(super) at: Tick,
    /// Pages that the rank held then, including the new ones.
    pub(super) load: u32,
}

/// All assignments with open pages, by number.
#[derive(Debug)]
pub(super) struct Leases {
    next: LeaseId,
    open: BTreeMap<LeaseId, Lease>,
    /// Open pages by engine.
    pages: BTreeMap<Engine, u64>,
}

impl Leases {
    /// `after` is the highest lease number found in the run directory.
    pub(super) fn new(after: LeaseId) -> Self {
        Leases { next: LeaseId(after.0 + 1), open: BTreeMap::new(), pages: BTreeMap::new() }
    }

    pub(super) fn issue(
        &mut self,
        rank: RankId,
        engine: Engine,
        first: PageRef,
        count: u32,
        trial: Option<Trial>,
        assigned: Assigned,
    ) -> Unit {
        let unit = Unit { lease: self.next, engine, first, count, trial };
        self.next = LeaseId(self.next.0 + 1);
        let open = unit.pages().collect();
        *self.pages.entry(engine).or_default() += u64::from(count);
        self.open.insert(unit.lease, Lease { rank, engine, trial, assigned, open });
        unit
    }

    /// Closes one page of a lease; `None` if the answer belongs to no open lease of this rank.
    pub(super) fn close(&mut self, lease: LeaseId, rank: RankId, page: PageRef) -> Option<Closed> {
        let entry = self.open.get_mut(&lease).filter(|entry| entry.rank == rank)?;
        if !entry.open.remove(&page) {
            return None;
        }
        let closed = Closed { engine: entry.engine, trial: entry.trial, assigned: entry.assigned };
        if entry.open.is_empty() {
            self.open.remove(&lease);
        }
        self.count_off(closed.engine, 1);
        Some(closed)
    }

    /// Takes back all pages of a rank, in lease order.
    pub(super) fn revoke(&mut self, rank: RankId) -> Vec<(LeaseId, Lease)> {
        let lost: Vec<_> = self.open.iter().filter(|(_, lease)| lease.rank == rank).map(|(id, _)| *id).collect();
        let leases: Vec<_> = lost.into_iter().filter_map(|id| Some((id, self.open.remove(&id)?))).collect();
        leases.iter().for_each(|(_, lease)| self.count_off(lease.engine, lease.open.len() as u64));
        leases
    }

    /// The oldest open assignment: lease numbers grow with time.
    pub(super) fn oldest(&self) -> Option<(LeaseId, &Lease)> {
        self.open.first_key_value().map(|(id, lease)| (*id, lease))
    }

    /// The rank of an open assignment.
    pub(super) fn holder(&self, lease: LeaseId) -> Option<RankId> {
        self.open.get(&lease).map(|lease| lease.rank)
    }

    /// All open assignments, the last one first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.open.iter().rev().map(|(id, lease)| (*id, lease))
    }

    /// Pages in flight for the engine.
    pub(super) fn pages(&self, engine: Engine) -> u64 {
        self.pages.get(&engine).copied().unwrap_or_default()
    }

    fn count_off(&mut self, engine: Engine, pages: u64) {
        if let Some(open) = self.pages.get_mut(&engine) {
            *open = open.saturating_sub(pages);
        }
    }

    /// The highest number of an assignment so far.
    pub(super) fn last(&self) -> LeaseId {
        LeaseId(self.next.0 - 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.open.iter().map(|(id, lease)| (*id, lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DocumentId, PageIndex};

    #[test]
    fn an_answer_counts_once_and_only_from_the_holder() {
        let page = PageRef { document: DocumentId(0), page: PageIndex(4) };
        let mut leases = Leases::new(LeaseId(9));
        let unit = leases.issue(RankId(1), Engine::FIRST, page, 1, None, Assigned::default());
        assert_eq!(unit.lease, LeaseId(10));
        assert_eq!(leases.close(unit.lease, RankId(2), page), None);
        assert!(leases.close(unit.lease, RankId(1), page).is_some_and(|closed| closed.engine == Engine::FIRST));
        assert_eq!(leases.close(unit.lease, RankId(1), page), None);
        assert_eq!(leases.pages(Engine::FIRST), 0);
    }
}
