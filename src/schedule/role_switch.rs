//! Role switches: which rank that serves one engine at a time switches to another engine, and when.
//!
//! * A rank switches only while it holds no pages: when no page waits for its engine, or when it has lost that engine.
//! * A rank switches if it arrives in time to help: after the time of a switch, the ranks that serve the new engine
//!   or switch to it would still be at work on the pages that wait there. Where there is no such rank, one always
//!   switches.
//! * A rank leaves an engine early for a later one, and gets no more pages of it, as soon as the other ranks can end the
//!   pages of all earlier engines before the later one could end with its help. Pages that the earlier engines will
//!   pass on count too, at the failure rates so far.
//! * A rank that has just begun to start its first server starts that of a later engine instead, where pages wait for
//!   that or earlier attempts of the run let expect some, no rank serves it, and others serve the first. Some rank has
//!   to start that server anyway: in the end, pages and other ranks would wait for it (143 s: `docs/facts/h200.md`,
//!   "Start, sleep and wake-up").
//! * A rank leaves a later engine than the first only when no page waits for it, and not while expected failures will
//!   soon need it again, unless nobody serves the engine that needs it now.
//! * The duration of a switch is measured: a first start takes minutes, waking a sleeping server seconds
//!   (`docs/facts/h200.md`, "Start, sleep and wake-up"). While it is unknown and nothing else can go on, a switch is
//!   tried that the assumed duration would forbid.
//! * No rank switches to an engine that failed to start on several ranks and never started on any.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Engine, RankId, Stage, StopReason};

use super::{
    page_times::RankTimes,
    protocol::{Action, Tick},
    rank_state::{CompletedSwitch, RankState, SwitchCandidate, SwitchKind},
    scheduler::Scheduler,
};

/// Durations of role switches and server starts.
#[derive(Debug, Default)]
pub(super) struct SwitchTimes {
    latest: BTreeMap<(Engine, SwitchKind), Duration>,
    /// Role switches, without starts.
    turns: Vec<Duration>,
}

impl SwitchTimes {
    pub(super) fn add(&mut self, engine: Engine, turned: CompletedSwitch) {
        self.latest.insert((engine, turned.kind), turned.took);
        if turned.kind != SwitchKind::Start {
            self.turns.push(turned.took);
        }
    }

    pub(super) fn all(&self) -> &[Duration] {
        &self.turns
    }

    /// The measured duration of this kind of switch, if any. Waking a server takes no longer than starting it. The
    /// duration of a start says nothing about a first switch: the server may have been adopted.
    fn known(&self, engine: Engine, kind: SwitchKind) -> Option<Duration> {
        let latest = |kind| self.latest.get(&(engine, kind)).copied();
        match kind {
            SwitchKind::Back => {
                latest(kind).or_else(|| latest(SwitchKind::First)).or_else(|| latest(SwitchKind::Start))
            }
            SwitchKind::First | SwitchKind::Start => latest(SwitchKind::First),
        }
    }

    /// The longest of the engines' latest server starts with a rank; zero until one server was ready.
    fn start(&self) -> Duration {
        let starts = self.latest.iter().filter(|((_, kind), _)| *kind == SwitchKind::Start);
        starts.map(|(_, took)| *took).max().unwrap_or_default()
    }
}

/// How often each engine has passed a page on to a later one.
#[derive(Debug, Default)]
pub(super) struct FallbackRates(BTreeMap<Engine, FallbackRate>);

impl FallbackRates {
    /// The engine has concluded a page, which goes on to `next`.
    pub(super) fn add(&mut self, engine: Engine, next: Option<Stage>) {
        self.count(engine, matches!(next, Some(Stage::On(_))));
    }

    fn count(&mut self, engine: Engine, falls_back: bool) {
        let rate = self.0.entry(engine).or_default();
        rate.settled += 1;
        rate.fallbacks += u64::from(falls_back);
    }

    /// Expected number of `pages` of the engine that a later one will get.
    fn expected(&self, engine: Engine, pages: u64) -> u64 {
        self.0.get(&engine).map_or(0, |rate| rate.expected(pages))
    }
}

#[derive(Debug, Default)]
struct FallbackRate {
    settled: u64,
    fallbacks: u64,
}

impl FallbackRate {
    /// Pages assumed to have been read before the first one: one failure among the first few proves little.
    const BEFORE: u64 = 32;

    fn expected(&self, pages: u64) -> u64 {
        pages * self.fallbacks / (self.settled + Self::BEFORE)
    }
}

impl Scheduler {
    /// Orders role switches, after all pages that can be dealt have been. True if a rank that was draining for a switch
    /// keeps its engine after all and can take pages again.
    pub(super) fn turn_ranks(&mut self, now: Tick, out: &mut Vec<Action>) -> bool {
        let mut stays = false;
        for rank in self.ranks.drained() {
            let Some((engine, kind)) = self.ranks.get(rank).and_then(RankState::drains_for) else { continue };
            let others = self.serving(engine).saturating_sub(1);
            if self.arrives_in_time(engine, kind, others, now) {
                self.switch_role(rank, engine, now, out);
            } else {
                self.ranks.cancel_switch(rank);
                stays = true;
            }
        }
        for engine in self.policy.engines.iter() {
            while let Some(rank) = self.leaves_idle(engine, now) {
                self.switch_role(rank, engine, now, out);
            }
        }
        if let Some((rank, engine)) = self.leaves_early(now) {
            self.ranks.drain_for_switch(rank, engine);
        }
        self.try_or_stop(now, out);
        stays
    }

    fn switch_role(&mut self, rank: RankId, engine: Engine, now: Tick, out: &mut Vec<Action>) {
        self.ranks.switch_role(rank, engine, now);
        out.push(Action::SwitchRole { rank, engine });
    }

    /// Whether one more rank would arrive in time to help the `others` that already serve the engine.
    fn arrives_in_time(&self, engine: Engine, kind: SwitchKind, others: u32, now: Tick) -> bool {
        let waiting = self.all_waiting(engine);
        if waiting == 0 || self.ranks.is_given_up(engine) || !self.turns_in_time(engine, kind, now) {
            return false;
        }
        let first = others == 0;
        first
            || match self.work(engine) {
                Some(work) => self.turn_cost(engine, kind).saturating_mul(others) < work,
                // No page has been read yet, so work is unknown. Each rank gets as many pages as it can hold.
                None => waiting > u64::from(others) * u64::from(self.ranks.most_credits()),
            }
    }

    /// A rank without pages that is of more use on `engine`.
    fn leaves_idle(&self, engine: Engine, now: Tick) -> Option<RankId> {
        let leaves = |idle: &SwitchCandidate| {
            (!idle.of_use_where_it_is || self.may_leave(idle.from, engine))
                && self.arrives_in_time(engine, idle.kind, self.serving(engine), now)
        };
        let begins = |starting: &SwitchCandidate| self.begins_later(engine, starting, now);
        self.ranks.idle(engine).find(|idle| leaves(idle) || begins(idle)).map(|idle| idle.rank)
    }

    /// Whether a rank that has just begun to start its first server starts that of a later engine instead.
    fn begins_later(&self, engine: Engine, starting: &SwitchCandidate, now: Tick) -> bool {
        /// A start that is older than this share of its duration is not thrown away.
        const YOUNG: u32 = 8;
        let cost = self.turn_cost(engine, SwitchKind::First);
        let is_young = |state: &RankState| state.age(now) < cost / YOUNG;
        starting.kind == SwitchKind::Start
            && starting.from < engine
            && self.serving(engine) == 0
            && self.serving(starting.from) > 1
            && self.expected_pages(engine) > 0
            && self.turns_in_time(engine, SwitchKind::First, now)
            && self.ranks.get(starting.rank).is_some_and(is_young)
    }

    /// Whether a rank without pages may leave the engine `from`, which it serves, for `to`.
    fn may_leave(&self, from: Engine, to: Engine) -> bool {
        /// An earlier engine gets a rank back only when the later one is shorter by this factor, so that ranks do not
        /// switch to and fro.
        const HYSTERESIS: u32 = 2;
        let needed_soon = || self.is_longer(from, self.serving(from), None, SwitchKind::Back, HYSTERESIS);
        self.all_waiting(from) == 0 && (from == Engine::FIRST || self.serving(to) == 0 || !needed_soon())
    }

    /// A rank that an earlier engine can spare, while pages wait for the later one that comes with it.
    fn leaves_early(&self, now: Tick) -> Option<(RankId, Engine)> {
        let of_engine = |engine| {
            let ranks = self.serving(engine);
            let leaves = |busy: &SwitchCandidate| {
                busy.from < engine
                    && self.all_waiting(busy.from) > 0
                    && self.arrives_in_time(engine, busy.kind, ranks, now)
                    && self.is_longer(engine, ranks + 1, Some(busy.from), busy.kind, 1)
            };
            self.ranks.switchable_when_drained(engine).find(leaves).map(|busy| (busy.rank, engine))
        };
        self.policy.engines.without(Engine::FIRST).iter().find_map(of_engine)
    }

    /// Whether the pages of all earlier engines will end within `times` the time of a switch and of the pages of
    /// `engine` on `ranks` ranks. The engine `loses` has one rank less than now.
    fn is_longer(&self, engine: Engine, ranks: u32, loses: Option<Engine>, kind: SwitchKind, times: u32) -> bool {
        let Some(share) = self.share_of_page(engine).filter(|_| ranks > 0) else { return false };
        let mut longest = None;
        for earlier in self.policy.engines.iter().take_while(|earlier| *earlier < engine) {
            let pages = self.pages(earlier);
            let left = self.serving(earlier).saturating_sub(u32::from(loses == Some(earlier)));
            match self.share_of_page(earlier) {
                _ if pages == 0 => {}
                Some(share) if left > 0 => longest = longest.max(Some(of_pages(share, pages) / left)),
                _ => return false,
            }
        }
        let own = of_pages(share, self.expected_pages(engine)) / ranks + self.turn_cost(engine, kind);
        longest.is_some_and(|longest| longest <= own.saturating_mul(times))
    }

    /// No page is in flight, and every rank that could read the waiting pages would have to switch, too late. A switch
    /// of unknown duration is tried if servers started in less than half the time left; otherwise the run ends.
    fn try_or_stop(&mut self, now: Tick, out: &mut Vec<Action>) {
        let Some(left) = self.time_left(now).filter(|_| self.leases.is_empty()) else { return };
        let waited_for = self.policy.engines.iter().filter(|engine| self.all_waiting(*engine) > 0);
        let late: Option<Vec<_>> = waited_for.map(|engine| Some((engine, self.too_late(engine, now)?))).collect();
        let Some(late) = late.filter(|late| !late.is_empty()) else { return };
        let is_open =
            |engine, kind| self.turn_times.known(engine, kind).is_none() && self.turn_times.start() < left / 2;
        if let Some((engine, idle)) = late.iter().find(|(engine, idle)| is_open(*engine, idle.kind)) {
            self.switch_role(idle.rank, *engine, now, out);
            return;
        }
        for (engine, idle) in late {
            out.push(Action::TooLate { engine, turn: self.turn_cost(engine, idle.kind), left });
        }
        self.stop(StopReason::Deadline, now);
    }

    /// The rank that could switch to the engine soonest, where none serves it and none could switch in time.
    fn too_late(&self, engine: Engine, now: Tick) -> Option<SwitchCandidate> {
        if self.serving(engine) > 0 || self.ranks.idle(engine).any(|idle| self.turns_in_time(engine, idle.kind, now)) {
            return None;
        }
        self.ranks.idle(engine).min_by_key(|idle| self.turn_cost(engine, idle.kind))
    }

    /// Whether a rank that switches now would return a page before the recall.
    fn turns_in_time(&self, engine: Engine, kind: SwitchKind, now: Tick) -> bool {
        let page = self.rank_times(engine).map(RankTimes::page).unwrap_or_default();
        self.time_left(now).is_none_or(|left| self.turn_cost(engine, kind) + page < left)
    }

    /// Time until pages are recalled; `None` without a deadline.
    fn time_left(&self, now: Tick) -> Option<Duration> {
        Some(self.policy.deadline?.recall().0.saturating_sub(now.0))
    }

    fn turn_cost(&self, engine: Engine, kind: SwitchKind) -> Duration {
        self.turn_times.known(engine, kind).unwrap_or(self.policy.turn_cost)
    }

    /// Time that one rank would need for all pages that wait for the engine or are in flight; `None` until a page was
    /// read.
    fn work(&self, engine: Engine) -> Option<Duration> {
        Some(of_pages(self.share_of_page(engine)?, self.pages(engine)))
    }

    fn share_of_page(&self, engine: Engine) -> Option<Duration> {
        self.rank_times(engine).map(RankTimes::share_of_page)
    }

    /// Pages that wait for the engine or are in flight for it.
    fn pages(&self, engine: Engine) -> u64 {
        self.all_waiting(engine) + self.leases.pages(engine)
    }

    /// Pages that the engine has and pages that it will get, at the failure rates so far.
    fn expected_pages(&self, engine: Engine) -> u64 {
        let earlier = self.policy.engines.iter().take_while(|earlier| *earlier < engine);
        let coming = earlier.fold(0, |coming, earlier| self.fallbacks.expected(earlier, self.pages(earlier) + coming));
        self.pages(engine) + coming
    }

    /// Counts a page of an earlier start: `engine` gave its verdict, after all earlier engines had passed it on.
    pub(super) fn add_restored_fallbacks(&mut self, engine: Engine, next: Option<Stage>) {
        let earlier = self.policy.engines.iter().take_while(|earlier| *earlier < engine);
        earlier.for_each(|earlier| self.fallbacks.count(earlier, true));
        self.fallbacks.add(engine, next);
    }

    fn serving(&self, engine: Engine) -> u32 {
        u32::try_from(self.ranks.totals(engine).serving).unwrap_or(u32::MAX)
    }

    /// Pages that wait for the engine, in its queue or apart.
    pub(super) fn all_waiting(&self, engine: Engine) -> u64 {
        let apart = self.apart.get(&engine).map_or(0, |apart| apart.len());
        (self.waiting(engine) + apart) as u64
    }
}

fn of_pages(share: Duration, pages: u64) -> Duration {
    share.saturating_mul(u32::try_from(pages).unwrap_or(u32::MAX))
}
