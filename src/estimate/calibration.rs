//! Fits the description of a cluster to a finished run, from its report, its configuration and its records.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::{
    model::{
        Attempt, AttemptOutcome, Engine, PageRecord, RankId, RolePattern, ServerTime, Verdict,
        configuration::Configuration,
    },
    report::{EndReport, REPORT_FILE},
    simulate::{Description, EngineDescription},
    store::Reader,
};

use super::EstimateError;

/// The records that are read belong to the first ranks that have this many together.
const MOST_RECORDS: usize = 50_000;
/// The most lengths of pages that a description keeps.
const MOST_LENGTHS: usize = 256;
/// Share of a rank's time, from its first request to its last, in which pages surely wait for it.
const FULL: f64 = 0.8;

/// The description of a finished run: its ranks, pages and settings, and how fast and how sure its servers were.
///
/// # Errors
/// The run directory has no report, no configuration or no records, or they cannot be read.
pub fn calibrate(run_directory: &Path) -> Result<Description, EstimateError> {
    let read = |name: &str| {
        let path = run_directory.join(name);
        fs::read_to_string(&path).map_err(|reason| EstimateError::Report { path, reason })
    };
    let wrong = |name: &str, reason: String| EstimateError::Report {
        path: run_directory.join(name),
        reason: io::Error::other(reason),
    };
    let report: EndReport =
        serde_json::from_str(&read(REPORT_FILE)?).map_err(|error| wrong(REPORT_FILE, error.to_string()))?;
    /// The name that a run gives to its settings.
    const CONFIGURATION_FILE: &str = "configuration.toml";
    let configuration = Configuration::from_toml(&read(CONFIGURATION_FILE)?)
        .map_err(|error| wrong(CONFIGURATION_FILE, error.to_string()))?;
    let records = records(run_directory)?;
    if !records.iter().any(|record| !record.attempts.is_empty()) {
        return Err(wrong(REPORT_FILE, "no engine read a page in this run".into()));
    }
    Ok(fit(&report, &configuration, &records))
}

/// The records of the first ranks.
fn records(run_directory: &Path) -> Result<Vec<PageRecord>, EstimateError> {
    let mut reader = Reader::open(run_directory)?;
    let mut by_rank: BTreeMap<RankId, usize> = BTreeMap::new();
    reader.pages().for_each(|page| *by_rank.entry(page.rank).or_default() += 1);
    let mut before = 0;
    let first = by_rank.into_iter().take_while(|(_, pages)| {
        let takes = before < MOST_RECORDS;
        before += pages;
        takes
    });
    let ranks: BTreeSet<RankId> = first.map(|(rank, _)| rank).collect();
    let pages: Vec<_> = reader.pages().filter(|page| ranks.contains(&page.rank)).map(|page| page.page).collect();
    let mut records = Vec::new();
    for page in pages {
        records.extend(reader.read(page)?);
    }
    Ok(records)
}

fn fit(report: &EndReport, configuration: &Configuration, records: &[PageRecord]) -> Description {
    let names = configuration.engines.names();
    let roles = configuration.engines.roles();
    let time_of = |engine: Engine| report.server_time.get(&names[engine]).copied().unwrap_or_default();
    let requests: BTreeMap<Engine, Requests> =
        names.all().iter().map(|engine| (engine, Requests::of(engine, records))).collect();
    let from_start = |engine| ready(time_of(engine), report.seconds);
    let first = requests.get(&Engine::FIRST).map(Requests::first_ones).unwrap_or_default();
    // The time outside reading is that before the first server was ready, and the end.
    let offset = mean(&first);
    let reading = report.reading_seconds.unwrap_or(report.seconds);
    let outside = (report.seconds - reading).max(0.0);
    let earliest = (from_start(Engine::FIRST) - offset).clamp(0.0, outside);
    let described = |engine: Engine, of: &Requests| {
        let load = report.server_load.get(&names[engine]);
        let measured = load.map_or(1.0, |load| load.limit / load.seconds.max(1e-9)).round().max(1.0) as u32;
        let in_flight = configuration.engines.of(engine).in_flight.map_or(measured, |fixed| fixed.get());
        let offsets = of.first_ones();
        let start = if engine == Engine::FIRST { earliest + mean(&offsets) } else { from_start(engine).max(earliest) };
        let deviation = offsets.iter().map(|one| (one - mean(&offsets)).abs()).fold(0.0, f64::max);
        let switch = if report.turns.number > 0 { report.turns.seconds / report.turns.number as f64 } else { start };
        let described = EngineDescription {
            in_flight,
            start,
            start_deviation: if engine == Engine::FIRST { deviation.min(start) } else { 0.0 },
            switch_first: switch,
            switch_back: switch,
            ..Description::default().engine(names, engine)
        };
        of.describe(described, engine == Engine::FIRST)
    };
    let served = requests.iter().filter(|(engine, _)| roles.serves(**engine));
    let engines = served.map(|(engine, of)| (names[*engine].clone(), described(*engine, of))).collect();
    let blank = records.iter().filter(|record| record.verdict == Verdict::Blank && record.attempts.is_empty()).count();
    Description {
        ranks: report.ranks.max(1),
        roles: Some(roles.named(names)),
        stages: Some(names.names().to_vec()),
        pages: u32::try_from(report.pages).unwrap_or(u32::MAX).max(1),
        pages_per_document: u32::try_from(report.pages / report.documents.max(1)).unwrap_or(u32::MAX).max(1),
        blank: blank as f64 / records.len().max(1) as f64,
        ending: outside - earliest,
        latency: sync_time(configuration, &requests, &roles),
        restart: earliest.max(1.0),
        engines,
        schedule: configuration.schedule.clone(),
        ..Description::default()
    }
}

/// Mean seconds from the start of the run until a server is ready and pages can be dealt.
fn ready(time: ServerTime, run: f64) -> f64 {
    let servers = (time.total().as_secs_f64() / run.max(1e-9)).round().max(1.0);
    (time.starting + time.without_pages.planning).as_secs_f64() / servers
}

/// Mean seconds from an answer until its record is synced: records are synced in groups.
fn sync_time(configuration: &Configuration, requests: &BTreeMap<Engine, Requests>, roles: &RolePattern) -> f64 {
    let store = &configuration.store;
    let Some(first) = requests.get(&Engine::FIRST).filter(|_| roles.serves(Engine::FIRST)) else { return 0.0 };
    let in_flight = configuration.engines.of(Engine::FIRST).in_flight.map_or(64, |fixed| fixed.get());
    let group = (in_flight / 2).clamp(1, store.sync_records.get());
    let between = first.seconds_between_answers();
    (f64::from(group - 1) * between).min(store.sync_interval.as_secs_f64()) / 2.0
}

/// A request to a server.
#[derive(Debug, Clone, Copy)]
struct Request {
    rank: RankId,
    /// Seconds since the first request of the run.
    begin: f64,
    end: f64,
    tokens: f64,
    failed: bool,
    /// Whether this is the engine's first on the page.
    is_first: bool,
    /// Mean number in flight on the server meanwhile.
    in_flight: f64,
}

/// All requests to an engine.
#[derive(Debug, Default)]
struct Requests {
    all: Vec<Request>,
}

impl Requests {
    fn of(engine: Engine, records: &[PageRecord]) -> Requests {
        let attempts = || records.iter().flat_map(|record| &record.attempts);
        let zero = attempts().map(|attempt| attempt.started_unix_ms).min().unwrap_or_default();
        let mut all = Vec::new();
        for record in records {
            let of_engine = record.attempts.iter().filter(|attempt| attempt.stage.engine() == engine);
            let answered = of_engine.filter(|attempt| !matches!(attempt.outcome, AttemptOutcome::Interrupted(_)));
            all.extend(answered.enumerate().map(|(place, attempt)| request(attempt, zero, place == 0)));
        }
        let mut requests = Requests { all };
        requests.count_in_flight();
        requests
    }

    /// Computes how many requests each had beside it.
    fn count_in_flight(&mut self) {
        let mut changes: BTreeMap<RankId, Vec<(f64, f64)>> = BTreeMap::new();
        for request in &self.all {
            changes.entry(request.rank).or_default().extend([(request.begin, 1.0), (request.end, -1.0)]);
        }
        let areas: BTreeMap<RankId, Area> = changes.into_iter().map(|(rank, of)| (rank, Area::of(of))).collect();
        for request in &mut self.all {
            let Some(area) = areas.get(&request.rank) else { continue };
            request.in_flight = area.mean(request.begin, request.end);
        }
    }

    /// Seconds of each rank's first request since the first of all.
    fn first_ones(&self) -> Vec<f64> {
        let mut first: BTreeMap<RankId, f64> = BTreeMap::new();
        for request in &self.all {
            let of = first.entry(request.rank).or_insert(f64::INFINITY);
            *of = of.min(request.begin);
        }
        let earliest = first.values().copied().fold(f64::INFINITY, f64::min);
        first.into_values().map(|begin| begin - earliest).collect()
    }

    fn seconds_between_answers(&self) -> f64 {
        let ranks = self.first_ones().len().max(1) as f64;
        let span = self.all.iter().map(|request| request.end).fold(0.0, f64::max);
        span * ranks / self.all.len().max(1) as f64
    }

    /// Mean number in flight while pages waited for the ranks.
    fn full(&self) -> f64 {
        let mut by_rank: BTreeMap<RankId, Vec<&Request>> = BTreeMap::new();
        for request in &self.all {
            by_rank.entry(request.rank).or_default().push(request);
        }
        let means = by_rank.into_values().filter_map(|requests| {
            let first = requests.iter().map(|request| request.begin).fold(f64::INFINITY, f64::min);
            let last = requests.iter().map(|request| request.begin).fold(0.0, f64::max);
            let changes = requests.iter().flat_map(|request| [(request.begin, 1.0), (request.end, -1.0)]).collect();
            (last > first).then(|| Area::of(changes).mean(first, first + FULL * (last - first)))
        });
        mean(&means.collect::<Vec<_>>())
    }

    /// Adds times, lengths and failures.
    fn describe(&self, engine: EngineDescription, waited_for: bool) -> EngineDescription {
        let read: Vec<&Request> = self.all.iter().filter(|one| !one.failed && one.tokens > 0.0).collect();
        let Some(line) = Line::through(&read) else { return engine };
        let page = mean(&read.iter().map(|one| one.tokens).collect::<Vec<_>>());
        // Between two requests a slot is empty for a moment: with that, a page takes longer.
        let full = if waited_for { (self.full() / f64::from(engine.in_flight)).clamp(0.5, 1.0) } else { 1.0 };
        let mut lengths: Vec<f64> = read.iter().map(|one| one.tokens / page).collect();
        lengths.sort_by(f64::total_cmp);
        let failed = |first: bool| {
            let all: Vec<_> = self.all.iter().filter(|one| one.is_first == first).collect();
            all.iter().filter(|one| one.failed).count() as f64 / all.len().max(1) as f64
        };
        let of_failures: Vec<f64> = self
            .all
            .iter()
            .filter(|one| one.failed)
            .map(|one| (one.end - one.begin) / (page * line.seconds(one.in_flight)).max(1e-9))
            .collect();
        EngineDescription {
            page_floor: line.alone * page / full,
            page_each: 0.0,
            page_prefill: line.each * page,
            lengths: thinned(&lengths),
            failures: failed(true),
            failures_again: failed(false),
            failure_length: mean(&of_failures),
            ..engine
        }
    }
}

fn request(attempt: &Attempt, zero: i64, is_first: bool) -> Request {
    let begin = (attempt.started_unix_ms - zero) as f64 / 1000.0;
    Request {
        rank: attempt.rank,
        begin,
        end: begin + attempt.duration.as_secs_f64(),
        tokens: f64::from(attempt.tokens.completion),
        failed: matches!(attempt.outcome, AttemptOutcome::Failed(_)),
        is_first,
        in_flight: 1.0,
    }
}

/// Seconds for a token with a number of requests in flight: a line.
#[derive(Debug, Clone, Copy)]
struct Line {
    alone: f64,
    each: f64,
}

impl Line {
    /// The line through the times of these requests, least squares weighted by their tokens, with no negative part;
    /// `None` without requests.
    fn through(requests: &[&Request]) -> Option<Line> {
        let sum = |of: &dyn Fn(&Request) -> f64| requests.iter().map(|one| of(one)).sum::<f64>();
        let weight = sum(&|one| one.tokens);
        if weight <= 0.0 {
            return None;
        }
        let seconds = sum(&|one| one.end - one.begin);
        let (x, y) = (sum(&|one| one.in_flight * one.tokens) / weight, seconds / weight);
        let spread = sum(&|one| one.tokens * (one.in_flight - x).powi(2));
        let product = sum(&|one| (one.in_flight - x) * (one.end - one.begin - y * one.tokens));
        // Without other numbers in flight nothing tells the two apart: as on a server that is fully used.
        let each = if spread > 1e-6 * weight { product / spread } else { y / x };
        let each = each.clamp(0.0, y / x);
        Some(Line { alone: y - each * x, each })
    }

    fn seconds(&self, in_flight: f64) -> f64 {
        self.alone + self.each * in_flight
    }
}

/// The number of requests in flight over time, and its integral.
struct Area(Vec<(f64, f64, f64)>);

impl Area {
    fn of(mut changes: Vec<(f64, f64)>) -> Area {
        changes.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut number, mut area, mut last) = (0.0, 0.0, 0.0);
        let steps = changes.into_iter().map(|(at, change)| {
            area += number * (at - last);
            (number, last) = (number + change, at);
            (at, area, number)
        });
        Area(steps.collect())
    }

    fn until(&self, time: f64) -> f64 {
        let after = self.0.partition_point(|(at, _, _)| *at <= time);
        let Some((at, area, number)) = after.checked_sub(1).and_then(|place| self.0.get(place)) else { return 0.0 };
        area + number * (time - at)
    }

    fn mean(&self, from: f64, to: f64) -> f64 {
        if to > from { (self.until(to) - self.until(from)) / (to - from) } else { 1.0 }
    }
}

/// Evenly chosen values of a sorted list.
fn thinned(sorted: &[f64]) -> Vec<f64> {
    let number = sorted.len().min(MOST_LENGTHS);
    let places = (0..number).map(|place| (2 * place + 1) * sorted.len() / (2 * number));
    places.filter_map(|place| sorted.get(place).copied()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |sum, value| sum + value) / values.len().max(1) as f64
}
