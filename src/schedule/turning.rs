//! Which ranks that serve one engine at a time turn to the other, and when.
//!
//! * A rank turns only while it holds no pages: when nothing waits for the engine that it serves, or that is lost on it.
//! * It turns if it comes in time to help: the ranks that serve the other engine already, or turn to it, would still be
//!   at work on what waits there after the time that a turn takes. Where there is no such rank, one turns always.
//! * A rank leaves stage 1 early, and gets no more pages of it, as soon as the others can end stage 1 before stage 2 could
//!   end with its help. The failures to come count as well, as often as pages have failed so far.
//! * Nobody leaves stage 2 before nothing waits for it, nor then while failures to come will soon need it again.
//! * What a turn takes is learned: a first start takes minutes, waking a server that sleeps seconds (facts of the
//!   engines, F).

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Engine, RankId, StopReason};

use super::{
    ending::Deadline,
    page_times::RankTimes,
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

/// How often stage 1 has handed a page on to stage 2.
#[derive(Debug, Default)]
pub(super) struct HandedOn {
    settled: u64,
    handed_on: u64,
}

impl HandedOn {
    /// Pages that are taken to have been read before the first: one failure among the first few proves little.
    const BEFORE: u64 = 32;

    pub(super) fn add(&mut self, handed_on: bool) {
        self.settled += 1;
        self.handed_on += u64::from(handed_on);
    }

    /// How many of `pages` will be handed on.
    fn expected(&self, pages: u64) -> u64 {
        pages * self.handed_on / (self.settled + Self::BEFORE)
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
                && (!idle.of_use_where_it_is || self.may_leave(other(engine)))
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

    /// Whether a rank without pages may leave the engine that it serves.
    fn may_leave(&self, engine: Engine) -> bool {
        /// A rank that left stage 1 stays away from it until this is far from right.
        const HYSTERESIS: u32 = 2;
        let (first, second) = (self.serving(Engine::Chandra), self.serving(Engine::DeepSeek));
        let needed_soon = || self.stage_two_is_longer(first, second, TurnKind::Back, HYSTERESIS);
        self.all_waiting(engine) == 0 && (engine == Engine::Chandra || !needed_soon())
    }

    /// A rank that stage 1 can do without, while pages wait for stage 2.
    fn leaves_early(&self, now: Tick) -> Option<RankId> {
        let engine = Engine::DeepSeek;
        let busy = self.ranks.busy(engine)?;
        let (first, second) = (self.serving(Engine::Chandra), self.serving(engine));
        let leaves = self.all_waiting(Engine::Chandra) > 0
            && self.helps(engine, busy.kind, second, now)
            && self.stage_two_is_longer(first.saturating_sub(1), second + 1, busy.kind, 1);
        leaves.then_some(busy.rank)
    }

    /// Whether `first` ranks end stage 1 before a turn and then stage 2, on `second` ranks, have passed this many `times`.
    fn stage_two_is_longer(&self, first: u32, second: u32, kind: TurnKind, times: u32) -> bool {
        let engine = Engine::DeepSeek;
        let (Some(stage_one), Some(share)) = (self.work(Engine::Chandra), self.share_of_page(engine)) else {
            return false;
        };
        if first == 0 || second == 0 {
            return false;
        }
        let pages = self.pages(engine) + self.handed_on.expected(self.pages(Engine::Chandra));
        let stage_two = of_pages(share, pages) / second + self.turn_cost(engine, kind);
        stage_one / first <= stage_two.saturating_mul(times)
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
        let page = self.rank_times(engine).map(RankTimes::page).unwrap_or_default();
        now.0 + self.turn_cost(engine, kind) + page < recall.0
    }

    fn turn_cost(&self, engine: Engine, kind: TurnKind) -> Duration {
        self.turn_times.latest(engine, kind).unwrap_or(self.policy.turn_cost)
    }

    /// Time of one rank for all that waits for the engine or is out for it; `None` while no page has been read.
    fn work(&self, engine: Engine) -> Option<Duration> {
        Some(of_pages(self.share_of_page(engine)?, self.pages(engine)))
    }

    fn share_of_page(&self, engine: Engine) -> Option<Duration> {
        self.rank_times(engine).map(RankTimes::share_of_page)
    }

    /// Pages that wait for the engine or are out for it.
    fn pages(&self, engine: Engine) -> u64 {
        self.all_waiting(engine) + self.leases.pages(engine)
    }

    fn serving(&self, engine: Engine) -> u32 {
        u32::try_from(self.ranks.totals(engine).serving).unwrap_or(u32::MAX)
    }

    /// Pages that wait for the engine, suspects among them.
    pub(super) fn all_waiting(&self, engine: Engine) -> u64 {
        self.waiting(engine) as u64 + self.waiting_suspects(engine).count() as u64
    }
}

fn of_pages(share: Duration, pages: u64) -> Duration {
    share.saturating_mul(u32::try_from(pages).unwrap_or(u32::MAX))
}
