//! Which pages are dealt to which rank next.
//!
//! * A rank never holds more than its credits.
//! * A rank never holds more than an even share of the pages left, so that the last pages are spread over all ranks, and
//!   so that few pages do not all go to the rank that is ready first.
//! * The ranks with free credits get one unit each in turn, until no page waits or no rank has credits.
//! * The latest stage comes first on a rank that serves several engines together: its pages are the oldest.
//! * A page whose failure is in doubt is dealt by itself: see [`super::failures`].
//! * A page that was in flight when its engine died is dealt by itself: see [`super::trial`].

use crate::model::{Engine, NoPages, RankId, Trial, Unit};

use super::{
    failures::EngineFailures,
    lease::Assigned,
    ledger::PageState,
    protocol::{Action, Tick},
    queue::PageRange,
    scheduler::Scheduler,
};

impl Scheduler {
    pub(super) fn deal(&mut self, now: Tick, out: &mut Vec<Action>) {
        self.deal_given_up(now, out);
        let set_aside = self.deal_suspects(now, out);
        self.deal_doubted(&set_aside, now, out);
        for engine in self.policy.engines.iter().rev() {
            while self.waiting(engine) > 0 {
                let mut dealt = false;
                for rank in self.ranks.underfilled(engine) {
                    if self.waiting(engine) == 0 {
                        break;
                    }
                    dealt |= !set_aside.contains(&rank) && self.deal_one(rank, engine, now, out);
                }
                if !dealt {
                    break;
                }
            }
        }
        self.deal_expired(&set_aside, now, out);
    }

    /// Deals one unit; false if the rank holds its share or no page waits.
    fn deal_one(&mut self, rank: RankId, engine: Engine, now: Tick, out: &mut Vec<Action>) -> bool {
        let Some(state) = self.ranks.get(rank) else { return false };
        let (held, is_probed) = (state.held, state.is_probed());
        let capacity = state.capacity().min(self.even_share(engine, state.credits)).saturating_sub(held);
        let most = capacity.min(self.policy.unit_pages);
        if most == 0 {
            return false;
        }
        let doubted = self.failures.get(&engine).and_then(EngineFailures::doubted_documents);
        let elsewhere = doubted.and_then(|documents| self.queues.get(&engine)?.last_of_others(documents));
        let range = match elsewhere {
            // One page at a time, until one of another document is read: either the documents or the servers are at
            // fault.
            Some(_) if held > 0 => return false,
            Some(range) => self.queue(engine).take_last_of(range),
            // A rank that may hang gets a page of another document than the pages that did not come back.
            None if is_probed => self.queue(engine).take_last(),
            None => self.queue(engine).take(most),
        };
        let Some(range) = range else { return false };
        self.deal_range(rank, engine, range, now, out);
        true
    }

    /// Deals pages that waited in a queue.
    pub(super) fn deal_range(
        &mut self,
        rank: RankId,
        engine: Engine,
        range: PageRange,
        now: Tick,
        out: &mut Vec<Action>,
    ) {
        let held = self.ranks.get(rank).map_or(0, |state| state.held);
        let assigned = Assigned { at: now, load: held + range.count };
        let unit = self.leases.issue(rank, engine, range.start(), range.count, None, assigned);
        self.assign(rank, unit, out);
    }

    pub(super) fn assign(&mut self, rank: RankId, unit: Unit, out: &mut Vec<Action>) {
        for page in unit.pages() {
            self.ledger.set(page, PageState::Leased(unit.lease));
        }
        self.race_from.remove(&unit.engine);
        self.ranks.take(rank, unit.count, unit.trial.is_some_and(Trial::is_isolated));
        out.push(Action::Assign {
            rank,
            unit,
            priors: unit.pages().filter_map(|page| self.open.prior(page)).collect(),
        });
    }

    /// Why a rank with free credits has no pages.
    pub fn no_pages(&self) -> NoPages {
        let mut waited_for = self.policy.engines.iter().filter(|engine| self.all_waiting(*engine) > 0).peekable();
        let waits = waited_for.peek().is_some();
        if waited_for.any(|engine| self.ranks.totals(engine).ready == 0) {
            NoPages::OtherEngine
        } else if waits {
            NoPages::Dealing
        } else {
            NoPages::LastPages
        }
    }

    pub(super) fn waiting(&self, engine: Engine) -> usize {
        self.queues.get(&engine).map_or(0, |queue| queue.len())
    }

    /// Waiting pages and pages held for the engine, divided by its ranks, rounded up. While some ranks are still
    /// starting, the ready ones may hold an eighth of their credits in any case: more would be pages that a rank which
    /// comes soon lacks.
    fn even_share(&self, engine: Engine, credits: u32) -> u32 {
        let totals = self.ranks.totals(engine);
        let pages = self.waiting(engine) as u64 + totals.held;
        let share = u32::try_from(pages.div_ceil(totals.serving.max(1))).unwrap_or(u32::MAX);
        if totals.ready < totals.serving { share.max(credits / 8) } else { share }
    }
}
