//! One rank: what it can do, and how much it holds.

use std::time::Duration;

use crate::model::{Engine, EngineSet, RankId, Role};

use super::{open_page::MOST_EXPIRIES, protocol::Tick};

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
    /// Leases that expired on it since it last gave a page back, settled or not.
    pub(super) unanswered: u32,
    /// It holds a suspect page, which must stay alone.
    pub(super) holds_suspect: bool,
    /// When it reported itself; its servers are started then.
    joined: Tick,
    /// When it was last heard of.
    pub(super) heard: Tick,
    /// When it last gave a page back, settled or not.
    pub(super) answered: Option<Tick>,
    /// For a rank that serves one engine at a time: which, and whether it turns.
    in_turn: Option<OneAtATime>,
}

/// Where a rank stands that serves one engine at a time.
#[derive(Debug, Clone, Copy)]
struct OneAtATime {
    /// The engine that it serves, or will serve next.
    engine: Engine,
    step: SwitchStep,
    /// Engines that it has been ready for.
    known: EngineSet,
}

/// How far a rank is with its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SwitchStep {
    /// It serves its engine, or starts to.
    Stays,
    /// It holds pages of the other engine, and gets no more of them.
    Draining,
    /// It was told to turn at this time, and is ready for none.
    RoleSwitchTimes { since: Tick },
}

/// What a rank must do to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SwitchKind {
    /// It has served the engine before: the server may only be asleep.
    Back,
    /// The server is started for the first time.
    First,
    /// No turn: the server is started with the rank.
    Start,
}

/// A turn, or a start, that has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompletedSwitch {
    pub(super) kind: SwitchKind,
    pub(super) took: Duration,
}

/// A rank that could turn. In the order in which they are best taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SwitchCandidate {
    /// It can still serve the engine that it would leave.
    pub(super) of_use_where_it_is: bool,
    pub(super) kind: SwitchKind,
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
            holds_suspect: false,
            joined: now,
            heard: now,
            answered: None,
            in_turn: role.first().iter().next().filter(|_| role == Role::OneAtATime).map(in_turn),
        }
    }

    /// Whether it serves the engine or will, without being told to turn.
    pub(super) fn serves(&self, engine: Engine) -> bool {
        self.engines.contains(engine) && self.in_turn.is_none_or(|turn| turn.engine == engine)
    }

    /// Whether it may be given pages for the engine now.
    pub(super) fn takes(&self, engine: Engine) -> bool {
        self.ready.contains(engine) && self.serves(engine) && !self.is_exhausted()
    }

    /// A rank is refilled when a quarter of its credits is free, so that a message carries several pages.
    pub(super) fn wants_pages(&self) -> bool {
        let capacity = self.capacity();
        let free = capacity.saturating_sub(self.held);
        !self.holds_suspect && free > 0 && free * 4 >= capacity
    }

    /// Most pages that it is given: its credits; but one, where as many leases expired on it and it gave no page back
    /// meanwhile; and none, where several single pages have not come back either.
    pub(super) fn capacity(&self) -> u32 {
        if self.is_exhausted() {
            0
        } else if self.is_probed() {
            1
        } else {
            self.credits
        }
    }

    /// Whether it gets one page at a time, since it may be the rank that hangs and not the pages.
    pub(super) fn is_probed(&self) -> bool {
        self.unanswered >= self.most_unanswered()
    }

    /// Whether it gets no pages, since it gives none back.
    pub(super) fn is_exhausted(&self) -> bool {
        /// Single pages that must not come back either.
        const PROBES: u32 = 3;
        self.unanswered >= self.most_unanswered().saturating_add(PROBES)
    }

    /// One page that hangs says nothing of the rank, even where it holds one at a time.
    fn most_unanswered(&self) -> u32 {
        self.credits.max(MOST_EXPIRIES as u32 + 1)
    }

    /// The engine that it could turn to, and how.
    pub(super) fn could_turn(&self) -> Option<(Engine, SwitchKind)> {
        let turn = self.in_turn.filter(|turn| turn.step == SwitchStep::Stays)?;
        let engine = other(turn.engine);
        self.engines.contains(engine).then_some((engine, turn.kind(engine)))
    }

    /// The engine that it turns to as soon as it holds no pages, and how.
    pub(super) fn drains_for(&self) -> Option<(Engine, SwitchKind)> {
        let turn = self.in_turn.filter(|turn| turn.step == SwitchStep::Draining)?;
        Some((turn.engine, turn.kind(turn.engine)))
    }

    /// Whether it was told to turn and has not said yet that it did.
    pub(super) fn is_turning(&self) -> bool {
        self.in_turn.is_some_and(|turn| matches!(turn.step, SwitchStep::RoleSwitchTimes { .. }))
    }

    /// Its server is ready. What it says of an engine that it has been told to leave since is not true any more.
    pub(super) fn engine_ready(&mut self, engine: Engine, now: Tick) -> Option<CompletedSwitch> {
        if !self.engines.contains(engine) {
            return None;
        }
        let started = CompletedSwitch { kind: SwitchKind::Start, took: now.0.saturating_sub(self.joined.0) };
        let Some(turn) = self.in_turn.as_mut() else {
            let known = self.ready.contains(engine);
            self.ready = self.ready.with(engine);
            return (!known).then_some(started);
        };
        if turn.engine != engine || turn.step == SwitchStep::Draining {
            return None;
        }
        let kind = turn.kind(engine);
        let turned = match turn.step {
            SwitchStep::RoleSwitchTimes { since } => {
                Some(CompletedSwitch { kind, took: now.0.saturating_sub(since.0) })
            }
            SwitchStep::Stays | SwitchStep::Draining => (kind == SwitchKind::First).then_some(started),
        };
        turn.step = SwitchStep::Stays;
        turn.known = turn.known.with(engine);
        self.ready = EngineSet::only(engine);
        turned
    }

    /// It will never again serve the engine; a turn to it is over.
    pub(super) fn engine_lost(&mut self, engine: Engine) {
        self.engines = self.engines.without(engine);
        self.ready = self.ready.without(engine);
        let Some(turn) = self.in_turn.as_mut().filter(|turn| turn.engine == engine) else { return };
        if turn.step == SwitchStep::Draining {
            turn.engine = other(engine);
        }
        turn.step = SwitchStep::Stays;
    }

    /// It gets no more pages until it turns to `engine`.
    pub(super) fn drain_for_switch(&mut self, engine: Engine) {
        if let Some(turn) = &mut self.in_turn {
            turn.engine = engine;
            turn.step = SwitchStep::Draining;
        }
    }

    /// It goes on with the engine that it serves after all.
    pub(super) fn cancel_switch(&mut self) {
        if let Some(turn) = self.in_turn.as_mut().filter(|turn| turn.step == SwitchStep::Draining) {
            turn.engine = other(turn.engine);
            turn.step = SwitchStep::Stays;
        }
    }

    /// It has been told to turn.
    pub(super) fn switch_role(&mut self, engine: Engine, now: Tick) {
        if let Some(turn) = &mut self.in_turn {
            turn.engine = engine;
            turn.step = SwitchStep::RoleSwitchTimes { since: now };
            self.ready = EngineSet::default();
        }
    }
}

impl OneAtATime {
    fn kind(&self, engine: Engine) -> SwitchKind {
        if self.known.contains(engine) { SwitchKind::Back } else { SwitchKind::First }
    }
}

/// The engine that a rank which serves one at a time does not serve meanwhile.
pub(super) fn other(engine: Engine) -> Engine {
    match engine {
        Engine::Chandra => Engine::DeepSeek,
        Engine::DeepSeek => Engine::Chandra,
    }
}
