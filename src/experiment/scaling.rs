//! A scaling experiment: rank 0 runs the measurements, one after the other.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    error::ExperimentError,
    inputs::{Counted, first, gather},
    member::{Member, Order, Part},
    order::{StopRule, next},
    plots,
    request::{Point, ScalingRequest},
    results::{Measurement, Results},
    tables,
};
use crate::{
    comm::Transport,
    model::{RankId, StopReason},
    report::{EndReport, Finished, RunOutcome, RunPhase, StatusFile},
    run::{STOP_FILE, over_ranks},
    sys::{ExitCode, write_stderr},
};

/// A run may take this much longer than the last one of its kind.
const SLOWER: f64 = 1.25;

/// Runs the experiment on the rank of this process. Rank 0 returns the result as Markdown, the other ranks nothing.
///
/// # Errors
/// See [`ExperimentError`]. What was measured is kept.
pub fn run(request: &ScalingRequest) -> Result<Option<String>, ExperimentError> {
    over_ranks(|transport| run_on(transport, request), |_| false)
}

/// Runs the experiment on one rank over the given transport.
///
/// # Errors
/// As [`run`].
pub fn run_on(transport: &mut dyn Transport, request: &ScalingRequest) -> Result<Option<String>, ExperimentError> {
    let rank = transport.rank();
    let member = Member::new(transport, request)?;
    if rank != RankId::COORDINATOR {
        return member.follow().map(|()| None);
    }
    let mut leader = Leader { member, deadline: None };
    let done = leader.measure_all();
    leader.member.order(&Order::End)?;
    leader.member.end();
    let finished = match &done {
        Ok(_) => Some(Finished {
            exit_code: ExitCode::Success,
            outcome: RunOutcome::Complete,
            again: false,
            silent_hosts: Vec::new(),
        }),
        Err(ExperimentError::Stopped { folder, .. }) => Finished::read(folder).ok().flatten(),
        Err(ExperimentError::NoTime { .. }) => Some(Finished {
            exit_code: ExitCode::StoppedEarly,
            outcome: RunOutcome::Stopped(StopReason::Deadline),
            again: false,
            silent_hosts: Vec::new(),
        }),
        Err(_) => None,
    };
    if let Some(finished) = finished {
        finished.write(&request.run.home).map_err(|source| file(&request.run.home, source))?;
    }
    done.map(Some)
}

fn file(path: &Path, source: std::io::Error) -> ExperimentError {
    ExperimentError::File { path: path.to_owned(), source }
}

/// Rank 0 of an experiment.
struct Leader<'a, 'b> {
    member: Member<'a, 'b>,
    /// When all measurements must have ended.
    deadline: Option<Instant>,
}

impl Leader<'_, '_> {
    fn measure_all(&mut self) -> Result<String, ExperimentError> {
        let request = self.member.request;
        let home = &request.run.home;
        let available = self.member.epochs.size();
        fs::create_dir_all(home).map_err(|source| file(home, source))?;
        match fs::remove_file(home.join(STOP_FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file(home, error)),
            _ => {}
        }
        let points = request.points(available);
        check_ranks(request, &points, available)?;
        let left = request.run.time_limit.map(crate::run::TimeLimit::remaining).transpose()?.flatten();
        self.deadline = left.map(|left| Instant::now() + left);
        let mut results = Results::open(request, available)?;
        let rule = StopRule { fewest: request.repeats, most: request.most_repeats, precision: request.precision };
        let rate = |results: &Results, point| results.sample(point, Measurement::rate);
        if next(&points, |point| rate(&results, point), &rule, request.seed).is_some() {
            let documents = self.documents(&points)?;
            let warm = self.warm_up(&documents)?;
            while let Some((point, number)) = next(&points, |point| rate(&results, point), &rule, request.seed) {
                self.check_time(&results, point, warm)?;
                let measured = self.measure(&documents, point, number)?;
                say(&format!(
                    "{} scaling, {} ranks, measurement {number}: {} pages in {:.1} s, {:.2} pages/s",
                    point.mode,
                    point.ranks,
                    measured.pages,
                    measured.reading_seconds,
                    measured.rate()
                ));
                results.add(measured)?;
                tables::write(home, &results)?;
            }
        }
        let page = tables::write(home, &results)?;
        plots::write(home, &results)?;
        Ok(page)
    }

    /// Documents for the largest measurement.
    fn documents(&self, points: &[Point]) -> Result<Vec<Counted>, ExperimentError> {
        let request = self.member.request;
        let home = &request.run.home;
        let warm_up = self.member.epochs.size().saturating_mul(request.warm_up_pages);
        let most = points.iter().map(|point| request.pages_of(*point)).max().unwrap_or_default().max(warm_up);
        // The launcher takes a status that stands still for a sign of a run that hangs.
        let status = StatusFile::new(home).map_err(|source| file(home, source))?;
        gather(&request.run, &home.join("copies"), most, || status.write(RunPhase::Preparing, None))
    }

    /// Starts the servers of all ranks, and reads pages that are not measured. Pages a second of a rank.
    fn warm_up(&mut self, documents: &[Counted]) -> Result<f64, ExperimentError> {
        let ranks = self.member.epochs.size();
        let pages = ranks.saturating_mul(self.member.request.warm_up_pages);
        let (report, _) = self.run("warm-up", ranks, documents, pages)?;
        say(&format!("servers started on {ranks} ranks, {} pages read to warm them up", report.pages));
        let seconds = report.reading_seconds.unwrap_or(report.seconds).max(0.001);
        Ok(report.pages as f64 / seconds / f64::from(ranks))
    }

    fn measure(&mut self, documents: &[Counted], point: Point, number: u32) -> Result<Measurement, ExperimentError> {
        let name = format!("{}-{:04}-{number:02}", point.mode, point.ranks);
        let (report, whole) = self.run(&name, point.ranks, documents, self.member.request.pages_of(point))?;
        Ok(Measurement::of(point, number, &report, whole))
    }

    /// A run of the first `ranks` ranks in a new run directory, and its duration.
    fn run(
        &mut self,
        name: &str,
        ranks: u32,
        documents: &[Counted],
        pages: u32,
    ) -> Result<(EndReport, Duration), ExperimentError> {
        let folder = self.member.request.run.home.join("runs").join(name);
        // What an interrupted measurement has left is of no use.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file(&folder, error)),
            _ => {}
        }
        let time_left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let begin = Instant::now();
        let part = Part { folder: &folder, ranks, inputs: first(documents, pages), time_left };
        let report = self.member.lead(part)?;
        let whole = begin.elapsed();
        match report {
            Some(report) if report.lost_ranks.is_empty() && !matches!(report.outcome, RunOutcome::Stopped(_)) => {
                Ok((report, whole))
            }
            report => {
                let outcome = report.map_or(RunOutcome::Stopped(StopReason::Requested), |report| report.outcome);
                Err(ExperimentError::Stopped { folder, outcome: Box::new(outcome) })
            }
        }
    }

    /// Whether the next measurement ends before the deadline, by the times of earlier ones. `warm` is the rate of a rank
    /// in the warm-up.
    fn check_time(&self, results: &Results, point: Point, warm: f64) -> Result<(), ExperimentError> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        let pages = f64::from(self.member.request.pages_of(point));
        let expected = results
            .of(point)
            .map(|one| one.seconds)
            .reduce(f64::max)
            .unwrap_or_else(|| pages / (warm * f64::from(point.ranks)).max(0.001));
        let reserve = self.member.request.run.configuration.schedule.seal_reserve;
        let needed = Duration::try_from_secs_f64(expected * SLOWER).unwrap_or(Duration::MAX).saturating_add(reserve);
        if needed > left { Err(ExperimentError::NoTime { needed, left }) } else { Ok(()) }
    }
}

fn check_ranks(request: &ScalingRequest, points: &[Point], available: u32) -> Result<(), ExperimentError> {
    if let Some(point) = points.iter().find(|point| point.ranks > available) {
        return Err(ExperimentError::TooFewRanks { wanted: point.ranks, available });
    }
    let engines = &request.run.configuration.engines;
    let roles = engines.roles();
    let first = roles.of(RankId::COORDINATOR, available);
    if (1..available).any(|rank| roles.of(RankId(rank), available) != first) {
        return Err(ExperimentError::UnequalRoles(roles.named(engines.names()).to_string()));
    }
    Ok(())
}

/// A line of progress.
fn say(line: &str) {
    write_stderr(&format!("experiment: {line}\n"));
}
