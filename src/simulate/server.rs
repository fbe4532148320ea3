//! One server in virtual time, with a fixed number of requests in flight or with the same [`Controller`] as in a run.
//!
//! The server is the stand-in's model of a GPU under continuous batching. In front of it is the image preprocessing of
//! vLLM's API server, which no metric shows (`docs/facts/vllm.md`, "Metrics").

use std::{collections::VecDeque, time::Duration};

use oorandom::Rand64;

use gpu_model::{Batch, GpuModel, SequenceEvent, SequenceId};

use crate::concurrency::{Bounds, Controller, EngineGauges, GAUGES_EVERY, Observation};

/// Time between two observations, as in a run.
const TICK: Duration = Duration::from_secs(1);

/// The pages that the server reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pages {
    /// Prompt tokens of a page, image included.
    pub prompt: u32,
    /// Median length of the answers, in tokens; the distribution is lognormal.
    pub median: f64,
    /// Standard deviation of the logarithm of the lengths.
    pub sigma: f64,
    /// Share of pages that loop, 0.0..=1.0.
    pub loops: f64,
    /// Tokens after which a loop is cut off.
    pub cut_after: u32,
}

impl Default for Pages {
    /// The pages of the measurements on the H200 (`docs/facts/h200.md`, "Patterns of a client").
    fn default() -> Self {
        Pages { prompt: 4014, median: 900.0, sigma: 0.5, loops: 0.03, cut_after: 400 }
    }
}

/// A change while pages are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Every engine step takes this many times as long as the model says.
    Slowness(f64),
    /// Other pages arrive.
    Pages(Pages),
    /// Rendering delivers at most this many pages per second.
    Supply(f64),
    /// The server restarts. Requests in flight are sent again.
    Restart,
}

/// A server, its pages and its changes. Everything random follows from the seed.
#[derive(Debug, Clone)]
pub struct Server {
    /// The GPU.
    pub gpu: GpuModel,
    /// The pages at the start.
    pub pages: Pages,
    /// Image preprocessing outside the engine: time per page, and number of workers.
    pub preprocessing: (Duration, usize),
    /// Standard deviation of the logarithm of a step's duration.
    pub noise: f64,
    /// Whether the server offers metrics.
    pub metrics: bool,
    /// Changes and their times, in order of time.
    pub changes: Vec<(Duration, Change)>,
    /// Seed of lengths and noise.
    pub seed: u64,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            gpu: GpuModel::default(),
            pages: Pages::default(),
            preprocessing: (Duration::from_millis(70), 1),
            noise: 0.0,
            metrics: true,
            changes: Vec::new(),
            seed: 0,
        }
    }
}

/// What limits the number of requests in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pacing {
    /// A fixed limit.
    Fixed(u32),
    /// The concurrency controller.
    Adaptive(Bounds),
    /// The concurrency controller, where an earlier run has found the first limit.
    Found(Bounds),
}

/// State after one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Maximum number of requests in flight.
    pub limit: u32,
    /// Mean number of requests in flight.
    pub in_flight: f64,
    /// Pages finished so far.
    pub finished: u64,
}

/// The states of a simulation, one per second.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadCurve(pub Vec<Second>);

impl LoadCurve {
    /// Pages finished per second between two moments.
    pub fn throughput(&self, from: Duration, to: Duration) -> f64 {
        let finished = |at: Duration| match at.as_secs() as usize {
            0 => 0,
            second => self.0.get(second - 1).or(self.0.last()).map_or(0, |second| second.finished),
        };
        (finished(to) - finished(from)) as f64 / (to - from).as_secs_f64()
    }

    /// The limits between two moments, one per second.
    pub fn limits(&self, from: Duration, to: Duration) -> impl Iterator<Item = u32> {
        self.0.iter().take(to.as_secs() as usize).skip(from.as_secs() as usize).map(|second| second.limit)
    }

    /// Number of changes of the limit between two moments.
    pub fn changes(&self, from: Duration, to: Duration) -> usize {
        let limits: Vec<u32> = self.limits(from, to).collect();
        limits.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    /// Mean limit between two moments.
    pub fn mean_limit(&self, from: Duration, to: Duration) -> f64 {
        let (sum, count) =
            self.limits(from, to).fold((0.0, 0.0), |(sum, count), limit| (sum + f64::from(limit), count + 1.0));
        sum / f64::max(count, 1.0)
    }
}

/// A page in flight.
#[derive(Debug, Clone, Copy)]
struct Page {
    prompt: u32,
    answer: u32,
    left: u32,
}

/// The pages in flight. Their numbers rise in the order in which they were sent, and most are answered in that order.
#[derive(Debug, Default)]
struct InFlight {
    /// Number of the first of `pages`.
    first: u64,
    /// `None` for a page that was answered before an earlier one.
    pages: VecDeque<Option<Page>>,
    count: usize,
}

impl InFlight {
    /// Adds a page; its number.
    fn add(&mut self, page: Page) -> u64 {
        self.pages.push_back(Some(page));
        self.count += 1;
        self.first + self.pages.len() as u64 - 1
    }

    fn slot(&mut self, id: u64) -> Option<&mut Option<Page>> {
        self.pages.get_mut(usize::try_from(id.checked_sub(self.first)?).ok()?)
    }

    fn page(&mut self, id: u64) -> Option<&mut Page> {
        self.slot(id)?.as_mut()
    }

    fn remove(&mut self, id: u64) {
        let removed = self.slot(id).and_then(Option::take);
        self.count -= usize::from(removed.is_some());
        while let Some(None) = self.pages.front() {
            self.pages.pop_front();
            self.first += 1;
        }
    }

    /// Numbers of the pages, lowest first.
    fn ids(&self) -> impl Iterator<Item = u64> {
        self.pages.iter().zip(self.first..).filter_map(|(page, id)| page.map(|_| id))
    }
}

struct Running<'s> {
    server: &'s Server,
    /// Draws the pages: the same pages in the same order, however many are in flight.
    lengths: Rand64,
    noise: Rand64,
    pages: Pages,
    slowness: f64,
    supply: f64,
    /// Pages that were rendered and not yet sent.
    rendered: f64,
    now: Duration,
    batch: Batch,
    in_flight: InFlight,
    /// Pages in image preprocessing, and when each is ready.
    preprocessing: VecDeque<(Duration, u64)>,
    /// When each preprocessing worker is free.
    workers: Vec<Duration>,
    finished: u64,
    seen: Observation,
    /// When it was last observed.
    observed: Duration,
    observations: u32,
    /// Requests in flight times seconds since `observed`.
    area: f64,
}

impl Server {
    /// Simulates the server for `time`.
    pub fn read(&self, pacing: Pacing, time: Duration) -> LoadCurve {
        let mut controller = match pacing {
            Pacing::Fixed(_) => None,
            Pacing::Adaptive(bounds) => Some(Controller::new(bounds)),
            Pacing::Found(bounds) => Some(Controller::from_found(bounds)),
        };
        let mut running = Running {
            server: self,
            lengths: Rand64::new(u128::from(self.seed) ^ 0x9ace),
            noise: Rand64::new(u128::from(self.seed) ^ 0x9015e),
            pages: self.pages,
            slowness: 1.0,
            supply: f64::INFINITY,
            rendered: 0.0,
            now: Duration::ZERO,
            batch: Batch::new(self.gpu),
            in_flight: InFlight::default(),
            preprocessing: VecDeque::new(),
            workers: vec![Duration::ZERO; self.preprocessing.1.max(1)],
            finished: 0,
            seen: Observation::default(),
            observed: Duration::ZERO,
            observations: 0,
            area: 0.0,
        };
        let mut changes = self.changes.iter().peekable();
        let mut curve = Vec::new();
        let mut tick = TICK;
        while tick <= time {
            let limit = match (pacing, &controller) {
                (_, Some(controller)) => controller.limit(),
                (Pacing::Fixed(limit), None) => limit,
                (Pacing::Adaptive(bounds) | Pacing::Found(bounds), None) => bounds.start,
            };
            while let Some((_, change)) = changes.next_if(|(at, _)| *at <= running.now) {
                running.change(*change);
                if let (Change::Restart, Some(controller)) = (change, &mut controller) {
                    controller.restarted();
                }
            }
            // A step can take longer than a second.
            while running.now < tick {
                running.admit_pages(limit);
                running.step(tick);
            }
            let seen = running.observe();
            curve.push(Second { limit, in_flight: seen.in_flight, finished: running.finished });
            if let Some(controller) = &mut controller {
                controller.observe(&seen);
            }
            tick += TICK;
        }
        LoadCurve(curve)
    }
}

impl Running<'_> {
    fn change(&mut self, change: Change) {
        match change {
            Change::Slowness(slowness) => self.slowness = slowness,
            Change::Pages(pages) => self.pages = pages,
            Change::Supply(supply) => self.supply = supply,
            Change::Restart => {
                self.batch = Batch::new(self.server.gpu);
                self.preprocessing.clear();
                let lost: Vec<u64> = self.in_flight.ids().collect();
                for id in lost {
                    if let Some(page) = self.in_flight.page(id) {
                        page.left = page.answer;
                    }
                    self.preprocess(id);
                }
            }
        }
    }

    /// Sends pages until the limit is reached.
    fn admit_pages(&mut self, limit: u32) {
        while self.in_flight.count < limit as usize && (self.supply.is_infinite() || self.rendered >= 1.0) {
            self.rendered -= 1.0;
            let Pages { prompt, median, sigma, loops, cut_after } = self.pages;
            let whole = (median * (sigma * normal(&mut self.lengths)).exp()).clamp(1.0, 12_384.0) as u32;
            let answer = if self.lengths.rand_float() < loops { cut_after } else { whole };
            let id = self.in_flight.add(Page { prompt, answer, left: answer });
            self.preprocess(id);
        }
        self.rendered = self.rendered.clamp(0.0, 4.0);
    }

    fn preprocess(&mut self, id: u64) {
        let Some(worker) = self.workers.iter_mut().min() else { return };
        *worker = (*worker).max(self.now) + self.server.preprocessing.0;
        self.preprocessing.push_back((*worker, id));
    }

    /// One step of the engine, or a wait until there is work.
    fn step(&mut self, tick: Duration) {
        while let Some((ready, id)) = self.preprocessing.front().copied()
            && ready <= self.now
        {
            self.preprocessing.pop_front();
            if let Some(page) = self.in_flight.page(id) {
                self.batch.submit(SequenceId(id), page.prompt, page.answer);
            }
        }
        let before = self.in_flight.count as f64;
        let mut events = Vec::new();
        let noise = (self.server.noise * normal(&mut self.noise)).exp();
        let took = if self.batch.is_idle() {
            let ready = self.preprocessing.front().map_or(tick, |(ready, _)| *ready);
            // With a limited supply, a rendered page may be available soon.
            ready.min(tick).min(self.now + TICK / 10).saturating_sub(self.now).max(Duration::from_micros(1))
        } else {
            self.batch.step(&mut events).mul_f64(self.slowness * noise)
        };
        self.now += took;
        self.area += before * took.as_secs_f64();
        if self.supply.is_finite() {
            self.rendered += self.supply * took.as_secs_f64();
        }
        for (SequenceId(id), event) in events {
            if event != SequenceEvent::Token {
                continue;
            }
            let Some(page) = self.in_flight.page(id) else { continue };
            if page.left == page.answer {
                self.seen.prompt_tokens += u64::from(page.prompt);
            }
            page.left -= 1;
            self.seen.generated_tokens += 1;
            if page.left == 0 {
                self.in_flight.remove(id);
                self.finished += 1;
                self.seen.finished += 1;
            }
        }
    }

    /// The observation since the last one. A step can reach into the next second.
    fn observe(&mut self) -> Observation {
        self.observations += 1;
        let asked = self.server.metrics && self.observations.is_multiple_of(GAUGES_EVERY);
        let gauges = asked.then(|| EngineGauges {
            running: self.batch.running() as f64,
            waiting: self.batch.waiting() as f64,
            kv_cache_usage: self.batch.cache_usage(),
            preemptions: self.batch.preemptions() as f64,
        });
        let span = self.now - self.observed;
        let in_flight = self.area / span.as_secs_f64();
        (self.area, self.observed) = (0.0, self.now);
        Observation { span, in_flight, gauges, ..std::mem::take(&mut self.seen) }
    }
}

/// A random number of the normal distribution (Box and Muller).
fn normal(random: &mut Rand64) -> f64 {
    let radius = (-2.0 * (1.0 - random.rand_float()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.rand_float()).cos()
}
