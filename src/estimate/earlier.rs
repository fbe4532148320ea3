//! Figures of earlier runs with the same work, from their `report.json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{EstimateError, StoredPage};
use crate::{
    model::{Remedy, ServerKind},
    report::{EndReport, REPORT_FILE},
};

/// Sums over the reports that are used. Each report counts only the work of its own start.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Earlier {
    /// Paths of the reports that are used.
    pub reports: Vec<PathBuf>,
    /// Whether the models or a stand-in answered.
    pub server: Option<ServerKind>,
    /// Pages that an engine read or failed.
    pub pages: f64,
    /// Pages of these that failed in stage 1.
    pub failed_first: f64,
    /// Seconds in which the servers of stage 1 were ready, busy or idle.
    pub ready: f64,
    /// Seconds of these in which they were busy.
    pub busy: f64,
    /// Requests to stage 1.
    pub requests: f64,
    /// Prompt tokens of stage 1, images and retries included.
    pub prompt_tokens: f64,
    /// Generated tokens of stage 1, those of failed attempts included.
    pub generated_tokens: f64,
    /// Seconds in which the servers of stage 2 were busy.
    pub second_busy: f64,
    /// Seconds from the start of a server of stage 1 to its readiness, summed over all servers.
    pub starting: f64,
    /// Number of servers of stage 1.
    pub servers: f64,
    /// Disk space of the runs' stores.
    pub stored: StoredPage,
    /// Reports that are not used, each with the reason.
    pub left_out: Vec<String>,
}

/// A report and its path.
pub(super) struct Found {
    path: PathBuf,
    report: EndReport,
}

/// Reads a report. `path` is the report or its run directory.
///
/// # Errors
/// The file cannot be read or is not a report.
pub(super) fn read(path: &Path) -> Result<Found, EstimateError> {
    let path = if path.is_dir() { path.join(REPORT_FILE) } else { path.to_owned() };
    let failed = |reason| EstimateError::Report { path: path.clone(), reason };
    let bytes = fs::read(&path).map_err(failed)?;
    let report = serde_json::from_slice(&bytes).map_err(io::Error::from).map_err(failed)?;
    Ok(Found { path, report })
}

/// The report of a run directory, if it has one.
///
/// # Errors
/// The report cannot be read.
pub(super) fn of_run(run_directory: &Path) -> Result<Option<Found>, EstimateError> {
    if run_directory.join(REPORT_FILE).exists() { read(run_directory).map(Some) } else { Ok(None) }
}

impl Earlier {
    /// Sums the reports of `found` that were made with `profile` and with `wanted` servers. If `wanted` is `None`, it
    /// is the models if a report was made with them, otherwise the kind of servers of the first report.
    pub(super) fn of(found: Vec<Found>, profile: &str, wanted: Option<ServerKind>) -> Earlier {
        let kind_of = |found: &Found| served(&found.report).map(|(kind, _)| kind);
        let any = || {
            let mut kinds = found.iter().filter_map(kind_of);
            kinds.clone().find(|kind| *kind == ServerKind::Model).or_else(|| kinds.next())
        };
        let server = wanted.or_else(any);
        let mut earlier = Earlier { server, ..Earlier::default() };
        for Found { path, report } in found {
            let unfit = match (served(&report), server) {
                (None, _) => Some("no page was read".into()),
                (Some((kind, _)), Some(server)) if kind != server => {
                    Some(format!("read by {kind} servers, but the estimate is for {server} servers"))
                }
                (Some((_, with)), _) if with != profile => Some(format!("read with profile {with}, not {profile}")),
                _ => None,
            };
            match unfit {
                Some(why) => earlier.left_out.push(format!("{}: {why}", path.display())),
                None => {
                    earlier.add(&report);
                    earlier.stored += StoredPage::of_run(&path, report.pages - report.left);
                    earlier.reports.push(path);
                }
            }
        }
        earlier
    }

    /// Adds the work of one start.
    fn add(&mut self, report: &EndReport) {
        let failed = report.failed.iter().filter(|(class, _)| class.remedy() != Remedy::Operator);
        let failed: u64 = failed.map(|(_, pages)| pages).sum();
        let settled = (report.pages - report.left) as f64;
        let asked = (report.read + failed) as f64;
        // The counts of a report include pages that earlier starts settled; its times and tokens do not. `share` is the
        // part of the pages that this start settled.
        let share = if settled > 0.0 { report.pages_per_second * report.seconds / settled } else { 0.0 };
        self.pages += asked * share;
        self.failed_first += (report.recovered + failed) as f64 * share;
        let Some((first, later)) = report.engines.split_first() else { return };
        if let Some(time) = report.server_time.get(first) {
            let ready = time.busy + time.idle_rendering + time.idle_no_pages;
            self.ready += ready.as_secs_f64();
            self.busy += time.busy.as_secs_f64();
            self.starting += time.starting.as_secs_f64();
            self.servers += (time.total().as_secs_f64() / report.seconds.max(0.001)).round().max(1.0);
        }
        if let Some(tokens) = report.tokens.get(first) {
            let all = tokens.all();
            self.requests += all.attempts as f64;
            self.prompt_tokens += all.prompt as f64;
            self.generated_tokens += all.generated as f64;
        }
        self.second_busy += later
            .iter()
            .filter_map(|engine| report.server_time.get(engine))
            .map(|time| time.busy.as_secs_f64())
            .sum::<f64>();
    }

    /// Whether the figures are enough for the cost of a page.
    pub fn has_figures(&self) -> bool {
        self.pages > 0.0 && self.ready > 0.0 && self.requests > 0.0 && self.prompt_tokens > 0.0
    }
}

/// The kind of servers of stage 1 of a run, and their profile.
fn served(report: &EndReport) -> Option<(ServerKind, &str)> {
    let first = report.served_by.iter().find(|served| Some(&served.engine) == report.engines.first())?;
    Some((first.server, &first.profile))
}
