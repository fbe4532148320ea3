//! What rank 0 costs: a step of the scheduler at 1,000 ranks and 1 M pages, its memory a page, and the codec.
//!
//! Bars: at least 100,000 verdicts a second through the state machine on one core, at most 200
//! bytes a page.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::VecDeque,
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bulletin_ocr::{
    comm::{ToCoordinator, decode, encode},
    model::{Engine, EngineSet, LeaseId, RankId, Role, Settlement, Unit, Verdict},
    schedule::{Action, Event, Policy, Scheduler, Tick},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RANKS: u32 = 1_000;
const PAGES: u32 = 1_000_000;
const PAGES_PER_DOCUMENT: u32 = 40;
const CREDITS: u32 = 64;
const SECOND: Engine = Engine::at(1).unwrap();

/// Counts the bytes that are allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A run in full swing: every rank holds its credits, answers come in the order of the units.
struct Swing {
    scheduler: Scheduler,
    out: Vec<Action>,
    units: VecDeque<(RankId, Unit)>,
    pages: VecDeque<(RankId, Settlement)>,
}

impl Swing {
    fn begin() -> Self {
        let counts = vec![PAGES_PER_DOCUMENT; (PAGES / PAGES_PER_DOCUMENT) as usize];
        let policy = Policy {
            ranks: RANKS,
            engines: EngineSet::only(Engine::FIRST).with(SECOND),
            unit_pages: 8,
            deadline: None,
            drain: Duration::ZERO,
            turn_cost: Duration::ZERO,
            silence_limit: None,
            lease_floor: Duration::from_secs(3600),
            races: true,
        };
        let scheduler = Scheduler::new(policy, &counts, Vec::new(), LeaseId(0));
        let mut swing = Swing { scheduler, out: Vec::new(), units: VecDeque::new(), pages: VecDeque::new() };
        for index in 0..RANKS {
            let (rank, engine) = (RankId(index), if index % 8 == 7 { SECOND } else { Engine::FIRST });
            swing.happens(Event::RankJoined { rank, role: Role::One(engine), credits: CREDITS });
            swing.happens(Event::EngineReady { rank, engine });
        }
        swing
    }

    fn happens(&mut self, event: Event) {
        self.scheduler.step(Tick(Duration::ZERO), event, &mut self.out);
        for action in self.out.drain(..) {
            if let Action::Assign { rank, unit, .. } = action {
                self.units.push_back((rank, unit));
            }
        }
    }

    /// One page settles; false when all are.
    fn settle_one(&mut self) -> bool {
        if self.pages.is_empty() {
            let Some((rank, unit)) = self.units.pop_front() else { return false };
            let settlement = |page| Settlement {
                page,
                lease: unit.lease,
                verdict: Verdict::Read,
                engine: Some(unit.engine),
                attempts: Vec::new(),
                remaining: EngineSet::default(),
            };
            self.pages.extend(unit.pages().map(|page| (rank, settlement(page))));
        }
        let Some((rank, settlement)) = self.pages.pop_front() else { return false };
        self.happens(Event::Settled { rank, settlement });
        true
    }
}

fn scheduler(criterion: &mut Criterion) {
    let before = ALLOCATED.load(Relaxed);
    let mut swing = Swing::begin();
    let bytes = ALLOCATED.load(Relaxed) - before;
    println!(
        "memory: {:.1} bytes a page at {RANKS} ranks and {PAGES} pages (bar: 200)",
        bytes as f64 / f64::from(PAGES)
    );

    let start = Instant::now();
    let mut verdicts = 0u32;
    while swing.settle_one() {
        verdicts += 1;
    }
    assert_eq!(verdicts, PAGES);
    let rate = f64::from(verdicts) / start.elapsed().as_secs_f64();
    println!("whole run: {rate:.0} verdicts/s on one core (bar: 100,000)");

    let mut group = criterion.benchmark_group("schedule");
    group.throughput(Throughput::Elements(1));
    let mut swing = Swing::begin();
    group.bench_function("a verdict at 1,000 ranks and 1 M pages", |bencher| {
        bencher.iter(|| {
            if !swing.settle_one() {
                swing = Swing::begin();
            }
        });
    });
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    let mut swing = Swing::begin();
    let mut batch = Vec::new();
    while batch.len() < 64 {
        let (_, unit) = swing.units.pop_front().unwrap();
        let settlement = |page| Settlement {
            page,
            lease: unit.lease,
            verdict: Verdict::Read,
            engine: Some(unit.engine),
            attempts: Vec::new(),
            remaining: EngineSet::default(),
        };
        batch.extend(unit.pages().map(settlement));
    }
    let message = ToCoordinator::Settled(batch);
    let frame = encode(&message).unwrap();
    println!("a verdict takes {} bytes on the wire in a batch of 64", frame.len() / 64);
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(64));
    group.bench_function("encode 64 verdicts", |bencher| bencher.iter(|| encode(black_box(&message)).unwrap()));
    group.bench_function("decode 64 verdicts", |bencher| {
        bencher.iter(|| decode::<ToCoordinator>(black_box(&frame)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, scheduler, codec);
criterion_main!(benches);
