//! Races: the last pages are also asked on ranks that have nothing else to do.
//!
//! At the end of a run, ranks run out of pages one after the other, while others still have many in flight. A page in
//! flight on a busy rank is also dealt to an idle one, whose server answers faster, because it has few pages.
//!
//! * A rank races only when no page waits for any engine and it holds none. It takes an eighth of its credits at most:
//!   with few pages in flight a server is fast.
//! * The pages that were dealt last are raced first: they have most of their way before them.
//! * The first reading of a page counts. The other rank is told to drop the page; a record that it has written already
//!   is superseded, as that of an expired lease.
//! * A failure, a return, an expiry or a loss under one of the two leases only ends that lease: the page goes on under
//!   the other.
//! * A page is raced once. A page with a doubt, a suspicion or an expired lease is not raced.

use crate::model::{LeaseId, PageRef, RankId};

use super::{
    lease::Assigned,
    ledger::PageState,
    protocol::{Action, Tick},
    scheduler::Scheduler,
};

/// The part of a rank's credits that it may race.
const SHARE: u32 = 8;

impl Scheduler {
    /// Deals pages that are in flight on other ranks to idle ranks.
    pub(super) fn deal_races(&mut self, now: Tick, out: &mut Vec<Action>) {
        let waits = self.policy.engines.iter().any(|engine| self.all_waiting(engine) > 0);
        if !self.policy.races || waits {
            return;
        }
        for engine in self.policy.engines.iter() {
            let in_flight = self.leases.pages(engine) as usize;
            let idle: Vec<(RankId, u32)> = self
                .ranks
                .underfilled(engine)
                .into_iter()
                .filter_map(|rank| Some((rank, self.ranks.get(rank)?)))
                .filter(|(_, state)| state.held == 0 && state.unanswered == 0)
                .map(|(rank, state)| (rank, (state.credits / SHARE).max(1)))
                .collect();
            // Each race has two pages in flight.
            if idle.is_empty() || in_flight <= 2 * self.races.len() {
                continue;
            }
            let most = idle.iter().map(|(_, most)| *most as usize).sum();
            let is_plain = |page: &PageRef| {
                !self.raced.contains(page)
                    && self.open.get(*page).is_none_or(|open| !open.waits_apart() && !open.given_up)
            };
            let plain = self.leases.newest_first().filter(|(_, lease)| lease.engine == engine && lease.trial.is_none());
            let pages = plain.flat_map(|(_, lease)| lease.open.iter().rev().copied());
            let mut pages = pages.filter(is_plain).take(most).collect::<Vec<_>>().into_iter();
            for (rank, most) in share_out(&idle, pages.len()) {
                for page in pages.by_ref().take(most) {
                    let held = self.ranks.get(rank).map_or(0, |state| state.held);
                    let assigned = Assigned { at: now, load: held + 1 };
                    let unit = self.leases.issue(rank, engine, page, 1, None, assigned);
                    self.races.insert(page, unit.lease);
                    self.raced.insert(page);
                    self.ranks.take(rank, 1, false);
                    out.push(Action::Assign { rank, unit, priors: self.open.prior(page).into_iter().collect() });
                }
            }
        }
    }

    /// Ends the race of the page, if there is one, because one of its leases was closed. Gives the other, under which
    /// the page is now.
    pub(super) fn other_lease(&mut self, page: PageRef, closed: LeaseId) -> Option<LeaseId> {
        let PageState::Leased(first) = self.ledger.stage(page) else { return None };
        let second = self.races.remove(&page)?;
        let other = if closed == first { second } else { first };
        self.ledger.set(page, PageState::Leased(other));
        Some(other)
    }

    /// The page was read under another lease: its rank drops it.
    pub(super) fn drop_lease(&mut self, page: PageRef, lease: LeaseId, out: &mut Vec<Action>) {
        let Some(rank) = self.leases.holder(lease) else { return };
        if self.close(rank, page, lease).is_some() {
            out.push(Action::Release { rank, page, lease });
        }
    }
}

/// How many of `pages` each rank gets: an even share, and at most what it may have.
fn share_out(idle: &[(RankId, u32)], pages: usize) -> Vec<(RankId, usize)> {
    let share = pages.div_ceil(idle.len().max(1));
    idle.iter().map(|(rank, most)| (*rank, share.min(*most as usize))).collect()
}
