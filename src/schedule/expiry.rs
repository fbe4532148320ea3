//! Lease expiry: a page that does not come back is given to another rank, and in the end fails.
//!
//! * A lease lasts far longer than any page took so far. It lasts twice as long if no page at all was settled since it
//!   was issued: then everything may be slow.
//! * Only the page expires; the rest of its unit goes on. Rank 0 orders its rank to drop the page.
//! * A page whose lease has expired is dealt by itself, after all pages of the queue, to another rank if there is one.
//! * After [`MOST_EXPIRIES`] the page has failed. A rank writes that record, without work on the page.
//! * A rank that lets many leases expire and returns no page meanwhile gets single pages, then none: see
//!   [`super::rank_state::RankState::capacity`].
//! * A late answer is stale. But a late record that read the page is its final one, whatever a record of a later lease
//!   says ([`crate::model::PageRecord::precedence`]): so the ledger takes that verdict.

use std::time::Duration;

use crate::model::{Engine, LeaseId, PageRef, RankId, StopReason, Trial, Verdict};

use super::{
    ending::Phase,
    lease::{Assigned, Lease},
    ledger::PageState,
    open_page::{ExpiredLease, GivenVerdict, MOST_EXPIRIES, OpenPage},
    protocol::{Action, Tick},
    scheduler::Scheduler,
};

/// A lease lasts this many times as long as the longest page so far.
const LONGEST_FACTOR: u32 = 8;

/// How long the run waits for recalled pages without a deadline. A rank that returns pages at all does so within
/// moments.
const RECALL_LIMIT: Duration = Duration::from_secs(60);

impl Scheduler {
    /// Duration of a lease.
    fn lease_limit(&self) -> Duration {
        self.policy.lease_floor.max(self.page_times.longest().saturating_mul(LONGEST_FACTOR))
    }

    /// When a lease expires.
    pub(super) fn expires_at(&self, lease: &Lease) -> Tick {
        let issued = lease.assigned.at;
        let limit = self.lease_limit();
        let settles = self.last_settled.is_some_and(|settled| settled > issued);
        let expires = issued.0.saturating_add(if settles { limit } else { limit.saturating_mul(2) });
        match self.phase {
            Phase::Recalled { since, .. } if self.policy.deadline.is_none() => {
                Tick(expires.min(since.0 + RECALL_LIMIT))
            }
            _ => Tick(expires),
        }
    }

    /// When the next lease expires. The oldest expires first: whatever extends a lease extends no older one.
    pub(super) fn next_expiry(&self) -> Option<Tick> {
        self.leases.oldest().map(|(_, lease)| self.expires_at(lease))
    }

    /// Expires all leases that are due.
    pub(super) fn expire_leases(&mut self, now: Tick, out: &mut Vec<Action>) {
        while let Some((id, lease)) = self.leases.oldest().filter(|(_, lease)| self.expires_at(lease) <= now) {
            let rank = lease.rank;
            for page in lease.open.clone() {
                self.expire(rank, page, id, now, out);
            }
        }
    }

    /// Expires every lease of a rank.
    pub(super) fn expire_all(&mut self, rank: RankId, now: Tick, out: &mut Vec<Action>) {
        let of_rank = self.leases.iter().filter(|(_, lease)| lease.rank == rank);
        let pages: Vec<_> = of_rank.flat_map(|(id, lease)| lease.open.iter().map(move |page| (id, *page))).collect();
        for (lease, page) in pages {
            self.expire(rank, page, lease, now, out);
        }
    }

    fn expire(&mut self, rank: RankId, page: PageRef, lease: LeaseId, now: Tick, out: &mut Vec<Action>) {
        let Some(closed) = self.leases.close(lease, rank, page) else { return };
        let engine = closed.engine;
        self.ranks.release(rank);
        self.ranks.unanswered(rank);
        self.expired = self.expired.saturating_add(1);
        out.push(Action::Expire { rank, page, lease });
        if self.other_lease(page, lease).is_some() {
            return;
        }
        let open = self.open.entry(page);
        let was_given_up = open.given_up;
        open.expired.push(ExpiredLease { lease, rank });
        open.given_up |= open.expired.len() >= MOST_EXPIRIES;
        if was_given_up {
            // Even the record of its failure could not be written.
            self.stop(StopReason::Store, now);
        }
        self.wait_again(page, engine);
    }

    /// A rank has settled a page under a lease that is no longer open. If that lease expired, the record may still be
    /// the page's final one.
    pub(super) fn settled_late(&mut self, rank: RankId, page: PageRef, lease: LeaseId, given: GivenVerdict) {
        self.counts.stale += 1;
        let is_final = !matches!(given.verdict, Verdict::Failed(_));
        // The journal of a lost rank is not known before the next start.
        if !is_final || self.ranks.is_gone(rank) || !self.ledger.contains(page) {
            return;
        }
        let expired = self.open.get(page).is_some_and(|open| open.expired.contains(&ExpiredLease { lease, rank }));
        match self.ledger.stage(page) {
            PageState::Waiting(engine) if expired => {
                self.apart.entry(engine).or_default().remove(&page);
                self.settle_page(page, given);
            }
            PageState::Leased(_) if expired => self.open.entry(page).late = Some(given),
            PageState::Settled(Verdict::Failed(class)) => self.correct(page, class, given),
            _ => {}
        }
    }

    /// Deals pages that have failed, so that a rank writes their records. Any rank can: no engine is asked.
    pub(super) fn deal_given_up(&mut self, now: Tick, out: &mut Vec<Action>) {
        for engine in self.policy.engines.iter() {
            let given_up = |page: &PageRef| self.open.get(*page).is_some_and(|open| open.given_up);
            let pages: Vec<_> = self.waiting_apart(engine).filter(given_up).collect();
            for page in pages {
                let Some(rank) = self.ranks.with_free_credit() else { return };
                self.deal_apart(rank, engine, page, None, now, out);
            }
        }
    }

    /// Deals pages whose leases expired, once no other page waits for the engine.
    pub(super) fn deal_expired(&mut self, set_aside: &[RankId], now: Tick, out: &mut Vec<Action>) {
        for engine in self.policy.engines.iter() {
            if self.waiting(engine) > 0 || self.waiting_apart(engine).next().is_none() {
                continue;
            }
            let is_plain = |page: &PageRef| self.open.get(*page).is_some_and(OpenPage::waits_for_expiry);
            let pages: Vec<_> = self.waiting_apart(engine).filter(is_plain).collect();
            for page in pages {
                let last = self.open.get(page).and_then(|open| open.expired.last()).map(|expired| expired.rank);
                let mut underfilled = self.ranks.underfilled(engine);
                underfilled.retain(|rank| !set_aside.contains(rank));
                let other = underfilled.iter().copied().find(|rank| Some(*rank) != last);
                let only = || underfilled.first().copied().filter(|_| !self.ranks.another_serves(engine, last));
                if let Some(rank) = other.or_else(only) {
                    self.deal_apart(rank, engine, page, None, now, out);
                }
            }
        }
    }

    /// Deals a page that waited apart.
    pub(super) fn deal_apart(
        &mut self,
        rank: RankId,
        engine: Engine,
        page: PageRef,
        trial: Option<Trial>,
        now: Tick,
        out: &mut Vec<Action>,
    ) {
        let held = self.ranks.get(rank).map_or(0, |state| state.held);
        let unit = self.leases.issue(rank, engine, page, 1, trial, Assigned { at: now, load: held + 1 });
        self.apart.entry(engine).or_default().remove(&page);
        self.assign(rank, unit, out);
    }

    /// Gives pages up or stops the run, when no page is in flight and all ranks of an engine with waiting pages get none
    /// because they returned none. The pages whose leases expired have failed. If only pages are left that were never
    /// dealt, the run ends.
    pub(super) fn give_up_or_stop(&mut self, now: Tick, out: &mut Vec<Action>) {
        if !self.leases.is_empty() || self.phase != Phase::Dealing {
            return;
        }
        for engine in self.policy.engines.iter() {
            if self.all_waiting(engine) == 0 || !self.ranks.all_exhausted(engine) {
                continue;
            }
            let pages: Vec<_> = self.waiting_apart(engine).collect();
            for page in pages {
                let open = self.open.entry(page);
                open.given_up |= !open.expired.is_empty();
            }
            self.deal_given_up(now, out);
            if self.leases.is_empty() {
                self.stop(StopReason::NoEngine(engine), now);
            }
        }
    }
}
