//! Which ranks that serve one engine at a time turn to the other, and when.
//!
//! * A rank turns only while it holds no pages: when nothing waits for the engine that it serves, or that is lost on it.
//! * It turns if it comes in time to help: the ranks that serve the other engine already, or turn to it, would still be
//!   at work on what waits there after the time that a turn takes. Where there is no such rank, one turns always.
//! * A rank leaves stage 1 early, and gets no more pages of it, as soon as the others can end stage 1 before it could end
//!   its part of stage 2. Only pages that have failed count for that, so that a rank which turned does not run out of
//!   them before stage 1 is over: it never has to turn back for that.
//! * Nobody leaves stage 2 before nothing waits for it: its pages are few, and going back to them would cost two turns.
//! * What a turn takes is learned: a first start takes minutes, waking a server that sleeps seconds (facts of the
//!   engines, F).

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Engine, RankId, StopReason};

use super::{
    ending::Deadline,
    protocol::{Action, Tick},
    rank_state::{RankState, TurnKind, Turned, other},
    scheduler::Scheduler,
};

/// How long turns took, the latest of each kind.
#[derive(Debug, Default)]
pub(super) struct TurnTimes(BTreeMap<(Engine, TurnKind), Duration>);

impl TurnTimes {
    pub(super) fn add(&mut self, engine: Engine, turned: Turned) {
        self.0.insert((engine, turned.kind), turned.took);
    }

    fn latest(&self, engine: Engine, kind: TurnKind) -> Option<Duration> {
        self.0.get(&(engine, kind)).or_else(|| self.0.get(&(engine, TurnKind::First))).copied()
    }
}

impl Scheduler {
    /// Turns ranks over, after all that can be dealt has been. True if a rank that was to turn stays after all, and wants
    /// pages again.
    pub(super) fn turn_ranks(&mut self, now: Tick, out: &mut Vec<Action>) -> bool {
        let mut stays = false;
        for rank in self.ranks.dry() {
            let Some((engine, kind)) = self.ranks.get(rank).and_then(RankState::runs_dry_for) else { continue };
            let others = self.serving(engine).saturating_sub(1);
            if self.helps(engine, kind, others, now) {
                self.turn(rank, engine, now, out);
            } else {
                self.ranks.stay(rank);
                stays = true;
            }
        }
        for engine in Engine::ALL {
            while let Some(idle) = self.ranks.idle(engine)
                && (!idle.of_use_where_it_is || self.all_waiting(other(engine)) == 0)
                && self.helps(engine, idle.kind, self.serving(engine), now)
            {
                self.turn(idle.rank, engine, now, out);
            }
        }
        if let Some(rank) = self.leaves_early(now) {
            self.ranks.run_dry(rank, Engine::DeepSeek);
        }
        if self.is_too_late_to_turn(now) {
            self.stop(StopReason::Deadline, now);
        }
        stays
    }

    fn turn(&mut self, rank: RankId, engine: Engine, now: Tick, out: &mut Vec<Action>) {
        self.ranks.turn(rank, engine, now);
        out.push(Action::Turn { rank, engine });
    }

    /// Whether one more rank comes in time to help the `others` that serve the engine already.
    fn helps(&self, engine: Engine, kind: TurnKind, others: u32, now: Tick) -> bool {
        let waiting = self.all_waiting(engine);
        if waiting == 0 || !self.turns_in_time(engine, kind, now) {
            return false;
        }
        let first = others == 0;
        first
            || match self.work(engine) {
                Some(work) => self.turn_cost(engine, kind).saturating_mul(others) < work,
                // No page has been read by anybody: each is given all that it can hold.
                None => waiting > u64::from(others) * u64::from(self.ranks.most_credits()),
            }
    }

    /// A rank that stage 1 can do without, while pages wait for stage 2.
    fn leaves_early(&self, now: Tick) -> Option<RankId> {
        let engine = Engine::DeepSeek;
        let busy = self.ranks.busy(engine)?;
        let (stay, serve) = (self.serving(Engine::Chandra).saturating_sub(1), self.serving(engine));
        if stay == 0 || self.all_waiting(Engine::Chandra) == 0 || !self.helps(engine, busy.kind, serve, now) {
            return None;
        }
        let without_it = self.work(Engine::Chandra)? / stay;
        let with_it = self.work(engine)? / (serve + 1) + self.turn_cost(engine, busy.kind);
        (without_it <= with_it).then_some(busy.rank)
    }

    /// Nothing is out, and whoever could read what waits would have to turn for it, too late.
    fn is_too_late_to_turn(&self, now: Tick) -> bool {
        if !self.leases.is_empty() {
            return false;
        }
        let too_late = |engine| {
            let idle = self.ranks.idle(engine);
            self.serving(engine) == 0 && idle.is_some_and(|idle| !self.turns_in_time(engine, idle.kind, now))
        };
        let mut waited_for = Engine::ALL.into_iter().filter(|engine| self.all_waiting(*engine) > 0).peekable();
        waited_for.peek().is_some() && waited_for.all(too_late)
    }

    /// Whether a page would come back before the recall from a rank that turns now.
    fn turns_in_time(&self, engine: Engine, kind: TurnKind, now: Tick) -> bool {
        let Some(recall) = self.policy.deadline.map(Deadline::recall) else { return true };
        let page = self.rank_times(engine).map(|times| times.page()).unwrap_or_default();
        now.0 + self.turn_cost(engine, kind) + page < recall.0
    }

    fn turn_cost(&self, engine: Engine, kind: TurnKind) -> Duration {
        self.turn_times.latest(engine, kind).unwrap_or(self.policy.turn_cost)
    }

    /// Time of one rank for all that waits for the engine or is out for it; `None` while no page has been read.
    fn work(&self, engine: Engine) -> Option<Duration> {
        let pages = self.all_waiting(engine) + self.leases.pages(engine);
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        Some(self.rank_times(engine)?.share_of_page().saturating_mul(pages))
    }

    fn serving(&self, engine: Engine) -> u32 {
        u32::try_from(self.ranks.totals(engine).serving).unwrap_or(u32::MAX)
    }

    /// Pages that wait for the engine, suspects among them.
    pub(super) fn all_waiting(&self, engine: Engine) -> u64 {
        self.waiting(engine) as u64 + self.waiting_suspects(engine).count() as u64
    }
}
