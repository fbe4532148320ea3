//! What is told beside the figures: what they rest on, and what should be looked at.

use std::path::PathBuf;

use crate::model::{ServerKind, configuration::ServerSource};

use super::{Estimate, EstimateRequest, Feasibility, PageCost, proposal::select, request::READING_RATE};

/// Cores of a rank that its server keeps busy: its API server, its engine and their threads. Assumed.
const SERVER_CORES: f64 = 4.0;

/// What the figures rest on.
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
    lines.push(format!("disk: {}; logs are not in it", estimate.disk.source));
    lines
}

/// What should be looked at before submitting.
pub(super) fn warnings(estimate: &Estimate, request: &EstimateRequest) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let Estimate { earlier, disk, work, .. } = estimate;
    lines.extend(earlier.left_out.iter().map(|report| format!("not used: {report}")));
    if !earlier.has_figures() {
        let thin = |report: &PathBuf| {
            format!("used for disk only: {}: its start read too little to tell what a page costs", report.display())
        };
        lines.extend(earlier.reports.iter().map(thin));
    }
    if let Some(server) = earlier.server.filter(|server| earlier.has_figures() && *server != ServerKind::Model) {
        lines.push(format!("the earlier runs were read by {server} servers, not by the models: so are these times"));
    }
    let stand_in = matches!(request.configuration.engines.chandra.server, ServerSource::StandIn { .. });
    if stand_in && !earlier.has_figures() {
        lines.push("the configuration launches stand-ins: these are the times of the models, not theirs".into());
    }
    if work.chandra.pages > 0.0 && estimate.drawing_cores > f64::from(estimate.renderers) {
        lines.push(format!(
            "a rank's {} renderers are slower than its server reads: set imaging.children = {:.0}",
            estimate.renderers,
            (estimate.drawing_cores * 1.5).ceil()
        ));
    }
    let node = select(request.job, estimate.proposed.gpus);
    let cores = f64::from(node.cores.get()) / f64::from(node.ranks.get());
    if estimate.drawing_cores + SERVER_CORES > cores {
        lines.push(format!(
            "{cores:.0} cores a GPU are too few: drawing takes {:.1}, a server about {SERVER_CORES:.0}",
            estimate.drawing_cores
        ));
    }
    if disk.is_short() {
        lines.push(format!("{} has too little free space for the run: give another --output", disk.folder.display()));
    }
    if let Feasibility::Jobs(jobs) = estimate.fit {
        lines.push(format!("one job is not expected to be enough: {jobs} of them, each continues (--chain)"));
    }
    lines
}
