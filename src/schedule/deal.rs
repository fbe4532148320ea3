//! Which pages go to which rank next.
//!
//! * A rank never holds more than its credits.
//! * Units shrink towards the end (guided self-scheduling), so that the last pages are spread over all ranks.
//! * Stage 2 comes first on a rank that serves both engines: its pages are the oldest.
//! * A suspect runs alone. While one waits, the first rank ready for its engine is not refilled, so that it runs dry.

use crate::model::{Engine, PageRef, RankId};

use super::{
    ledger::PageStage,
    protocol::{Action, Prior, Unit},
    scheduler::Scheduler,
};

impl Scheduler {
    pub(super) fn deal(&mut self, out: &mut Vec<Action>) {
        let set_aside = self.deal_suspects(out);
        for engine in Engine::ALL.into_iter().rev() {
            if self.waiting(engine) == 0 {
                continue;
            }
            let most = self.unit_size(engine);
            for rank in self.ranks.hungry(engine) {
                if !set_aside.contains(&rank) {
                    self.fill(rank, engine, most, out);
                }
            }
        }
    }

    /// Gives a waiting suspect to the rank set aside for it, once that rank holds nothing else. Returns the ranks
    /// set aside.
    fn deal_suspects(&mut self, out: &mut Vec<Action>) -> Vec<RankId> {
        if self.suspects.is_empty() {
            return Vec::new();
        }
        let mut set_aside = Vec::new();
        for engine in Engine::ALL {
            let Some(rank) = self.ranks.first_ready(engine) else { continue };
            let Some(page) = self.waiting_suspects(engine).next() else { continue };
            if self.ranks.get(rank).is_some_and(|state| state.held == 0) {
                let deaths = self.suspects.get(&page).copied().unwrap_or_default();
                let unit = self.leases.issue(rank, engine, page, 1, Some(deaths));
                self.assign(rank, unit, out);
            }
            set_aside.push(rank);
        }
        set_aside
    }

    fn fill(&mut self, rank: RankId, engine: Engine, most: u32, out: &mut Vec<Action>) {
        while let Some(free) = self.ranks.get(rank).map(|state| state.credits - state.held).filter(|free| *free > 0) {
            let Some(range) = self.queue(engine).take(most.min(free)) else { return };
            let unit = self.leases.issue(rank, engine, range.start(), range.count, None);
            self.assign(rank, unit, out);
        }
    }

    fn assign(&mut self, rank: RankId, unit: Unit, out: &mut Vec<Action>) {
        for page in unit.pages() {
            self.ledger.set(page, PageStage::Leased(unit.lease));
        }
        self.ranks.take(rank, unit.count, unit.trial.is_some());
        out.push(Action::Assign { rank, unit, priors: unit.pages().filter_map(|page| self.prior(page)).collect() });
    }

    fn prior(&self, page: PageRef) -> Option<Prior> {
        let reading = self.second_readings.get(&page)?;
        Some(Prior { page, attempts: reading.attempts.clone() })
    }

    fn waiting(&self, engine: Engine) -> usize {
        self.queues.get(&engine).map_or(0, |queue| queue.len())
    }

    /// Half an even share of what waits, at least one page, at most the policy's number.
    fn unit_size(&self, engine: Engine) -> u32 {
        let most = self.policy.unit_pages;
        let waiting = self.waiting(engine);
        if waiting >= most as usize * 2 * self.policy.ranks as usize {
            return most;
        }
        let share = waiting / (2 * self.ranks.ready_count(engine).max(1));
        u32::try_from(share).unwrap_or(most).clamp(1, most)
    }
}
