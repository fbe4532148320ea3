//! The notes beside the figures: assumptions and warnings.

use std::path::PathBuf;

use crate::model::{Engine, ServerKind, configuration::ServerSource};

use super::{Estimate, EstimateRequest, Feasibility, PageCost, proposal::select, request::READING_RATE};

/// Cores that a rank's server keeps busy: its API server, its engine and their threads. Assumed.
const SERVER_CORES: f64 = 4.0;

/// The assumptions and sources of the figures.
pub(super) fn assumptions(estimate: &Estimate) -> Vec<String> {
    let mut lines = estimate.work.sources.clone();
    if !estimate.work.from_reports {
        lines.push(PageCost::assumption());
    }
    let (best, worst) = estimate.work.range;
    lines.push(format!("times may be {best} to {worst} times the expected ones: assumed"));
    lines.push(format!(
        "rank 0 reads all files once, for their checksums, at an assumed {:.0} MB/s, while servers start",
        READING_RATE / 1e6
    ));
    lines.push(format!("disk: {}; logs are not included", estimate.disk.source));
    lines
}

/// What the user should check before submitting.
pub(super) fn warnings(estimate: &Estimate, request: &EstimateRequest) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let Estimate { earlier, disk, work, .. } = estimate;
    lines.extend(earlier.left_out.iter().map(|report| format!("not used: {report}")));
    if !earlier.has_figures() {
        let disk_only = |report: &PathBuf| {
            format!("used for disk only: {}: its start read too few pages for the cost of a page", report.display())
        };
        lines.extend(earlier.reports.iter().map(disk_only));
    }
    if let Some(server) = earlier.server.filter(|server| earlier.has_figures() && *server != ServerKind::Model) {
        lines.push(format!("the earlier runs were read by {server} servers, not by the models: the times are theirs"));
    }
    let stand_in = matches!(request.configuration.engines.of(Engine::FIRST).server, ServerSource::StandIn { .. });
    if stand_in && !earlier.has_figures() {
        lines.push("the configuration launches stand-ins, but these are the times of the models".into());
    }
    if work.first.pages > 0.0 && estimate.drawing_cores > f64::from(estimate.renderers) {
        lines.push(format!(
            "the {} renderers of a rank are slower than its server: set imaging.children = {:.0}",
            estimate.renderers,
            (estimate.drawing_cores * 1.5).ceil()
        ));
    }
    let node = select(request.job, estimate.proposed.gpus);
    let cores = f64::from(node.cores.get()) / f64::from(node.ranks.get());
    if estimate.drawing_cores + SERVER_CORES > cores {
        lines.push(format!(
            "{cores:.0} cores for each GPU are too few: rendering takes {:.1}, a server about {SERVER_CORES:.0}",
            estimate.drawing_cores
        ));
    }
    if disk.is_short() {
        lines.push(format!("{} has too little free space for the run: give another --output", disk.folder.display()));
    }
    if let Feasibility::Jobs(jobs) = estimate.fit {
        lines.push(format!(
            "one job is not expected to be enough: submit {jobs} jobs, of which each continues the one before (--chain)"
        ));
    }
    lines
}
