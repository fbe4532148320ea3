//! A scaling experiment: the points of a curve.

use super::{
    error::ExperimentError,
    inputs::{Counted, first_pages},
    leader::{Leader, Wanted, say, take_part},
    order::next,
    plots,
    request::{Point, ScalingRequest},
    results::{Kind, Measurement, Results, Setting},
    tables,
};
use crate::{comm::Transport, run::over_ranks, worker::WorkerError};

/// Runs the experiment on the rank of this process. Rank 0 returns the result as Markdown, the other ranks nothing.
///
/// # Errors
/// See [`ExperimentError`]. What was measured is kept.
pub fn scaling(request: &ScalingRequest) -> Result<Option<String>, ExperimentError> {
    over_ranks(|transport| scaling_on(transport, request), |_| false)
}

/// Runs the experiment on one rank over the given transport.
///
/// # Errors
/// As [`scaling`].
fn scaling_on(transport: &mut dyn Transport, request: &ScalingRequest) -> Result<Option<String>, ExperimentError> {
    take_part(transport, vec![request.run.clone()], |leader| measure_all(leader, request))
}

fn measure_all(leader: &mut Leader<'_>, request: &ScalingRequest) -> Result<String, ExperimentError> {
    let (home, available) = (leader.home(), leader.ranks());
    let points = request.points(available);
    if let Some(point) = points.iter().find(|point| point.ranks > available) {
        return Err(ExperimentError::TooFewRanks { wanted: point.ranks, available });
    }
    let pages = [("--pages", request.pages), ("--strong-pages", request.strong_pages)];
    let setting = Setting::new(Kind::Scaling, available, request.seed, &pages, [("", &request.run)]);
    let mut results = Results::open(&home, setting.map_err(WorkerError::Configuration)?)?;
    let open = |results: &Results<Point>| {
        next(&points, |point| results.sample(point, Measurement::rate), &request.rule, request.seed)
    };
    if open(&results).is_some() {
        let warm_up_pages = available.saturating_mul(request.warm_up_pages);
        let most = points.iter().map(|point| request.pages_of(*point)).max().unwrap_or_default().max(warm_up_pages);
        let documents = first_pages(&request.run, most)?;
        let warm = warm_up(leader, &documents, warm_up_pages)?;
        while let Some((point, number)) = open(&results) {
            let pages = request.pages_of(point);
            let earlier = results.of(&point).map(|one| one.seconds).reduce(f64::max);
            leader.check_time(earlier.unwrap_or_else(|| f64::from(pages) / (warm * f64::from(point.ranks))))?;
            let name = format!("{}-{:04}-{number:02}", point.mode, point.ranks);
            let wanted = Wanted { name: &name, ranks: point.ranks, arm: 0, documents: &documents, pages };
            let (report, whole) = leader.run(wanted)?;
            let measured = Measurement::of(point, number, &report, whole);
            say(&format!(
                "{} scaling, {} ranks, measurement {number}: {} pages in {:.1} s, {:.2} pages/s",
                point.mode,
                point.ranks,
                measured.pages,
                measured.reading_seconds,
                measured.rate()
            ));
            results.add(measured)?;
            tables::write(&home, &results)?;
        }
    }
    let page = tables::write(&home, &results)?;
    plots::write(&home, &results)?;
    Ok(page)
}

/// Starts the servers of all ranks, and reads pages that are not measured. Pages a second of a rank.
fn warm_up(leader: &mut Leader<'_>, documents: &[Counted], pages: u32) -> Result<f64, ExperimentError> {
    let ranks = leader.ranks();
    let (report, _) = leader.run(Wanted { name: "warm-up", ranks, arm: 0, documents, pages })?;
    say(&format!("servers started on {ranks} ranks, {} pages read to warm them up", report.pages));
    let seconds = report.reading_seconds.unwrap_or(report.seconds).max(0.001);
    Ok((report.pages as f64 / seconds / f64::from(ranks)).max(0.001))
}
