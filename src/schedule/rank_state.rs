//! The state of one rank: what it serves, and how many pages it holds.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Engine, EngineSet, PageRef, RankId, Role};

use super::{
    open_page::MOST_EXPIRIES,
    protocol::Tick,
    server_trust::{ServerTrust, Standing},
};

/// A rank that has reported.
#[derive(Debug, Default)]
pub(super) struct RankState {
    /// Engines that it serves or will serve.
    pub(super) engines: EngineSet,
    /// Engines whose server is ready.
    pub(super) ready: EngineSet,
    /// Maximum number of pages that it may hold.
    pub(super) credits: u32,
    /// Number of pages that it holds.
    pub(super) held: u32,
    /// Leases that expired on it since it last settled or returned a page.
    pub(super) unanswered: u32,
    /// It holds pages of an isolated trial and gets no others.
    pub(super) is_isolated: bool,
    /// Engines whose server has read a page on it.
    pub(super) has_read: EngineSet,
    /// Engines whose server has died on it and has read no page since.
    pub(super) died: EngineSet,
    /// When it reported; its servers start then.
    joined: Tick,
    /// When it was last heard from.
    pub(super) heard: Tick,
    /// When it last settled or returned a page.
    pub(super) answered: Option<Tick>,
    /// How far failures of its servers are believed; only of servers that failed pages lately.
    trust: BTreeMap<Engine, ServerTrust>,
    /// Only for a rank that serves one engine at a time.
    in_turn: Option<OneAtATime>,
}

/// State of a rank that serves one engine at a time.
#[derive(Debug, Clone, Copy)]
struct OneAtATime {
    /// The engine that it serves, or will serve next.
    engine: Engine,
    step: SwitchStep,
    /// Engines that were ready on it before.
    known: EngineSet,
}

/// Progress of a role switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SwitchStep {
    /// No switch: it serves its engine, or starts to.
    Stays,
    /// It holds pages of the engine `from`, which it leaves, and gets no more of them.
    Draining { from: Engine },
    /// It was ordered to switch at this time; no engine is ready.
    Switching { since: Tick },
}

/// Kind of a role switch, by what the rank has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SwitchKind {
    /// It has served the engine before: the server may only be asleep.
    Back,
    /// The server is started for the first time.
    First,
    /// The first server of the rank.
    Start,
}

/// A completed role switch or start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompletedSwitch {
    pub(super) kind: SwitchKind,
    pub(super) took: Duration,
}

/// A rank that could switch. Ordered by preference, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SwitchCandidate {
    /// It can still serve the engine that it would leave.
    pub(super) of_use_where_it_is: bool,
    pub(super) kind: SwitchKind,
    /// The engine that it would leave.
    pub(super) from: Engine,
    pub(super) rank: RankId,
}

impl RankState {
    pub(super) fn new(role: Role, credits: u32, now: Tick) -> Self {
        let in_turn = |engine| OneAtATime { engine, step: SwitchStep::Stays, known: EngineSet::default() };
        RankState {
            engines: role.engines(),
            ready: EngineSet::default(),
            credits,
            held: 0,
            unanswered: 0,
            is_isolated: false,
            has_read: EngineSet::default(),
            died: EngineSet::default(),
            joined: now,
            heard: now,
            answered: None,
            trust: BTreeMap::new(),
            in_turn: role.first().first().filter(|_| matches!(role, Role::OneAtATime(_))).map(in_turn),
        }
    }

    /// Whether it serves the engine or will, without an order to switch.
    pub(super) fn serves(&self, engine: Engine) -> bool {
        self.engines.contains(engine) && self.in_turn.is_none_or(|turn| turn.engine == engine)
    }

    /// Whether it may be given pages for the engine now.
    pub(super) fn takes(&self, engine: Engine) -> bool {
        let trust = self.trust.get(&engine);
        let alone = self.held == 0 || self.standing(engine) != Standing::OnTrial;
        self.is_able(engine) && alone && trust.is_none_or(ServerTrust::takes_pages)
    }

    /// Whether it may be given pages for the engine now that other servers have failed.
    pub(super) fn may_try(&self, engine: Engine) -> bool {
        self.is_able(engine) && self.standing(engine) == Standing::Trusted
    }

    /// Whether it serves the engine or will, and its server gets pages.
    pub(super) fn is_of_use(&self, engine: Engine) -> bool {
        let is_trusted = |trust: &ServerTrust| trust.standing() == Standing::Trusted && trust.takes_pages();
        self.serves(engine) && self.trust.get(&engine).is_none_or(is_trusted)
    }

    fn is_able(&self, engine: Engine) -> bool {
        self.ready.contains(engine) && self.serves(engine) && !self.is_exhausted()
    }

    /// What its server of the engine may do.
    pub(super) fn standing(&self, engine: Engine) -> Standing {
        self.trust.get(&engine).map_or(Standing::Trusted, ServerTrust::standing)
    }

    /// Number of pages that its server has failed in a row.
    pub(super) fn failures(&self, engine: Engine) -> u32 {
        self.trust.get(&engine).map_or(0, ServerTrust::failures)
    }

    /// How far failures of its server are believed.
    pub(super) fn trust(&mut self, engine: Engine) -> &mut ServerTrust {
        self.trust.entry(engine).or_default()
    }

    /// Whether its server has failed pages lately.
    pub(super) fn has_failures(&self, engine: Engine) -> bool {
        self.trust.contains_key(&engine)
    }

    /// Its server has read a page.
    pub(super) fn server_read(&mut self, engine: Engine) {
        if self.trust.get_mut(&engine).is_some_and(ServerTrust::read) {
            self.trust.remove(&engine);
        }
    }

    /// Whether a failure of its server on this page is in doubt.
    pub(super) fn doubts(&self, engine: Engine, page: PageRef) -> bool {
        self.trust.get(&engine).is_some_and(|trust| trust.doubts(page))
    }

    /// All pages on which a failure of one of its servers is in doubt.
    pub(super) fn all_doubts(&self) -> impl Iterator<Item = (Engine, PageRef)> {
        self.trust.iter().flat_map(|(engine, trust)| trust.all_doubts().map(|page| (*engine, page)))
    }

    /// The engine whose server is to be restarted or given up now, and what it may do.
    pub(super) fn failing_server(&self) -> Option<(Engine, Standing)> {
        let mut servers = self.trust.iter().map(|(engine, trust)| (*engine, trust.standing()));
        servers.find(|(engine, standing)| match standing {
            Standing::Suspended => self.held == 0 && self.ready.contains(*engine),
            Standing::GivenUp => true,
            Standing::Trusted | Standing::Restarting | Standing::OnTrial => false,
        })
    }

    /// Its server is to be restarted.
    pub(super) fn restart_server(&mut self, engine: Engine) {
        self.ready = self.ready.without(engine);
        self.trust(engine).restart();
    }

    /// A rank is refilled when a quarter of its credits is free, so that a message carries several pages.
    pub(super) fn wants_pages(&self) -> bool {
        let capacity = self.capacity();
        let free = capacity.saturating_sub(self.held);
        !self.is_isolated && free > 0 && free * 4 >= capacity
    }

    /// Maximum number of pages that it is given: its credits. One page, if as many leases expired on it while it
    /// returned no page; none, if several single pages did not come back either.
    pub(super) fn capacity(&self) -> u32 {
        if self.is_exhausted() {
            0
        } else if self.is_probed() {
            1
        } else {
            self.credits
        }
    }

    /// Whether it gets one page at a time, because the rank may hang and not the pages.
    pub(super) fn is_probed(&self) -> bool {
        self.unanswered >= self.most_unanswered()
    }

    /// Whether it gets no pages, because it returns none.
    pub(super) fn is_exhausted(&self) -> bool {
        /// Number of single pages that must not come back either.
        const PROBES: u32 = 3;
        self.unanswered >= self.most_unanswered().saturating_add(PROBES)
    }

    /// One page that hangs says nothing about the rank, even where it holds one at a time.
    fn most_unanswered(&self) -> u32 {
        self.credits.max(MOST_EXPIRIES as u32 + 1)
    }

    /// The engine that it would leave, each engine that it could switch to, and the kind of switch.
    pub(super) fn could_turn(&self) -> impl Iterator<Item = (Engine, Engine, SwitchKind)> {
        let turn = self.in_turn.filter(|turn| turn.step == SwitchStep::Stays);
        turn.into_iter().flat_map(move |turn| {
            let starts = turn.known.is_empty() && self.engines.contains(turn.engine);
            let kind = move |engine| if starts { SwitchKind::Start } else { turn.kind(engine) };
            self.engines.without(turn.engine).iter().map(move |engine| (turn.engine, engine, kind(engine)))
        })
    }

    /// Time since it reported.
    pub(super) fn age(&self, now: Tick) -> Duration {
        now.0.saturating_sub(self.joined.0)
    }

    /// The engine that it switches to as soon as it holds no pages, and the kind of switch.
    pub(super) fn drains_for(&self) -> Option<(Engine, SwitchKind)> {
        let turn = self.in_turn.filter(|turn| matches!(turn.step, SwitchStep::Draining { .. }))?;
        Some((turn.engine, turn.kind(turn.engine)))
    }

    /// Whether it was ordered to switch and has not reported the new engine yet.
    pub(super) fn is_turning(&self) -> bool {
        self.in_turn.is_some_and(|turn| matches!(turn.step, SwitchStep::Switching { .. }))
    }

    /// Its server is ready. A report about an engine that it has been ordered to leave since is out of date and
    /// ignored.
    pub(super) fn engine_ready(&mut self, engine: Engine, now: Tick) -> Option<CompletedSwitch> {
        if !self.engines.contains(engine) {
            return None;
        }
        if let Some(trust) = self.trust.get_mut(&engine) {
            trust.ready();
        }
        let started = CompletedSwitch { kind: SwitchKind::Start, took: self.age(now) };
        let Some(turn) = self.in_turn.as_mut() else {
            let known = self.ready.contains(engine);
            self.ready = self.ready.with(engine);
            return (!known).then_some(started);
        };
        if turn.engine != engine || matches!(turn.step, SwitchStep::Draining { .. }) {
            return None;
        }
        let kind = turn.kind(engine);
        let turned = match turn.step {
            SwitchStep::Switching { since } => Some(CompletedSwitch { kind, took: now.0.saturating_sub(since.0) }),
            SwitchStep::Stays | SwitchStep::Draining { .. } => (kind == SwitchKind::First).then_some(started),
        };
        turn.step = SwitchStep::Stays;
        turn.known = turn.known.with(engine);
        self.ready = EngineSet::only(engine);
        turned
    }

    /// It will never again serve the engine. A switch to it ends.
    pub(super) fn engine_lost(&mut self, engine: Engine) {
        self.engines = self.engines.without(engine);
        self.ready = self.ready.without(engine);
        self.trust.remove(&engine);
        let Some(turn) = self.in_turn.as_mut().filter(|turn| turn.engine == engine) else { return };
        if let SwitchStep::Draining { from } = turn.step {
            turn.engine = from;
        }
        turn.step = SwitchStep::Stays;
    }

    /// It gets no more pages until it switches to `engine`.
    pub(super) fn drain_for_switch(&mut self, engine: Engine) {
        if let Some(turn) = &mut self.in_turn {
            turn.step = SwitchStep::Draining { from: turn.engine };
            turn.engine = engine;
        }
    }

    /// It continues with its engine.
    pub(super) fn cancel_switch(&mut self) {
        if let Some(turn) = &mut self.in_turn
            && let SwitchStep::Draining { from } = turn.step
        {
            turn.engine = from;
            turn.step = SwitchStep::Stays;
        }
    }

    /// It has been ordered to switch.
    pub(super) fn switch_role(&mut self, engine: Engine, now: Tick) {
        if let Some(turn) = &mut self.in_turn {
            turn.engine = engine;
            turn.step = SwitchStep::Switching { since: now };
            self.ready = EngineSet::default();
        }
    }
}

impl OneAtATime {
    fn kind(&self, engine: Engine) -> SwitchKind {
        if self.known.contains(engine) { SwitchKind::Back } else { SwitchKind::First }
    }
}
