//! Watches a server once a second: how many may be in flight on it, where its time goes, and a line now and then for
//! people.

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    concurrency::{Bounds, Controller, Observation, ServerLife, ServerLoad, ServerTime, VITALS_EVERY, Vitals},
    engine::{ServerMetrics, TrafficCounts},
    server::{LifeWatch, Ready},
};

use super::{context::lock, slots::Slots};

/// Between two looks at a server.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for the metrics: an observation without them is as good, one that is late is not.
const METRICS_LIMIT: Duration = Duration::from_millis(500);
/// Looks from one line to the next.
const LINE: u32 = 10;

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

/// Sets the number in flight on one server, and keeps its books. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Pacer {
    shared: Arc<Shared>,
    watch: Option<AbortHandle>,
}

#[derive(Debug)]
struct Shared {
    slots: Slots,
    /// Pages for this engine that the rank holds.
    held: AtomicU32,
    /// Pages are being called back, or the run ends.
    draining: AtomicBool,
    books: Mutex<Books>,
}

/// What has become of the server's time so far.
#[derive(Debug)]
struct Books {
    /// Up to when its time is labelled.
    until: Instant,
    time: ServerTime,
    load: ServerLoad,
    /// Since the beginning, or since it was last another engine's turn.
    was_ready: bool,
    /// It is another engine's turn.
    rests: bool,
}

/// A page that the rank holds for the engine.
#[derive(Debug)]
pub(super) struct Held(Arc<Shared>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pacer {
    /// The time of the server begins now.
    pub(super) fn new(in_flight: InFlight) -> Pacer {
        let books = Books {
            until: Instant::now(),
            time: ServerTime::default(),
            load: ServerLoad::default(),
            was_ready: false,
            rests: false,
        };
        let shared = Shared {
            slots: Slots::new(in_flight.first()),
            held: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            books: Mutex::new(books),
        };
        Pacer { shared: Arc::new(shared), watch: None }
    }

    /// Begins to watch; lines go to the file.
    pub(super) fn watch(&mut self, runtime: &Handle, in_flight: InFlight, life: LifeWatch, file: PathBuf) {
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            controller: match in_flight {
                InFlight::Fixed(_) => None,
                InFlight::Adaptive(bounds) => Some(Controller::new(bounds)),
            },
            life,
            seen: None,
            began: Instant::now(),
            looks: 0,
            line: Line::default(),
            file,
        };
        self.watch = Some(runtime.spawn(watch.run()).abort_handle());
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.shared.slots
    }

    /// Counts a page of the rank for as long as the value lives.
    pub(super) fn hold(&self) -> Held {
        self.shared.held.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.shared))
    }

    /// From now on the server has nothing to do because nothing is to be done.
    pub(super) fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// The server's time up to now, and its load.
    pub(super) fn books(&self) -> (ServerTime, ServerLoad) {
        let mut books = lock(&self.shared.books);
        let life = if books.was_ready { ServerLife::Draining } else { ServerLife::Starting };
        if !books.rests {
            books.label(life);
        }
        (books.time, books.load)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

impl Books {
    fn label(&mut self, life: ServerLife) {
        let now = Instant::now();
        self.time.spend(now - self.until, life);
        self.until = now;
    }

    /// Time that is the other engine's, and will begin with a start.
    fn rest(&mut self) {
        self.until = Instant::now();
        (self.was_ready, self.rests) = (false, true);
    }
}

struct Watch {
    shared: Arc<Shared>,
    /// `None` where the number is fixed.
    controller: Option<Controller>,
    life: LifeWatch,
    /// Of which start, up to when, and what.
    seen: Option<(u32, Instant, TrafficCounts)>,
    began: Instant,
    looks: u32,
    line: Line,
    file: PathBuf,
}

impl Watch {
    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let life = match self.life.ready() {
                Some(ready) => self.look(&ready).await,
                None => None,
            };
            let draining = self.shared.draining.load(Ordering::Relaxed);
            let mut books = lock(&self.shared.books);
            if self.life.is_resting() {
                books.rest();
                if let (Some(_), Some(controller)) = (self.seen.take(), &mut self.controller) {
                    controller.restarted();
                }
                continue;
            }
            books.rests = false;
            let life = match (life, books.was_ready) {
                (_, true) if draining => ServerLife::Draining,
                (Some(life), _) => life,
                (None, true) => ServerLife::Down,
                (None, false) => ServerLife::Starting,
            };
            books.was_ready |= self.seen.is_some();
            books.label(life);
        }
    }

    /// What the server did since the last look; `None` at the first look at a start.
    async fn look(&mut self, ready: &Ready) -> Option<ServerLife> {
        let client = ready.reader.client();
        self.looks += 1;
        let metrics = match self.looks.is_multiple_of(VITALS_EVERY) {
            true => timeout(METRICS_LIMIT, client.metrics()).await.ok().flatten(),
            false => None,
        };
        let (now, counts) = (Instant::now(), client.traffic().counts());
        let (start, then, before) = self.seen.replace((ready.start, now, counts))?;
        if start != ready.start {
            if let Some(controller) = &mut self.controller {
                controller.restarted();
            }
            return None;
        }
        let seen = observation(now - then, before, counts, metrics);
        let limit = self.shared.slots.limit();
        if let Some(controller) = &mut self.controller {
            controller.observe(&seen);
            if controller.limit() != limit {
                tracing::info!(from = limit, to = controller.limit(), "the number in flight changes");
                self.shared.slots.set_limit(controller.limit());
            }
        }
        lock(&self.shared.books).load.add(&seen, limit);
        self.line.add(&seen);
        if self.line.looks == LINE {
            self.write(limit).await;
        }
        let on_their_way = self.shared.held.load(Ordering::Relaxed).saturating_sub(seen.in_flight as u32);
        Some(ServerLife::Ready { in_flight: seen.in_flight, limit, on_their_way })
    }

    async fn write(&mut self, limit: u32) {
        let line = std::mem::take(&mut self.line).written(self.began.elapsed(), limit);
        let file = self.file.clone();
        let append = move || {
            let mut text = serde_json::to_string(&line)?;
            text.push('\n');
            std::fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(text.as_bytes())
        };
        // A disk that is slow or full costs lines, never pages.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(append).await {
            tracing::debug!(%error, "cannot write {}", self.file.display());
        }
    }
}

fn observation(
    span: Duration,
    before: TrafficCounts,
    counts: TrafficCounts,
    metrics: Option<ServerMetrics>,
) -> Observation {
    let vitals = |metrics: ServerMetrics| {
        Some(Vitals {
            running: metrics.running?,
            waiting: metrics.waiting?,
            kv_cache_usage: metrics.kv_cache_usage.unwrap_or_default(),
            preemptions: metrics.preemptions.unwrap_or_default(),
        })
    };
    Observation {
        span,
        in_flight: (counts.in_flight_seconds - before.in_flight_seconds) / span.as_secs_f64().max(1e-6),
        prompt_tokens: counts.prompt_tokens - before.prompt_tokens,
        generated_tokens: counts.generated_tokens - before.generated_tokens,
        finished: counts.finished - before.finished,
        vitals: metrics.and_then(vitals),
    }
}

/// Sums of some looks.
#[derive(Debug, Default)]
struct Line {
    looks: u32,
    seconds: f64,
    in_flight_seconds: f64,
    finished: u64,
    prompt_tokens: u64,
    generated_tokens: u64,
    vitals: Option<Vitals>,
}

/// A line of the file: means since the line before; what the server says of itself is of the last moment.
#[derive(Debug, Serialize)]
struct WrittenLine {
    /// Since the rank began.
    seconds: f64,
    limit: u32,
    in_flight: f64,
    requests_per_second: f64,
    prompt_tokens_per_second: f64,
    generated_tokens_per_second: f64,
    running: Option<f64>,
    waiting: Option<f64>,
    kv_cache_usage: Option<f64>,
    preemptions: Option<f64>,
}

impl Line {
    fn add(&mut self, seen: &Observation) {
        self.looks += 1;
        self.seconds += seen.span.as_secs_f64();
        self.in_flight_seconds += seen.in_flight * seen.span.as_secs_f64();
        self.finished += seen.finished;
        self.prompt_tokens += seen.prompt_tokens;
        self.generated_tokens += seen.generated_tokens;
        self.vitals = seen.vitals.or(self.vitals);
    }

    fn written(self, since: Duration, limit: u32) -> WrittenLine {
        let tenths = |value: f64| (10.0 * value).round() / 10.0;
        let rate = |count: u64| tenths(count as f64 / self.seconds);
        WrittenLine {
            seconds: tenths(since.as_secs_f64()),
            limit,
            in_flight: tenths(self.in_flight_seconds / self.seconds),
            requests_per_second: (100.0 * self.finished as f64 / self.seconds).round() / 100.0,
            prompt_tokens_per_second: rate(self.prompt_tokens),
            generated_tokens_per_second: rate(self.generated_tokens),
            running: self.vitals.map(|vitals| vitals.running),
            waiting: self.vitals.map(|vitals| vitals.waiting),
            kv_cache_usage: self.vitals.map(|vitals| vitals.kv_cache_usage),
            preemptions: self.vitals.map(|vitals| vitals.preemptions),
        }
    }
}
