//! Markdown and CSV of the results.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use super::{
    error::ExperimentError,
    request::{Mode, Point},
    results::{Measurement, Results, Setting},
    statistics::{Estimate, Sample, serial_fraction},
};
use crate::{model::RankId, sys::replace};

/// What the servers did, in the order of tables and plots.
pub(super) const PARTS: [&str; 7] =
    ["busy", "idle_rendering", "idle_no_pages", "starting", "down", "draining", "outside"];

const NOTES: &str = "\
Every measurement is a run of its own on servers that were ready. Seconds of reading go from the moment at which rank 0
could deal the first page to the last verdict; the rate is pages divided by them. The speed-up of p ranks is
p0 rate(p) / rate(p0), where p0 is the fewest ranks of the table; the efficiency is the speed-up divided by p. Values are
means with half of their 95 % interval (Student). *Whole run*: the efficiency of the whole run, with its plan, the start of
its renderers, and its sealing. Serial fraction (Karp and Flatt 1990): (1/S - 1/p) / (1 - 1/p).";

const NOTES_ON_SECONDS: &str = "\
Where the seconds of all ranks went in the whole run. *busy*: the share of the limit that is in flight. *idle: rendering*:
the rank had pages, but not their images yet. *idle: no pages*: the rank had no pages, also at the end of a run.
*starting*, *down*. *draining*: the run ends, with sealing. *outside*: before and after the servers belong to the run.";

/// A rank that reads less than this share of the mean in all measurements is named.
const STRAGGLER: f64 = 0.95;

/// Fewest pages of a rank in a measurement that count for stragglers: with fewer, the last page decides.
const FEWEST_PAGES: u64 = 10;

/// A point with all that is known of it.
pub(super) struct Row {
    pub(super) point: Point,
    measured: u32,
    pages: f64,
    reading: f64,
    rate: Estimate,
    pub(super) speed_up: Estimate,
    pub(super) efficiency: Estimate,
    whole_efficiency: Estimate,
    serial_fraction: Option<f64>,
    /// Shares of the ranks' seconds, by part; together 1.
    pub(super) parts: BTreeMap<&'static str, f64>,
}

/// The rows of a mode, by number of ranks.
pub(super) fn rows(results: &Results<Point>, mode: Mode) -> Vec<Row> {
    let points = results.points(mode);
    let Some(base) = points.first().copied() else { return Vec::new() };
    let (base_rate, base_whole) =
        (results.sample(&base, Measurement::rate), results.sample(&base, Measurement::whole_rate));
    let row = |point: Point| {
        let rate = results.sample(&point, Measurement::rate);
        let over = |sample: &Sample, of_base: &Sample| match point == base {
            true => Estimate { value: 1.0, half_width: None },
            false => sample.over(of_base),
        };
        let ratio = over(&rate, &base_rate);
        let whole = over(&results.sample(&point, Measurement::whole_rate), &base_whole);
        let (ranks, of_base) = (f64::from(point.ranks), f64::from(base.ranks));
        let of_all =
            |part: &str| results.sample(&point, |one| one.server_seconds.get(part).copied().unwrap_or_default()).mean();
        let total = PARTS.into_iter().map(of_all).sum::<f64>().max(f64::MIN_POSITIVE);
        Row {
            point,
            measured: rate.len(),
            pages: results.sample(&point, |one| one.pages as f64).mean(),
            reading: results.sample(&point, |one| one.reading_seconds).mean(),
            rate: rate.estimate(),
            speed_up: ratio.times(of_base),
            efficiency: ratio.times(of_base / ranks),
            whole_efficiency: whole.times(of_base / ranks),
            serial_fraction: serial_fraction(ratio.value, ranks / of_base),
            parts: PARTS.into_iter().map(|part| (part, of_all(part) / total)).collect(),
        }
    };
    points.into_iter().map(row).collect()
}

/// Writes `scaling.md`, `points.csv` and `measurements.csv`. Returns the Markdown.
///
/// # Errors
/// They cannot be written.
pub(super) fn write(folder: &Path, results: &Results<Point>) -> Result<String, ExperimentError> {
    let page = page(results);
    let files = [("scaling.md", page.clone()), ("points.csv", points_csv(results)), ("measurements.csv", csv(results))];
    for (name, text) in files {
        let path = folder.join(name);
        replace(&path, text.as_bytes()).map_err(|source| ExperimentError::File { path, source })?;
    }
    Ok(page)
}

fn page(results: &Results<Point>) -> String {
    let mut text = format!("# Scaling\n\n{}\n\n{NOTES}\n\n{NOTES_ON_SECONDS}\n", head(&results.setting));
    for mode in Mode::ALL {
        let rows = rows(results, mode);
        if rows.is_empty() {
            continue;
        }
        let title = if mode == Mode::Weak { "Weak" } else { "Strong" };
        let _ = write!(text, "\n## {title} scaling\n\n{}\n{}", speed_table(&rows), seconds_table(&rows));
    }
    let stragglers = stragglers(results);
    if !stragglers.is_empty() {
        let _ = write!(text, "\n## Stragglers\n\n");
        for (rank, host, share) in stragglers {
            let _ = writeln!(text, "- {rank} on {host} reads {} of the mean of all ranks", estimate_text(share, 2));
        }
    }
    text
}

/// Where and with what an experiment was made.
pub(super) fn head(setting: &Setting) -> String {
    let Setting { host, gpus, ranks, seed, program_version, .. } = setting;
    let gpus = if gpus.is_empty() { "without GPUs".to_owned() } else { format!("with {gpus}") };
    format!(
        "bocr {program_version} on {ranks} ranks, rank 0 on {host} {gpus}; seed {seed}. `results.jsonl` has the settings \
         and all measurements."
    )
}

fn speed_table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| ranks | measured | pages | reading, s | pages/s | speed-up | efficiency | whole run | serial fraction |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let serial = row.serial_fraction.map_or("-".into(), |fraction| format!("{fraction:.4}"));
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.1} | {} | {} | {} | {} | {serial} |",
            row.point.ranks,
            row.measured,
            row.pages,
            row.reading,
            estimate_text(row.rate, 2),
            estimate_text(row.speed_up, 2),
            estimate_text(row.efficiency, 3),
            estimate_text(row.whole_efficiency, 3),
        );
    }
    text
}

fn seconds_table(rows: &[Row]) -> String {
    let names = PARTS.map(label).join(" | ");
    let mut text = format!("| ranks | {names} |\n|---|{}\n", "---|".repeat(PARTS.len()));
    for row in rows {
        let shares: Vec<String> = PARTS.iter().map(|part| format!("{:.1} %", 100.0 * row.parts[part])).collect();
        let _ = writeln!(text, "| {} | {} |", row.point.ranks, shares.join(" | "));
    }
    text
}

/// The label of a part in tables and plots.
pub(super) fn label(part: &str) -> &str {
    match part {
        "idle_rendering" => "idle: rendering",
        "idle_no_pages" => "idle: no pages",
        part => part,
    }
}

pub(super) fn estimate_text(estimate: Estimate, places: usize) -> String {
    let Estimate { value, half_width } = estimate;
    half_width.map_or_else(|| format!("{value:.places$}"), |half| format!("{value:.places$} ± {half:.places$}"))
}

/// Ranks that read less than the others in every measurement: pages go to the rank that has room, so a slow rank reads
/// fewer of them. Each with its host and its share of the mean.
fn stragglers(results: &Results<Point>) -> Vec<(RankId, String, Estimate)> {
    let mut shares: BTreeMap<RankId, (String, Vec<f64>)> = BTreeMap::new();
    for one in &results.measurements {
        let ranks = one.by_rank.len() as u64;
        if ranks < 2 || one.pages < FEWEST_PAGES * ranks {
            continue;
        }
        let mean = one.by_rank.iter().map(|rank| rank.pages).sum::<u64>() as f64 / ranks as f64;
        for rank in &one.by_rank {
            let entry = shares.entry(rank.rank).or_insert_with(|| (rank.host.clone(), Vec::new()));
            entry.1.push(rank.pages as f64 / mean);
        }
    }
    let known = shares.into_iter().map(|(rank, (host, shares))| (rank, host, Sample::of(shares).estimate()));
    known.filter(|(_, _, share)| share.half_width.is_some_and(|half| share.value + half < STRAGGLER)).collect()
}

fn points_csv(results: &Results<Point>) -> String {
    let mut text = String::from(
        "mode,ranks,measured,pages,reading_seconds,rate,rate_half_width,speed_up,efficiency,efficiency_half_width,\
         whole_efficiency,serial_fraction\n",
    );
    let half = |estimate: Estimate| estimate.half_width.map(|half| format!("{half:.4}")).unwrap_or_default();
    for row in Mode::ALL.into_iter().flat_map(|mode| rows(results, mode)) {
        let _ = writeln!(
            text,
            "{},{},{},{:.0},{:.3},{:.4},{},{:.4},{:.4},{},{:.4},{}",
            row.point.mode,
            row.point.ranks,
            row.measured,
            row.pages,
            row.reading,
            row.rate.value,
            half(row.rate),
            row.speed_up.value,
            row.efficiency.value,
            half(row.efficiency),
            row.whole_efficiency.value,
            row.serial_fraction.map(|fraction| format!("{fraction:.5}")).unwrap_or_default(),
        );
    }
    text
}

fn csv(results: &Results<Point>) -> String {
    let mut text = format!(
        "mode,ranks,number,pages,failed,seconds,reading_seconds,prompt_tokens,generated_tokens,{}\n",
        PARTS.join(",")
    );
    for one in &results.measurements {
        let parts: Vec<String> = PARTS
            .iter()
            .map(|part| format!("{:.3}", one.server_seconds.get(*part).copied().unwrap_or_default()))
            .collect();
        let _ = writeln!(
            text,
            "{},{},{},{},{},{:.3},{:.3},{},{},{}",
            one.subject.mode,
            one.subject.ranks,
            one.number,
            one.pages,
            one.failed,
            one.seconds,
            one.reading_seconds,
            one.prompt_tokens,
            one.generated_tokens,
            parts.join(",")
        );
    }
    text
}
