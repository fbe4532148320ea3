//! Invariants that hold after every step. The stories and the simulator check them; a run does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Engine, LeaseId, PageRef, RankId, Trial, Verdict};

use super::{ending::Phase, ledger::PageState, open_page::OpenPage, rank_state::SwitchCandidate, scheduler::Scheduler};

impl Scheduler {
    /// Checks every invariant.
    ///
    /// # Errors
    /// The message names the broken invariant and the page or rank.
    pub fn check_invariants(&self) -> Result<(), String> {
        let queued = self.check_queues()?;
        let held = self.check_leases(&queued)?;
        self.check_ranks(&held)?;
        self.check_turns()?;
        self.check_ledger(&queued)
    }

    /// Every page in a queue or apart waits for the engine of that queue, and in one place only.
    fn check_queues(&self) -> Result<BTreeSet<PageRef>, String> {
        let mut queued = BTreeSet::new();
        for (engine, queue) in &self.queues {
            let before = queued.len();
            for page in queue.iter() {
                if self.ledger.stage(page) != PageState::Waiting(*engine) {
                    return Err(format!(
                        "{page} is queued for {engine:?} but its state is {:?}",
                        self.ledger.stage(page)
                    ));
                }
                if !queued.insert(page) {
                    return Err(format!("{page} is queued twice"));
                }
            }
            if queued.len() - before != queue.len() {
                return Err(format!("the queue for {engine:?} miscounts its pages"));
            }
        }
        for (engine, apart) in &self.apart {
            for page in apart {
                if self.ledger.stage(*page) != PageState::Waiting(*engine)
                    || !self.open.get(*page).is_some_and(OpenPage::waits_apart)
                {
                    return Err(format!(
                        "{page} waits apart for {engine:?} but its state is {:?}",
                        self.ledger.stage(*page)
                    ));
                }
                if !queued.insert(*page) {
                    return Err(format!("{page} waits in a queue and apart"));
                }
            }
        }
        Ok(queued)
    }

    /// Every open page of a lease is leased under it, held by a live rank, and nowhere else.
    fn check_leases(&self, queued: &BTreeSet<PageRef>) -> Result<BTreeMap<RankId, u32>, String> {
        let mut held = BTreeMap::new();
        for (id, lease) in self.leases.iter() {
            if !self.finished && self.next_timeout().is_none_or(|next| next > self.expires_at(lease)) {
                return Err(format!("{id} expires, but no timeout is set for it"));
            }
            for page in &lease.open {
                let is_race = self.races.get(page) == Some(&id);
                if is_race && !matches!(self.ledger.stage(*page), PageState::Leased(first) if first != id) {
                    return Err(format!("{page} is raced under {id} but its state is {:?}", self.ledger.stage(*page)));
                }
                if !is_race && self.ledger.stage(*page) != PageState::Leased(id) || queued.contains(page) {
                    return Err(format!("{page} is open under {id} but its state is {:?}", self.ledger.stage(*page)));
                }
                let open = self.open.get(*page);
                if open.is_some_and(|open| open.expired.iter().any(|expired| expired.lease == id)) {
                    return Err(format!("{page} is assigned under {id}, which has expired"));
                }
                if open.is_some_and(|open| open.given_up && lease.open.len() > 1) {
                    return Err(format!("{page} is given up among others under {id}"));
                }
                if lease.trial.is_some() && self.open.suspect(*page).is_none() {
                    return Err(format!("{page} is tried again under {id} but is no suspect"));
                }
                let is_isolated = lease.trial.is_some_and(Trial::is_isolated);
                if self.ranks.get(lease.rank).is_some_and(|state| state.is_isolated != is_isolated) {
                    return Err(format!("{page} runs under {id} beside the pages of an isolated trial"));
                }
                *held.entry(lease.rank).or_default() += 1;
            }
        }
        let is_open = |(page, id): &(&PageRef, &LeaseId)| {
            self.leases.iter().any(|(open, lease)| open == **id && lease.open.contains(*page))
        };
        match self.races.iter().find(|race| !is_open(race)) {
            Some((page, id)) => Err(format!("{page} is raced under {id}, which is not open")),
            None => Ok(held),
        }
    }

    /// A rank holds what its leases say, within its credits.
    fn check_ranks(&self, held: &BTreeMap<RankId, u32>) -> Result<(), String> {
        let longest = self.ranks.iter().map(|(rank, state)| (state.heard, rank)).min();
        if self.ranks.longest_unheard() != longest.map(|(heard, rank)| (rank, heard)) {
            return Err(format!("{longest:?} has been silent for longest, not {:?}", self.ranks.longest_unheard()));
        }
        for (rank, state) in self.ranks.iter() {
            let leased = held.get(&rank).copied().unwrap_or_default();
            if state.held != leased || state.held > state.credits {
                return Err(format!(
                    "{rank} holds {} pages, leases say {leased}, credits {}",
                    state.held, state.credits
                ));
            }
            if let Some((engine, page)) = self.forgotten_doubt(rank) {
                return Err(format!(
                    "{rank} waits for another verdict on {page}, which is not in doubt for {engine:?}"
                ));
            }
            if state.is_turning() && (state.held > 0 || !state.ready.is_empty()) {
                return Err(format!("{rank} switches with {} pages, ready for {:?}", state.held, state.ready));
            }
            if state.drains_for().is_some() && state.held == 0 && self.phase == Phase::Dealing {
                return Err(format!("{rank} has drained but neither switches nor reads"));
            }
        }
        match held.keys().find(|rank| self.ranks.get(**rank).is_none()) {
            Some(rank) => Err(format!("{rank} is gone but holds pages")),
            None => Ok(()),
        }
    }

    /// A page that another server is to try because of the rank, although nothing about it is in doubt.
    fn forgotten_doubt(&self, rank: RankId) -> Option<(Engine, PageRef)> {
        let is_open = |page: PageRef| self.open.get(page).is_some_and(|open| open.was_failed_by(rank));
        self.ranks.get(rank)?.all_doubts().find(|(_, page)| !is_open(*page))
    }

    /// No page waits for an unserved engine while an idle rank could switch to it. With a deadline the check is
    /// skipped: a switch may be too late.
    fn check_turns(&self) -> Result<(), String> {
        if self.phase != Phase::Dealing || self.policy.deadline.is_some() || self.ledger.unsettled() == 0 {
            return Ok(());
        }
        let is_unserved = |engine: &Engine| self.all_waiting(*engine) > 0 && self.ranks.totals(*engine).serving == 0;
        for engine in self.policy.engines.iter().filter(is_unserved) {
            let is_free = |idle: &SwitchCandidate| !idle.of_use_where_it_is || self.all_waiting(idle.from) == 0;
            if let Some(idle) = self.ranks.idle(engine).find(is_free) {
                return Err(format!("pages wait for {engine:?}, but {} does not switch to it", idle.rank));
            }
        }
        Ok(())
    }

    /// Every page is in exactly one place, and the counts are the sums over the ledger.
    fn check_ledger(&self, queued: &BTreeSet<PageRef>) -> Result<(), String> {
        let (mut read, mut blank, mut failed) = (0, 0, 0);
        for (page, stage) in self.ledger.iter() {
            match stage {
                PageState::Waiting(_) if !queued.contains(&page) => {
                    return Err(format!("{page} waits but is in no queue"));
                }
                PageState::Waiting(engine) if self.open.stage(page).engine() != engine => {
                    return Err(format!("{page} waits for {engine:?} on another stage"));
                }
                PageState::Settled(_) if self.open.get(page).is_some() => {
                    return Err(format!("{page} is settled but still open"));
                }
                PageState::Settled(Verdict::Read | Verdict::Incomplete) => read += 1,
                PageState::Settled(Verdict::Blank) => blank += 1,
                PageState::Settled(Verdict::Failed(_)) => failed += 1,
                PageState::Waiting(_) | PageState::Leased(_) => {}
            }
        }
        let counts = self.counts();
        if (read, blank, failed) != (counts.read, counts.blank, counts.failed_total()) {
            return Err(format!(
                "counts {counts:?} differ from the ledger: {read} read, {blank} blank, {failed} failed"
            ));
        }
        if self.ledger.unsettled() as u64 != counts.pages - counts.settled() {
            return Err("the number of unsettled pages is wrong".into());
        }
        Ok(())
    }
}
