//! Role switches: which rank that serves one engine at a time switches to the other engine, and when.
//!
//! * A rank switches only while it holds no pages: when no page waits for its engine, or when it has lost that engine.
//! * A rank switches if it arrives in time to help: after the time of a switch, the ranks that serve the other engine
//!   or switch to it would still be at work on the pages that wait there. Where there is no such rank, one always
//!   switches.
//! * A rank leaves stage 1 early, and gets no more pages of it, as soon as the other ranks can end stage 1 before stage
//!   2 could end with its help. Pages that will fail stage 1 count too, at the failure rate so far.
//! * A rank that has just begun to start its first server starts that of stage 2 instead, where pages wait for stage 2
//!   or earlier attempts of the run let expect some, no rank serves it, and others serve stage 1. Some rank has to start
//!   that server anyway: at the end of stage 1, pages and other ranks would wait for it (143 s: `docs/facts/h200.md`,
//!   "Start, sleep and wake-up").
//! * A rank leaves stage 2 only when no page waits for it, and not while expected failures will soon need it again.
//! * The duration of a switch is measured: a first start takes minutes, waking a sleeping server seconds
//!   (`docs/facts/h200.md`, "Start, sleep and wake-up"). While it is unknown and nothing else can go on, a switch is
//!   tried that the assumed duration would forbid.
//! * No rank switches to an engine that failed to start on several ranks and never started on any.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Engine, RankId, StopReason};

use super::{
    page_times::RankTimes,
    protocol::{Action, Tick},
    rank_state::{CompletedSwitch, RankState, SwitchCandidate, SwitchKind, other},
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

/// How often stage 1 has passed a page on to stage 2.
#[derive(Debug, Default)]
pub(super) struct FallbackRate {
    settled: u64,
    fallbacks: u64,
}

impl FallbackRate {
    /// Pages assumed to have been read before the first one: one failure among the first few proves little.
    const BEFORE: u64 = 32;

    pub(super) fn add(&mut self, fallbacks: bool) {
        self.settled += 1;
        self.fallbacks += u64::from(fallbacks);
    }

    /// Expected number of `pages` that stage 2 will get.
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
        for engine in Engine::ALL {
            while let Some(rank) = self.leaves_idle(engine, now) {
                self.switch_role(rank, engine, now, out);
            }
        }
        if let Some(rank) = self.leaves_early(now) {
            self.ranks.drain_for_switch(rank, Engine::DeepSeek);
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
            (!idle.of_use_where_it_is || self.may_leave(other(engine)))
                && self.arrives_in_time(engine, idle.kind, self.serving(engine), now)
        };
        let begins = |starting: &SwitchCandidate| engine == Engine::DeepSeek && self.begins_stage_two(starting, now);
        self.ranks.idle(engine).find(|idle| leaves(idle) || begins(idle)).map(|idle| idle.rank)
    }

    /// Whether a rank that has just begun to start its first server starts that of stage 2 instead.
    fn begins_stage_two(&self, starting: &SwitchCandidate, now: Tick) -> bool {
        /// A start that is older than this share of its duration is not thrown away.
        const YOUNG: u32 = 8;
        let engine = Engine::DeepSeek;
        let cost = self.turn_cost(engine, SwitchKind::First);
        let is_young = |state: &RankState| state.age(now) < cost / YOUNG;
        starting.kind == SwitchKind::Start
            && self.serving(engine) == 0
            && self.serving(Engine::Chandra) > 1
            && self.pages_of_stage_two() > 0
            && self.turns_in_time(engine, SwitchKind::First, now)
            && self.ranks.get(starting.rank).is_some_and(is_young)
    }

    /// Whether a rank without pages may leave the engine that it serves.
    fn may_leave(&self, engine: Engine) -> bool {
        /// Stage 1 gets a rank back only when stage 2 is shorter by this factor, so that ranks do not switch to and
        /// fro.
        const HYSTERESIS: u32 = 2;
        let (first, second) = (self.serving(Engine::Chandra), self.serving(Engine::DeepSeek));
        let needed_soon = || self.stage_two_is_longer(first, second, SwitchKind::Back, HYSTERESIS);
        self.all_waiting(engine) == 0 && (engine == Engine::Chandra || !needed_soon())
    }

    /// A rank that stage 1 can spare, while pages wait for stage 2.
    fn leaves_early(&self, now: Tick) -> Option<RankId> {
        let engine = Engine::DeepSeek;
        let (first, second) = (self.serving(Engine::Chandra), self.serving(engine));
        let leaves = |busy: &SwitchCandidate| {
            self.all_waiting(Engine::Chandra) > 0
                && self.arrives_in_time(engine, busy.kind, second, now)
                && self.stage_two_is_longer(first.saturating_sub(1), second + 1, busy.kind, 1)
        };
        self.ranks.switchable_when_drained(engine).find(leaves).map(|busy| busy.rank)
    }

    /// Whether `first` ranks would end stage 1 within `times` the time of a switch and of stage 2 on `second` ranks.
    fn stage_two_is_longer(&self, first: u32, second: u32, kind: SwitchKind, times: u32) -> bool {
        let engine = Engine::DeepSeek;
        let (Some(stage_one), Some(share)) = (self.work(Engine::Chandra), self.share_of_page(engine)) else {
            return false;
        };
        if first == 0 || second == 0 {
            return false;
        }
        let stage_two = of_pages(share, self.pages_of_stage_two()) / second + self.turn_cost(engine, kind);
        stage_one / first <= stage_two.saturating_mul(times)
    }

    /// No page is in flight, and every rank that could read the waiting pages would have to switch, too late. A switch
    /// of unknown duration is tried if servers started in less than half the time left; otherwise the run ends.
    fn try_or_stop(&mut self, now: Tick, out: &mut Vec<Action>) {
        let Some(left) = self.time_left(now).filter(|_| self.leases.is_empty()) else { return };
        let waited_for = Engine::ALL.into_iter().filter(|engine| self.all_waiting(*engine) > 0);
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

    /// Pages that stage 2 has and pages that it will get, at the failure rate so far.
    fn pages_of_stage_two(&self) -> u64 {
        self.pages(Engine::DeepSeek) + self.fallbacks.expected(self.pages(Engine::Chandra))
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
