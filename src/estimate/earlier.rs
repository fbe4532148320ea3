//! What earlier runs say of the same work, from their `report.json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{EstimateError, StoredPage};
use crate::{
    model::{Engine, Remedy, ServerKind},
    report::{EndReport, REPORT_FILE},
};

/// Sums over the reports that are used, of what their own starts did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Earlier {
    /// The files.
    pub reports: Vec<PathBuf>,
    /// What answered.
    pub server: Option<ServerKind>,
    /// Pages that an engine was asked about.
    pub pages: f64,
    /// Of these, those that stage 1 failed.
    pub failed_first: f64,
    /// Seconds in which stage 1's servers were ready for pages, and did or did not have any.
    pub ready: f64,
    /// Of these, those in which they had the work that they want.
    pub busy: f64,
    /// Requests to stage 1 and their tokens.
    pub requests: f64,
    /// Prompt tokens of stage 1, images and retries included.
    pub prompt_tokens: f64,
    /// Generated tokens of stage 1, those of failed attempts included.
    pub generated_tokens: f64,
    /// Seconds in which stage 2's servers had the work that they want.
    pub second_busy: f64,
    /// Seconds from the start of a server of stage 1 to its readiness, over all servers.
    pub starting: f64,
    /// Servers of stage 1.
    pub servers: f64,
    /// What their stores took.
    pub stored: StoredPage,
    /// Reports that are not used, and why.
    pub left_out: Vec<String>,
}

/// A report and where it lies.
pub(super) struct Found {
    path: PathBuf,
    report: EndReport,
}

/// Reads a report, given its file or its run directory.
///
/// # Errors
/// It is not there, or is none.
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
/// It cannot be read.
pub(super) fn of_run(run_directory: &Path) -> Result<Option<Found>, EstimateError> {
    if run_directory.join(REPORT_FILE).exists() { read(run_directory).map(Some) } else { Ok(None) }
}

impl Earlier {
    /// Adds up those of `found` that were made with `profile` and with `wanted` servers; where any will do, with the
    /// models if some were, else with those of the first.
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
                    Some(format!("read by {kind} servers, and this is about {server} servers"))
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

    /// Adds what one start did.
    fn add(&mut self, report: &EndReport) {
        let failed = report.failed.iter().filter(|(class, _)| class.remedy() != Remedy::Operator);
        let failed: u64 = failed.map(|(_, pages)| pages).sum();
        let settled = (report.pages - report.left) as f64;
        let asked = (report.read + failed) as f64;
        // Counts include what earlier starts settled; times and tokens do not.
        let share = if settled > 0.0 { report.pages_per_second * report.seconds / settled } else { 0.0 };
        self.pages += asked * share;
        self.failed_first += (report.recovered + failed) as f64 * share;
        if let Some(time) = report.server_time.get(&Engine::Chandra) {
            let ready = time.busy + time.idle_rendering + time.idle_no_pages;
            self.ready += ready.as_secs_f64();
            self.busy += time.busy.as_secs_f64();
            self.starting += time.starting.as_secs_f64();
            self.servers += (time.total().as_secs_f64() / report.seconds.max(0.001)).round().max(1.0);
        }
        if let Some(tokens) = report.tokens.get(&Engine::Chandra) {
            let all = tokens.all();
            self.requests += all.attempts as f64;
            self.prompt_tokens += all.prompt as f64;
            self.generated_tokens += all.generated as f64;
        }
        if let Some(time) = report.server_time.get(&Engine::DeepSeek) {
            self.second_busy += time.busy.as_secs_f64();
        }
    }

    /// Whether it says what a page costs.
    pub fn has_figures(&self) -> bool {
        self.pages > 0.0 && self.ready > 0.0 && self.requests > 0.0 && self.prompt_tokens > 0.0
    }
}

/// What served stage 1 of a run, and with which profile.
fn served(report: &EndReport) -> Option<(ServerKind, &str)> {
    let first = report.served_by.iter().find(|served| served.engine == Engine::Chandra)?;
    Some((first.server, &first.profile))
}
