//! All ranks, with sums and indexes over them, so that a step does not visit every rank.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    ops::Bound,
};

use crate::model::{Engine, EngineSet, PageRef, RankId, Role};

use super::{
    protocol::Tick,
    rank_state::{CompletedSwitch, RankState, SwitchCandidate},
    server_trust::{PageBefore, Standing},
};

/// All ranks of the run.
#[derive(Debug)]
pub(super) struct Ranks {
    /// Ranks that have neither reported nor been lost.
    missing: BTreeSet<RankId>,
    /// Every rank with a time at which it was heard from, which may be an old one. For the first it is the last time.
    heard: BinaryHeap<Reverse<(Tick, RankId)>>,
    /// Engines that were ready on some rank.
    proven: EngineSet,
    /// Number of ranks whose server for the engine is lost.
    failures: BTreeMap<Engine, u32>,
    /// Lost ranks. A report of theirs that was still under way does not bring them back.
    gone: BTreeSet<RankId>,
    /// The highest credits that any rank has reported.
    most_credits: u32,
    states: BTreeMap<RankId, RankState>,
    /// Ranks that may be given pages for the engine and have credits for some.
    underfilled: BTreeMap<Engine, BTreeSet<RankId>>,
    /// Those of them that hold no page at all, and return pages.
    idle: BTreeMap<Engine, BTreeSet<RankId>>,
    /// Ranks that could switch to the engine.
    turnable: BTreeMap<Engine, SwitchableRanks>,
    /// Ranks that are draining for a switch and hold no pages any more.
    drained: BTreeSet<RankId>,
    /// Ranks with a server to be restarted or given up now.
    failing: BTreeSet<RankId>,
    totals: BTreeMap<Engine, Totals>,
}

/// Ranks that could switch to one engine.
#[derive(Debug, Default)]
struct SwitchableRanks {
    /// Ranks that hold no pages.
    idle: BTreeSet<SwitchCandidate>,
    /// Ranks that hold pages.
    busy: BTreeSet<SwitchCandidate>,
}

/// Sums over the ranks of an engine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Ranks that serve it or will, including those that would first have to be told to switch.
    able: u64,
    /// Ranks that serve it or will, without such an order, and whose server gets pages.
    pub(super) serving: u64,
    /// Ranks that may be given pages for it.
    pub(super) ready: u64,
    /// Pages that those hold.
    pub(super) held: u64,
}

impl Ranks {
    pub(super) fn new(size: u32, engines: EngineSet) -> Self {
        let underfilled: BTreeMap<_, _> = engines.iter().map(|engine| (engine, BTreeSet::new())).collect();
        Ranks {
            missing: (0..size).map(RankId).collect(),
            heard: BinaryHeap::new(),
            proven: EngineSet::default(),
            failures: BTreeMap::new(),
            gone: BTreeSet::new(),
            most_credits: 0,
            states: BTreeMap::new(),
            idle: underfilled.clone(),
            underfilled,
            turnable: BTreeMap::new(),
            drained: BTreeSet::new(),
            failing: BTreeSet::new(),
            totals: BTreeMap::new(),
        }
    }

    pub(super) fn join(&mut self, rank: RankId, role: Role, credits: u32, now: Tick) {
        if self.gone.contains(&rank) || self.states.contains_key(&rank) {
            return;
        }
        self.missing.remove(&rank);
        self.most_credits = self.most_credits.max(credits);
        let state = RankState::new(role, credits, now);
        self.index(rank, &state);
        self.states.insert(rank, state);
        self.heard.push(Reverse((now, rank)));
    }

    pub(super) fn remove(&mut self, rank: RankId) {
        if !self.gone.insert(rank) {
            return;
        }
        match self.states.remove(&rank) {
            Some(state) => self.unindex(rank, &state),
            None => drop(self.missing.remove(&rank)),
        }
        self.update_heard();
    }

    pub(super) fn heard_from(&mut self, rank: RankId, now: Tick) {
        if let Some(state) = self.states.get_mut(&rank) {
            state.heard = now;
            self.update_heard();
        }
    }

    /// Makes the time of the first entry in `heard` its rank's last one. A message so costs little, however many ranks
    /// there are: an entry moves only when it is the first.
    fn update_heard(&mut self) {
        while let Some(Reverse((entry, rank))) = self.heard.peek().copied() {
            match self.states.get(&rank).map(|state| state.heard) {
                Some(heard) if heard == entry => return,
                heard => {
                    self.heard.pop();
                    self.heard.extend(heard.map(|heard| Reverse((heard, rank))));
                }
            }
        }
    }

    /// The rank that has been silent for longest, and when it was last heard from.
    pub(super) fn longest_unheard(&self) -> Option<(RankId, Tick)> {
        self.heard.peek().map(|Reverse((heard, rank))| (*rank, *heard))
    }

    /// The first rank that has neither reported nor been lost.
    pub(super) fn missing(&self) -> Option<RankId> {
        self.missing.first().copied()
    }

    /// Counts an expired lease of the rank.
    pub(super) fn unanswered(&mut self, rank: RankId) {
        self.update(rank, |state| state.unanswered = state.unanswered.saturating_add(1));
    }

    /// The rank returned or settled a page.
    pub(super) fn answered(&mut self, rank: RankId, now: Tick) {
        let Some(state) = self.states.get_mut(&rank) else { return };
        state.answered = Some(now);
        if state.unanswered > 0 {
            self.update(rank, |state| state.unanswered = 0);
        }
    }

    /// The rank with fewest pages that has a free credit, for a page that asks nothing of its engines.
    pub(super) fn with_free_credit(&self) -> Option<RankId> {
        let has_free_credit =
            |state: &RankState| state.held < state.credits && !state.is_isolated && !state.is_turning();
        let candidates = self.iter().filter(|(_, state)| has_free_credit(state));
        candidates.min_by_key(|(rank, state)| (state.unanswered, state.held, *rank)).map(|(rank, _)| rank)
    }

    /// Whether a rank besides `one` serves the engine, or will, and returns pages.
    pub(super) fn another_serves(&self, engine: Engine, one: Option<RankId>) -> bool {
        let serves = |state: &RankState| {
            state.serves(engine) && !state.is_exhausted() && state.standing(engine) == Standing::Trusted
        };
        !self.missing.is_empty() || self.iter().any(|(rank, state)| Some(rank) != one && serves(state))
    }

    /// Whether ranks serve the engine and none of them returns pages.
    pub(super) fn all_exhausted(&self, engine: Engine) -> bool {
        let mut serving = self.iter().filter(|(_, state)| state.serves(engine)).peekable();
        self.missing.is_empty() && serving.peek().is_some() && serving.all(|(_, state)| state.is_exhausted())
    }

    /// The rank's server has read a page.
    pub(super) fn server_read(&mut self, rank: RankId, engine: Engine) {
        let Some(state) = self.states.get_mut(&rank) else { return };
        (state.has_read, state.died) = (state.has_read.with(engine), state.died.without(engine));
        if state.has_failures(engine) {
            self.update(rank, |state| state.server_read(engine));
        }
    }

    /// The rank's server died with a page in flight.
    pub(super) fn server_died(&mut self, rank: RankId, engine: Engine) {
        if let Some(state) = self.states.get_mut(&rank) {
            state.died = state.died.with(engine);
        }
    }

    /// The rank's server has failed a page. Gives whether that is believed at once.
    pub(super) fn server_failed(&mut self, rank: RankId, engine: Engine) -> bool {
        self.update(rank, |state| state.trust(engine).failed()).unwrap_or_default()
    }

    /// The failure of the rank's server on the page is in doubt.
    pub(super) fn doubt(&mut self, rank: RankId, engine: Engine, page: PageRef) {
        self.update(rank, |state| state.trust(engine).doubt(page));
    }

    /// The failure of the rank's server on the page counts.
    pub(super) fn believe(&mut self, rank: RankId, engine: Engine, before: PageBefore) {
        self.update(rank, |state| state.trust(engine).believe(before));
    }

    /// The failure of the rank's server on the page, which was in doubt, is confirmed by others.
    pub(super) fn confirmed(&mut self, rank: RankId, engine: Engine, page: PageRef) {
        self.update(rank, |state| state.trust(engine).confirmed(page));
    }

    /// Another server has read the page. Gives the failures of this one that are no longer believed.
    pub(super) fn contradicted(&mut self, rank: RankId, engine: Engine, page: PageRef) -> Vec<PageBefore> {
        self.update(rank, |state| state.trust(engine).contradicted(page)).unwrap_or_default()
    }

    /// Servers to be restarted or given up now.
    pub(super) fn failing(&self) -> Vec<(RankId, Engine, Standing)> {
        let server = |rank: &RankId| {
            let (engine, standing) = self.get(*rank)?.failing_server()?;
            Some((*rank, engine, standing))
        };
        self.failing.iter().filter_map(server).collect()
    }

    /// The rank's server is to be restarted.
    pub(super) fn restart_server(&mut self, rank: RankId, engine: Engine) {
        self.update(rank, |state| state.restart_server(engine));
    }

    /// Whether a server besides those of `failed_by` can read pages of the engine, or will.
    pub(super) fn another_can_try(&self, engine: Engine, failed_by: &BTreeSet<RankId>) -> bool {
        let none_serves = self.totals(engine).serving == 0;
        !self.missing.is_empty()
            || self.iter().any(|(rank, state)| {
                state.engines.contains(engine)
                    && (state.serves(engine) || none_serves)
                    && state.standing(engine) == Standing::Trusted
                    && !state.is_exhausted()
                    && !failed_by.contains(&rank)
            })
    }

    /// The rank with the fewest failures that can be given a page which servers of the ranks `failed_by` have failed.
    pub(super) fn that_can_try(
        &self,
        engine: Engine,
        failed_by: &BTreeSet<RankId>,
        set_aside: &[RankId],
    ) -> Option<RankId> {
        let can_try = |(rank, state): &(RankId, &RankState)| {
            let has_room = !state.is_isolated && state.held < state.capacity();
            state.may_try(engine) && has_room && !failed_by.contains(rank) && !set_aside.contains(rank)
        };
        let candidates = self.iter().filter(can_try);
        candidates.min_by_key(|(rank, state)| (state.failures(engine), state.held, *rank)).map(|(rank, _)| rank)
    }

    /// Whether every rank that may be given pages for the engine has failed its last one.
    pub(super) fn all_fail(&self, engine: Engine) -> bool {
        self.iter().filter(|(_, state)| state.may_try(engine)).all(|(_, state)| state.failures(engine) > 0)
    }

    /// Marks the engine as ready. Gives the switch or start that this completes, if any.
    pub(super) fn engine_ready(&mut self, rank: RankId, engine: Engine, now: Tick) -> Option<CompletedSwitch> {
        self.proven = self.proven.with(engine);
        self.update(rank, |state| state.engine_ready(engine, now)).flatten()
    }

    /// The rank could not start its server, or not restart it.
    pub(super) fn server_lost(&mut self, rank: RankId, engine: Engine) {
        *self.failures.entry(engine).or_default() += 1;
        self.engine_lost(rank, engine);
    }

    /// Whether so many servers of the engine are lost, and none was ever ready, that no rank switches to it any more:
    /// the fault is the same on all ranks.
    pub(super) fn is_given_up(&self, engine: Engine) -> bool {
        /// A single failure may be a fault of its rank.
        const FAILURES: u32 = 2;
        !self.proven.contains(engine) && self.failures.get(&engine).is_some_and(|failures| *failures >= FAILURES)
    }

    pub(super) fn engine_lost(&mut self, rank: RankId, engine: Engine) {
        self.update(rank, |state| state.engine_lost(engine));
    }

    /// All ranks lose the engine.
    pub(super) fn all_lose(&mut self, engine: Engine) {
        let ranks: Vec<_> = self.states.keys().copied().collect();
        ranks.into_iter().for_each(|rank| self.engine_lost(rank, engine));
    }

    /// The rank gets no more pages until it switches to `engine`.
    pub(super) fn drain_for_switch(&mut self, rank: RankId, engine: Engine) {
        self.update(rank, |state| state.drain_for_switch(engine));
    }

    /// The rank, which was draining for a switch, continues with its engine.
    pub(super) fn cancel_switch(&mut self, rank: RankId) {
        self.update(rank, RankState::cancel_switch);
    }

    /// The rank has been ordered to switch.
    pub(super) fn switch_role(&mut self, rank: RankId, engine: Engine, now: Tick) {
        self.update(rank, |state| state.switch_role(engine, now));
    }

    /// The rank was given `pages`.
    pub(super) fn take(&mut self, rank: RankId, pages: u32, isolated: bool) {
        self.update(rank, |state| {
            state.held += pages;
            state.is_isolated = isolated;
        });
    }

    /// The rank settled or returned a page.
    pub(super) fn release(&mut self, rank: RankId) {
        self.update(rank, |state| {
            state.held -= 1;
            state.is_isolated &= state.held > 0;
        });
    }

    pub(super) fn get(&self, rank: RankId) -> Option<&RankState> {
        self.states.get(&rank)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RankId, &RankState)> {
        self.states.iter().map(|(rank, state)| (*rank, state))
    }

    /// Ranks that may be given pages for the engine and have credits for some, in order.
    pub(super) fn underfilled(&self, engine: Engine) -> Vec<RankId> {
        self.underfilled.get(&engine).into_iter().flatten().copied().collect()
    }

    /// Ranks that may be given pages for the engine, return pages and hold none, in order.
    pub(super) fn without_pages(&self, engine: Engine) -> Vec<RankId> {
        self.idle.get(&engine).into_iter().flatten().copied().collect()
    }

    /// Ranks without pages that could switch to the engine: the first of each kind, the best kind first.
    pub(super) fn idle(&self, engine: Engine) -> impl Iterator<Item = SwitchCandidate> {
        self.turnable_to(engine).flat_map(|turnable| by_kind(&turnable.idle))
    }

    /// The same for ranks with pages.
    pub(super) fn switchable_when_drained(&self, engine: Engine) -> impl Iterator<Item = SwitchCandidate> {
        self.turnable_to(engine).flat_map(|turnable| by_kind(&turnable.busy))
    }

    fn turnable_to(&self, engine: Engine) -> impl Iterator<Item = &SwitchableRanks> {
        self.turnable.get(&engine).filter(|_| !self.is_given_up(engine)).into_iter()
    }

    /// The highest credits of any rank.
    pub(super) fn most_credits(&self) -> u32 {
        self.most_credits
    }

    /// Ranks that have drained for a switch, in order.
    pub(super) fn drained(&self) -> Vec<RankId> {
        self.drained.iter().copied().collect()
    }

    /// Whether some rank serves the engine, or may still come to serve it.
    pub(super) fn may_serve(&self, engine: Engine) -> bool {
        let turns = !self.is_given_up(engine);
        let may = |totals: &Totals| if turns { totals.able > 0 } else { totals.serving > 0 };
        !self.missing.is_empty() || self.totals.get(&engine).is_some_and(may)
    }

    pub(super) fn is_gone(&self, rank: RankId) -> bool {
        self.gone.contains(&rank)
    }

    /// Ranks that may be given single pages for the engine, in order.
    pub(super) fn ready(&self, engine: Engine) -> Vec<RankId> {
        let ready = |state: &RankState| state.takes(engine) || state.may_try(engine);
        self.iter().filter(|(_, state)| ready(state)).map(|(rank, _)| rank).collect()
    }

    /// Sums over the ranks of the engine. A rank that has not reported yet counts as serving it.
    pub(super) fn totals(&self, engine: Engine) -> Totals {
        let totals = self.totals.get(&engine).copied().unwrap_or_default();
        Totals { serving: totals.serving + self.missing.len() as u64, ..totals }
    }

    /// Adds a rank's state to the totals (`sign` 1) or subtracts it (-1).
    fn total(&mut self, state: &RankState, sign: i64) {
        for engine in state.engines.iter() {
            let (serves, takes) = (i64::from(state.is_of_use(engine)), i64::from(state.takes(engine)));
            let totals = self.totals.entry(engine).or_default();
            totals.able = totals.able.saturating_add_signed(sign);
            totals.serving = totals.serving.saturating_add_signed(sign * serves);
            totals.ready = totals.ready.saturating_add_signed(sign * takes);
            totals.held = totals.held.saturating_add_signed(sign * takes * i64::from(state.held));
        }
    }

    /// Enters a rank into the totals and sets that its state belongs to.
    fn index(&mut self, rank: RankId, state: &RankState) {
        self.total(state, 1);
        for (engine, ranks) in &mut self.underfilled {
            if state.takes(*engine) && state.wants_pages() {
                ranks.insert(rank);
            }
        }
        for (engine, ranks) in &mut self.idle {
            if state.takes(*engine) && state.wants_pages() && state.held == 0 && state.unanswered == 0 {
                ranks.insert(rank);
            }
        }
        for (engine, candidate) in candidates(rank, state) {
            let turnable = self.turnable.entry(engine).or_default();
            if state.held == 0 { &mut turnable.idle } else { &mut turnable.busy }.insert(candidate);
        }
        if state.drains_for().is_some() && state.held == 0 {
            self.drained.insert(rank);
        }
        if state.failing_server().is_some() {
            self.failing.insert(rank);
        }
    }

    /// Removes it from them.
    fn unindex(&mut self, rank: RankId, state: &RankState) {
        self.total(state, -1);
        for ranks in self.underfilled.values_mut().chain(self.idle.values_mut()) {
            ranks.remove(&rank);
        }
        for (engine, candidate) in candidates(rank, state) {
            if let Some(turnable) = self.turnable.get_mut(&engine) {
                turnable.idle.remove(&candidate);
                turnable.busy.remove(&candidate);
            }
        }
        self.drained.remove(&rank);
        self.failing.remove(&rank);
    }

    fn update<T>(&mut self, rank: RankId, change: impl FnOnce(&mut RankState) -> T) -> Option<T> {
        // Its place stays: to remove and insert it would split and merge the nodes of the map at each message.
        let mut state = std::mem::take(self.states.get_mut(&rank)?);
        self.unindex(rank, &state);
        let result = change(&mut state);
        self.index(rank, &state);
        *self.states.get_mut(&rank)? = state;
        Some(result)
    }
}

/// The first candidate of each kind, in order.
fn by_kind(candidates: &BTreeSet<SwitchCandidate>) -> impl Iterator<Item = SwitchCandidate> {
    std::iter::successors(candidates.first().copied(), |last| {
        let same = SwitchCandidate { rank: RankId(u32::MAX), ..*last };
        candidates.range((Bound::Excluded(same), Bound::Unbounded)).next().copied()
    })
}

/// The engines that a rank could switch to, and its position among the candidates for each.
fn candidates(rank: RankId, state: &RankState) -> impl Iterator<Item = (Engine, SwitchCandidate)> {
    state.could_turn().map(move |(from, engine, kind)| {
        (engine, SwitchCandidate { of_use_where_it_is: state.engines.contains(from), kind, from, rank })
    })
}
