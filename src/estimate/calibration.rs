//! Fits the description of a cluster to a finished run, from its report, its configuration and its records.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::{
    model::{
        Attempt, AttemptOutcome, Engine, PageRecord, PageRef, RankId, RolePattern, ServerTime, Verdict,
        configuration::Configuration,
    },
    report::{EndReport, REPORT_FILE},
    simulate::{Description, EngineDescription},
    store::{Layout, ShardReader},
};

use super::{EstimateError, length_correlation::length_correlation};

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

/// The records of the first ranks, also those that are not final: their requests were on the servers too.
fn records(run_directory: &Path) -> Result<Vec<PageRecord>, EstimateError> {
    let layout = Layout::new(run_directory);
    let mut files = layout.shards()?;
    files.sort_by_key(|file| file.rank);
    let mut records: Vec<PageRecord> = Vec::new();
    let mut last = None;
    for file in files {
        if records.len() >= MOST_RECORDS && last != Some(file.rank) {
            break;
        }
        last = Some(file.rank);
        let shard = ShardReader::open(&layout.shard(file))?;
        for row in 0..shard.pages() {
            records.push(shard.read(row)?);
        }
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
        let length_correlation = length_correlation(engine, records).unwrap_or(described.length_correlation);
        of.describe(EngineDescription { length_correlation, ..described }, engine == Engine::FIRST)
    };
    let served = requests.iter().filter(|(engine, _)| roles.serves(**engine));
    let engines = served.map(|(engine, of)| (names[*engine].clone(), described(*engine, of))).collect();
    let pages: BTreeSet<PageRef> = records.iter().map(|record| record.page).collect();
    let blank = records.iter().filter(|record| record.verdict == Verdict::Blank && record.attempts.is_empty()).count();
    Description {
        ranks: report.ranks.max(1),
        roles: Some(roles.named(names)),
        stages: Some(names.names().to_vec()),
        pages: u32::try_from(report.pages).unwrap_or(u32::MAX).max(1),
        pages_per_document: u32::try_from(report.pages / report.documents.max(1)).unwrap_or(u32::MAX).max(1),
        blank: blank as f64 / pages.len().max(1) as f64,
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
        // A later record of a page repeats the attempts of an earlier one.
        let mut by_page: BTreeMap<PageRef, BTreeMap<(i64, &str), &Attempt>> = BTreeMap::new();
        for record in records {
            let of_engine = record.attempts.iter().filter(|attempt| attempt.stage.engine() == engine);
            let answered = of_engine.filter(|attempt| !matches!(attempt.outcome, AttemptOutcome::Interrupted(_)));
            let named = answered.map(|attempt| ((attempt.started_unix_ms, attempt.request_id.as_str()), attempt));
            by_page.entry(record.page).or_default().extend(named);
        }
        let of_page = |attempts: BTreeMap<(i64, &str), &Attempt>| {
            let placed = attempts.into_values().enumerate();
            placed.map(|(place, attempt)| request(attempt, zero, place == 0)).collect::<Vec<_>>()
        };
        let all = by_page.into_values().flat_map(of_page).collect();
        Requests { all }
    }

    fn by_rank(&self) -> BTreeMap<RankId, Vec<&Request>> {
        let mut by_rank: BTreeMap<RankId, Vec<&Request>> = BTreeMap::new();
        self.all.iter().for_each(|request| by_rank.entry(request.rank).or_default().push(request));
        by_rank
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

    /// Tokens that a rank generated in a second while pages waited for it; `None` if no rank had so many.
    fn full_rate(&self) -> Option<f64> {
        let (mut tokens, mut seconds) = (0.0, 0.0);
        for requests in self.by_rank().into_values() {
            let first = requests.iter().map(|request| request.begin).fold(f64::INFINITY, f64::min);
            let last = requests.iter().map(|request| request.begin).fold(0.0, f64::max);
            let end = first + FULL * (last - first);
            // Of a request at the end of the span the part counts that lies in it.
            let part = |one: &&Request| (end.min(one.end) - one.begin).max(0.0) / (one.end - one.begin).max(1e-9);
            tokens += requests.iter().map(|one| one.tokens * part(one)).sum::<f64>();
            seconds += end - first;
        }
        (tokens > 0.0 && seconds > 0.0).then(|| tokens / seconds)
    }

    /// Adds times, lengths and failures. For the first engine pages have `waited`.
    fn describe(&self, engine: EngineDescription, waited: bool) -> EngineDescription {
        let read: Vec<&Request> = self.all.iter().filter(|one| !one.failed && one.tokens > 0.0).collect();
        let Some(curve) = Curve::of(self, engine.in_flight) else { return engine };
        let page = mean(&read.iter().map(|one| one.tokens).collect::<Vec<_>>());
        let mut lengths: Vec<f64> = read.iter().map(|one| one.tokens / page).collect();
        lengths.sort_by(f64::total_cmp);
        let failed = |first: bool| {
            let all: Vec<_> = self.all.iter().filter(|one| one.is_first == first).collect();
            all.iter().filter(|one| one.failed).count() as f64 / all.len().max(1) as f64
        };
        let of_failures = self.all.iter().filter(|one| one.failed).map(|one| one.tokens / page);
        // The rate of a full server is measured as such, so that it holds with the moments in which a slot is empty
        // between two requests. The curve gives its ratio to that of a server with fewer requests.
        let full = f64::from(engine.in_flight);
        let each = match self.full_rate().filter(|_| waited) {
            Some(rate) => full / rate / curve.saturation.max(full),
            None => curve.each,
        };
        EngineDescription {
            page_floor: each * curve.saturation * page,
            page_each: each * page,
            page_prefill: 0.0,
            lengths: thinned(&lengths),
            failures: failed(true),
            failures_again: failed(false),
            failure_length: mean(&of_failures.collect::<Vec<_>>()),
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
    }
}

/// Seconds for a token: `each × max(saturation, requests in flight)`.
#[derive(Debug, Clone, Copy)]
struct Curve {
    /// Up to this number, requests do not slow each other down.
    saturation: f64,
    each: f64,
}

impl Curve {
    /// The curve that explains the tokens of the answers best, by the seconds that each had with every number in flight
    /// beside it. `None` without answers.
    fn of(requests: &Requests, in_flight: u32) -> Option<Curve> {
        /// Steps between two saturations that are tried, in the whole range and then around the best.
        const TRIED: u32 = 32;
        let answers: Vec<(f64, Vec<(f64, f64)>)> = requests
            .by_rank()
            .into_values()
            .flat_map(|of_rank| {
                let changes = of_rank.iter().flat_map(|one| [(one.begin, 1.0), (one.end, -1.0)]).collect();
                let load = Load::of(changes);
                let read = of_rank.into_iter().filter(|one| !one.failed && one.tokens > 0.0);
                read.map(|one| (one.tokens, load.levels(one.begin, one.end))).collect::<Vec<_>>()
            })
            .collect();
        let fitted = |saturation: f64| {
            let work = |levels: &[(f64, f64)]| levels.iter().map(|(n, time)| time / n.max(saturation)).sum::<f64>();
            let works: Vec<(f64, f64)> = answers.iter().map(|(tokens, levels)| (*tokens, work(levels))).collect();
            let square = works.iter().map(|(_, work)| work * work).sum::<f64>();
            let rate = works.iter().map(|(tokens, work)| tokens * work).sum::<f64>() / square;
            // Not squares: a request that the records lack must not decide.
            let error = works.iter().map(|(tokens, work)| (tokens - rate * work).abs()).sum::<f64>();
            (error, Curve { saturation, each: 1.0 / rate })
        };
        let best = |from: f64, to: f64| {
            let at = |step: u32| from + f64::from(step) / f64::from(TRIED) * (to - from);
            let curves = (0..=TRIED).map(|step| fitted(at(step))).filter(|(_, curve)| curve.each.is_finite());
            curves.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, curve)| curve)
        };
        let most = f64::from(in_flight.max(1));
        let step = (most - 1.0) / f64::from(TRIED);
        let Curve { saturation, .. } = best(1.0, most)?;
        best((saturation - step).max(1.0), (saturation + step).min(most))
    }
}

/// The number of requests in flight from each moment on.
struct Load(Vec<(f64, f64)>);

impl Load {
    fn of(mut changes: Vec<(f64, f64)>) -> Load {
        changes.sort_by(|one, other| one.0.total_cmp(&other.0));
        let steps = changes.into_iter().scan(0.0, |number, (at, change)| {
            *number += change;
            Some((at, *number))
        });
        Load(steps.collect())
    }

    /// The numbers in flight between two times, and the seconds of each.
    fn levels(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        let first = self.0.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let ends = self.0.iter().skip(first + 1).map(|(at, _)| *at).chain([f64::INFINITY]);
        let steps = self.0.iter().skip(first).zip(ends).take_while(|((at, _), _)| *at < to);
        steps.map(|((at, number), end)| (*number, end.min(to) - at.max(from))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of one rank on a server that gives each 100 tokens a second, up to two, and then shares 200.
    fn requests() -> Requests {
        let mut server = Vec::new();
        let (mut now, mut waiting) = (0.0, (0..60).map(|index| 100.0 + 10.0 * f64::from(index % 7)));
        let mut in_flight: Vec<(f64, f64, f64)> = Vec::new();
        loop {
            while in_flight.len() < 4
                && let Some(tokens) = waiting.next()
            {
                in_flight.push((now, tokens, tokens));
            }
            let speed = 100.0_f64.min(200.0 / in_flight.len() as f64);
            let Some(left) = in_flight.iter().map(|(_, _, left)| *left).min_by(f64::total_cmp) else { break };
            now += left / speed;
            in_flight.iter_mut().for_each(|(_, _, of)| *of -= left);
            server.extend(
                in_flight.extract_if(.., |(_, _, left)| *left <= 1e-9).map(|(begin, tokens, _)| (begin, now, tokens)),
            );
        }
        let request =
            |(begin, end, tokens)| Request { rank: RankId(0), begin, end, tokens, failed: false, is_first: true };
        Requests { all: server.into_iter().map(request).collect() }
    }

    #[test]
    fn the_speed_of_a_server_follows_from_its_requests() {
        let described = requests().describe(EngineDescription { in_flight: 4, ..Default::default() }, true);
        let mean = requests().all.iter().map(|one| one.tokens).sum::<f64>() / 60.0;
        for (number, expected) in [(1, mean / 100.0), (2, mean / 100.0), (4, mean / 50.0)] {
            let seconds = described.page().seconds(number);
            assert!((seconds / expected - 1.0).abs() < 0.03, "{number} in flight: {seconds}, not {expected}");
        }
        assert_eq!((described.failures, described.lengths.len()), (0.0, 60));
    }
}
