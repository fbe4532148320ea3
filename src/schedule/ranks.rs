//! What each rank can do, and how much it holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Engine, EngineSet, RankId, Role};

use super::protocol::Tick;

/// One rank that has reported itself.
#[derive(Debug)]
pub(super) struct RankState {
    /// Engines it serves or will serve.
    pub(super) engines: EngineSet,
    /// Those whose server is ready.
    pub(super) ready: EngineSet,
    /// Most pages it will hold.
    pub(super) credits: u32,
    /// Pages it holds.
    pub(super) held: u32,
    /// It holds a suspect page, which must stay alone.
    pub(super) holds_suspect: bool,
    /// When it was last heard of.
    heard: Tick,
}

impl RankState {
    /// A rank is refilled when a quarter of its credits is free, so that a message carries several pages.
    fn wants_pages(&self) -> bool {
        let free = self.credits - self.held;
        !self.holds_suspect && free > 0 && free * 4 >= self.credits
    }
}

/// All ranks of the run.
#[derive(Debug)]
pub(super) struct Ranks {
    size: u32,
    /// Ranks that have not reported yet, nor been lost.
    awaited: u32,
    /// Engines that some rank has ever served.
    known: EngineSet,
    /// Ranks that were lost; a report of theirs that was still under way does not bring them back.
    gone: BTreeSet<RankId>,
    states: BTreeMap<RankId, RankState>,
    /// Ranks that are ready for the engine and want pages: keeps a step independent of the number of ranks.
    hungry: BTreeMap<Engine, BTreeSet<RankId>>,
    totals: BTreeMap<Engine, Totals>,
}

/// Sums over the ranks of an engine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Ranks that serve it or will.
    pub(super) serving: u64,
    /// Ranks that are ready for it.
    pub(super) ready: u64,
    /// Pages that ready ranks hold.
    pub(super) held: u64,
}

impl Ranks {
    pub(super) fn new(size: u32) -> Self {
        let hungry = Engine::ALL.into_iter().map(|engine| (engine, BTreeSet::new())).collect();
        Ranks {
            size,
            awaited: size,
            known: EngineSet::default(),
            gone: BTreeSet::new(),
            states: BTreeMap::new(),
            hungry,
            totals: BTreeMap::new(),
        }
    }

    pub(super) fn join(&mut self, rank: RankId, role: Role, credits: u32, now: Tick) {
        let engines = role.engines();
        if self.gone.contains(&rank) || self.states.contains_key(&rank) {
            return;
        }
        self.awaited = self.awaited.saturating_sub(1);
        let state =
            RankState { engines, ready: EngineSet::default(), credits, held: 0, holds_suspect: false, heard: now };
        self.known = engines.iter().fold(self.known, EngineSet::with);
        self.total(&state, 1);
        self.states.insert(rank, state);
    }

    pub(super) fn remove(&mut self, rank: RankId) {
        if !self.gone.insert(rank) {
            return;
        }
        match self.states.remove(&rank) {
            Some(state) => self.total(&state, -1),
            None => self.awaited = self.awaited.saturating_sub(1),
        }
        self.hungry.values_mut().for_each(|ranks| {
            ranks.remove(&rank);
        });
    }

    pub(super) fn heard(&mut self, rank: RankId, now: Tick) {
        if let Some(state) = self.states.get_mut(&rank) {
            state.heard = now;
        }
    }

    /// A rank that was last heard of before `since`, or one that has not reported although `all_must_be_there`.
    pub(super) fn silent(&self, since: Option<Tick>, all_must_be_there: bool) -> Option<RankId> {
        let silent = self.states.iter().find(|(_, state)| since.is_some_and(|since| state.heard < since));
        let missing = || {
            let unseen = |rank: &RankId| !self.states.contains_key(rank) && !self.gone.contains(rank);
            (0..self.size).map(RankId).find(unseen).filter(|_| all_must_be_there && self.awaited > 0)
        };
        silent.map(|(rank, _)| *rank).or_else(missing)
    }

    pub(super) fn engine_ready(&mut self, rank: RankId, engine: Engine) {
        self.update(rank, |state| state.ready = state.ready.with(engine));
    }

    pub(super) fn engine_lost(&mut self, rank: RankId, engine: Engine) {
        self.update(rank, |state| {
            state.engines = state.engines.without(engine);
            state.ready = state.ready.without(engine);
        });
    }

    /// The rank was given `pages`; a suspect comes alone.
    pub(super) fn take(&mut self, rank: RankId, pages: u32, suspect: bool) {
        self.update(rank, |state| {
            state.held += pages;
            state.holds_suspect = suspect;
        });
    }

    /// The rank settled a page or gave it back.
    pub(super) fn release(&mut self, rank: RankId, suspect: bool) {
        self.update(rank, |state| {
            state.held -= 1;
            state.holds_suspect &= !suspect;
        });
    }

    pub(super) fn get(&self, rank: RankId) -> Option<&RankState> {
        self.states.get(&rank)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RankId, &RankState)> {
        self.states.iter().map(|(rank, state)| (*rank, state))
    }

    /// Ranks that are ready for the engine and want pages, in order.
    pub(super) fn hungry(&self, engine: Engine) -> Vec<RankId> {
        self.hungry.get(&engine).into_iter().flatten().copied().collect()
    }

    /// Whether some rank serves the engine, or may yet turn out to.
    pub(super) fn may_serve(&self, engine: Engine) -> bool {
        self.awaited > 0 || self.states.values().any(|state| state.engines.contains(engine))
    }

    pub(super) fn is_gone(&self, rank: RankId) -> bool {
        self.gone.contains(&rank)
    }

    /// Whether some rank has ever served the engine.
    pub(super) fn ever_served(&self, engine: Engine) -> bool {
        self.known.contains(engine)
    }

    /// Ranks that are ready for the engine, in order.
    pub(super) fn ready(&self, engine: Engine) -> Vec<RankId> {
        self.iter().filter(|(_, state)| state.ready.contains(engine)).map(|(rank, _)| rank).collect()
    }

    /// Sums over the ranks of the engine; a rank that has not reported yet may serve it.
    pub(super) fn totals(&self, engine: Engine) -> Totals {
        let totals = self.totals.get(&engine).copied().unwrap_or_default();
        Totals { serving: totals.serving + u64::from(self.awaited), ..totals }
    }

    /// Puts a rank's state into the totals (`sign` 1) or takes it out (-1).
    fn total(&mut self, state: &RankState, sign: i64) {
        for engine in state.engines.iter() {
            let ready = state.ready.contains(engine);
            let totals = self.totals.entry(engine).or_default();
            totals.serving = totals.serving.saturating_add_signed(sign);
            totals.ready = totals.ready.saturating_add_signed(sign * i64::from(ready));
            totals.held = totals.held.saturating_add_signed(sign * i64::from(ready) * i64::from(state.held));
        }
    }

    fn update(&mut self, rank: RankId, change: impl FnOnce(&mut RankState)) {
        let Some(mut state) = self.states.remove(&rank) else { return };
        self.total(&state, -1);
        change(&mut state);
        self.total(&state, 1);
        for (engine, ranks) in &mut self.hungry {
            if state.ready.contains(*engine) && state.wants_pages() {
                ranks.insert(rank);
            } else {
                ranks.remove(&rank);
            }
        }
        self.states.insert(rank, state);
    }
}
