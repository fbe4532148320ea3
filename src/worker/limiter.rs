//! How many requests may be in flight on a server of this rank, the pages held for it, and where its time goes.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::time::Instant;

use crate::{
    concurrency::{Bounds, Observation, ServerActivity},
    model::{ServerLoad, ServerTime},
};

use super::{mutex::lock, slots::Slots};
/// How many requests may be in flight on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InFlight {
    /// As the configuration says.
    Fixed(u32),
    /// As many as turn out to be worth it.
    Adaptive(Bounds),
}

impl InFlight {
    pub(super) fn first(self) -> u32 {
        match self {
            InFlight::Fixed(number) => number,
            InFlight::Adaptive(bounds) => bounds.start.min(bounds.ceiling),
        }
    }

    /// Pages that a rank must hold so that none is missing at any limit: it is refilled when a quarter of them is gone.
    pub(super) fn credits(self) -> u32 {
        match self {
            InFlight::Fixed(number) => 2 * number,
            InFlight::Adaptive(Bounds { start, ceiling }) => (2 * start).max(ceiling + ceiling / 2),
        }
    }
}

/// Bounds the requests in flight on one server, and accounts for its time.
#[derive(Debug)]
pub(super) struct Limiter {
    slots: Slots,
    /// Pages for this engine that the rank holds.
    held: AtomicU32,
    /// Pages are being called back, or the run ends.
    draining: AtomicBool,
    accounting: Mutex<TimeAccounting>,
}

/// What the server's time was spent on so far.
#[derive(Debug)]
struct TimeAccounting {
    /// Up to when its time is labelled.
    until: Instant,
    time: ServerTime,
    load: ServerLoad,
    /// Since the rank began, or since another engine last served.
    was_ready: bool,
    /// Another engine of the rank serves.
    rests: bool,
}

/// A page that the rank holds for the engine, until this is dropped.
#[derive(Debug)]
pub(super) struct HeldCount(Arc<Limiter>);

impl Drop for HeldCount {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limiter {
    /// The time of the server begins now.
    pub(super) fn new(in_flight: InFlight) -> Limiter {
        let accounting = TimeAccounting {
            until: Instant::now(),
            time: ServerTime::default(),
            load: ServerLoad::default(),
            was_ready: false,
            rests: false,
        };
        Limiter {
            slots: Slots::new(in_flight.first()),
            held: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            accounting: Mutex::new(accounting),
        }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Counts a page of the rank for as long as the value lives.
    pub(super) fn hold(self: &Arc<Self>) -> HeldCount {
        self.held.fetch_add(1, Ordering::Relaxed);
        HeldCount(Arc::clone(self))
    }

    /// Pages that the rank holds and that are not among these requests in flight.
    pub(super) fn on_their_way(&self, in_flight: f64) -> u32 {
        self.held.load(Ordering::Relaxed).saturating_sub(in_flight as u32)
    }

    /// From now on the server has nothing to do because nothing is to be done.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Another engine of the rank serves: the time is that engine's, and this one's begins again with a start.
    pub(super) fn account_rest(&self) {
        let mut accounting = lock(&self.accounting);
        accounting.until = Instant::now();
        (accounting.was_ready, accounting.rests) = (false, true);
    }

    /// Labels the time since the last label. `seen` is how the server was seen at work, if it was; `is_known` says whether
    /// it has been seen ready since it last rested.
    pub(super) fn account(&self, seen: Option<ServerActivity>, is_known: bool) {
        let mut accounting = lock(&self.accounting);
        accounting.rests = false;
        let life = match (seen, accounting.was_ready) {
            (_, true) if self.draining.load(Ordering::Relaxed) => ServerActivity::Draining,
            (Some(life), _) => life,
            (None, true) => ServerActivity::Down,
            (None, false) => ServerActivity::Starting,
        };
        accounting.was_ready |= is_known;
        accounting.label(life);
    }

    /// Adds what was seen of the server's load at a limit.
    pub(super) fn account_load(&self, seen: &Observation, limit: u32) {
        lock(&self.accounting).load.add(seen, limit);
    }

    /// The server's time up to now, and its load.
    pub(super) fn totals(&self) -> (ServerTime, ServerLoad) {
        let mut accounting = lock(&self.accounting);
        let life = if accounting.was_ready { ServerActivity::Draining } else { ServerActivity::Starting };
        if !accounting.rests {
            accounting.label(life);
        }
        (accounting.time, accounting.load)
    }
}

impl TimeAccounting {
    fn label(&mut self, life: ServerActivity) {
        let now = Instant::now();
        self.time.spend(now - self.until, life);
        self.until = now;
    }
}
