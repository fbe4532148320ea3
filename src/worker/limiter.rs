//! Limits the requests in flight on a server of this rank, counts the pages held for it, and accounts for its time.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::time::Instant;

use crate::{
    concurrency::{Bounds, Observation, ServerActivity},
    model::{NoPages, ServerLoad, ServerTime, Trial},
};

use super::{mutex::lock, slots::Slots};
/// How the number of requests in flight is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InFlight {
    /// A fixed number from the configuration.
    Fixed(u32),
    /// Adapted by the concurrency controller.
    Adaptive(Bounds),
    /// Adapted by the concurrency controller. An earlier search has found the first number.
    Found(Bounds),
}

impl InFlight {
    pub(super) fn first(self) -> u32 {
        match self {
            InFlight::Fixed(number) => number,
            InFlight::Adaptive(bounds) | InFlight::Found(bounds) => bounds.start.min(bounds.ceiling),
        }
    }

    /// Pages that a rank must hold so that the limit is always reached: it is refilled when a quarter of them is gone.
    pub(super) fn credits(self) -> u32 {
        match self {
            InFlight::Fixed(number) => 2 * number,
            InFlight::Adaptive(Bounds { start, ceiling }) | InFlight::Found(Bounds { start, ceiling }) => {
                (2 * start).max(ceiling + ceiling / 2)
            }
        }
    }
}

/// Limits the requests in flight on one server, and accounts for its time.
#[derive(Debug)]
pub(super) struct Limiter {
    slots: Slots,
    /// Pages for this engine that the rank holds.
    held: AtomicU32,
    /// Those of them that are tried in isolation.
    isolated: AtomicU32,
    /// Why the rank has no pages, as rank 0 says.
    no_pages: Mutex<NoPages>,
    /// Pages are being recalled, or the run ends.
    draining: AtomicBool,
    accounting: Mutex<TimeAccounting>,
}

/// The time accounting of the server so far.
#[derive(Debug)]
struct TimeAccounting {
    /// End of the time accounted for.
    until: Instant,
    time: ServerTime,
    load: ServerLoad,
    /// Whether the server was ready since the rank started, or since another engine of the rank last served.
    was_ready: bool,
    /// Whether another engine of the rank serves.
    rests: bool,
}

/// Counts a page that the rank holds for the engine, until it is dropped.
#[derive(Debug)]
pub(super) struct HeldCount {
    limiter: Arc<Limiter>,
    isolated: u32,
}

impl Drop for HeldCount {
    fn drop(&mut self) {
        self.limiter.held.fetch_sub(1, Ordering::Relaxed);
        self.limiter.isolated.fetch_sub(self.isolated, Ordering::Relaxed);
    }
}

impl Limiter {
    /// The server's time starts now.
    pub(super) fn new(in_flight: InFlight) -> Limiter {
        let accounting = TimeAccounting {
            until: Instant::now(),
            time: ServerTime::default(),
            load: ServerLoad::default(),
            was_ready: false,
            rests: false,
        };
        Limiter {
            slots: Slots::new(in_flight.first(), in_flight.credits()),
            held: AtomicU32::new(0),
            isolated: AtomicU32::new(0),
            no_pages: Mutex::default(),
            draining: AtomicBool::new(false),
            accounting: Mutex::new(accounting),
        }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Counts a page of the rank until the returned value is dropped.
    pub(super) fn hold(self: &Arc<Self>, trial: Option<Trial>) -> HeldCount {
        let isolated = u32::from(trial.is_some_and(Trial::is_isolated));
        self.held.fetch_add(1, Ordering::Relaxed);
        self.isolated.fetch_add(isolated, Ordering::Relaxed);
        HeldCount { limiter: Arc::clone(self), isolated }
    }

    /// Rank 0 says why ranks have no pages.
    pub(super) fn set_no_pages(&self, cause: NoPages) {
        *lock(&self.no_pages) = cause;
    }

    /// Why the rank has no pages for free slots.
    pub(super) fn no_pages(&self) -> NoPages {
        if self.isolated.load(Ordering::Relaxed) > 0 { NoPages::Trial } else { *lock(&self.no_pages) }
    }

    /// Pages that the rank holds beyond these requests in flight.
    pub(super) fn on_their_way(&self, in_flight: f64) -> u32 {
        self.held.load(Ordering::Relaxed).saturating_sub(in_flight as u32)
    }

    /// From now on the time counts as draining.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Another engine of the rank serves. The time counts for that engine; this engine's next time is a start.
    pub(super) fn account_rest(&self) {
        let mut accounting = lock(&self.accounting);
        accounting.until = Instant::now();
        (accounting.was_ready, accounting.rests) = (false, true);
    }

    /// Accounts for the time since the last call. `seen` is the observed state of the server, if any. `is_known` says
    /// whether the server was observed ready since it last rested.
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

    /// Adds an observation of the server's load at this limit.
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
