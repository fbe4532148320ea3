//! Rank 0 of an experiment: it orders runs and reads their reports.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    error::ExperimentError,
    inputs::{Counted, first},
    member::{Member, Order, Part},
};
use crate::{
    comm::Transport,
    model::{RankId, StopReason},
    report::{EndReport, Finished, RunOutcome},
    run::{RunRequest, STOP_FILE},
    sys::{ExitCode, write_stderr},
};

/// A run may take this much longer than the last one of its kind.
const SLOWER: f64 = 1.25;

/// Rank 0 of an experiment.
pub(super) struct Leader<'a> {
    pub(super) member: Member<'a>,
    /// When all measurements must have ended.
    deadline: Option<Instant>,
}

/// A run to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Name of its run directory below `runs`.
    pub(super) name: &'a str,
    pub(super) ranks: u32,
    /// Number of its arm.
    pub(super) arm: u32,
    pub(super) documents: &'a [Counted],
    pub(super) pages: u32,
}

/// Takes part in the experiment on this rank. Rank 0 does `measure`, the other ranks what it orders; `arms` are the runs
/// that it can order.
///
/// # Errors
/// See [`ExperimentError`].
pub(super) fn take_part(
    transport: &mut dyn Transport,
    arms: Vec<RunRequest>,
    measure: impl FnOnce(&mut Leader<'_>) -> Result<String, ExperimentError>,
) -> Result<Option<String>, ExperimentError> {
    let rank = transport.rank();
    let member = Member::new(transport, arms)?;
    if rank != RankId::COORDINATOR {
        return member.follow().map(|()| None);
    }
    let mut leader = Leader { member, deadline: None };
    let done = leader.begin().and_then(|()| measure(&mut leader));
    leader.member.order(&Order::End)?;
    let home = leader.home();
    leader.member.end();
    if let Some(finished) = finished(&done) {
        finished.write(&home).map_err(|source| ExperimentError::file(&home, source))?;
    }
    done.map(Some)
}

/// How the experiment ended, for the process that started it; `None` where the exit code says enough.
fn finished(done: &Result<String, ExperimentError>) -> Option<Finished> {
    let ended = |exit_code, outcome| Some(Finished { exit_code, outcome, again: false, silent_hosts: Vec::new() });
    match done {
        Ok(_) => ended(ExitCode::Success, RunOutcome::Complete),
        Err(ExperimentError::Stopped { folder, .. }) => Finished::read(folder).ok().flatten(),
        Err(ExperimentError::NoTime { .. }) => ended(ExitCode::StoppedEarly, RunOutcome::Stopped(StopReason::Deadline)),
        Err(_) => None,
    }
}

impl Leader<'_> {
    /// The folder of the experiment.
    pub(super) fn home(&self) -> std::path::PathBuf {
        self.member.arms.first().map(|run| run.home.clone()).unwrap_or_default()
    }

    /// Number of ranks of the job.
    pub(super) fn ranks(&self) -> u32 {
        self.member.epochs.size()
    }

    fn begin(&mut self) -> Result<(), ExperimentError> {
        let home = self.home();
        fs::create_dir_all(&home).map_err(|source| ExperimentError::file(&home, source))?;
        remove(&home.join(STOP_FILE), |path| fs::remove_file(path))?;
        for run in &self.member.arms {
            let roles = run.configuration.engines.roles();
            let first = roles.of(RankId::COORDINATOR, self.ranks());
            if (1..self.ranks()).any(|rank| roles.of(RankId(rank), self.ranks()) != first) {
                return Err(ExperimentError::UnequalRoles(roles.named(run.configuration.engines.names()).to_string()));
            }
        }
        let limit = self.member.arms.first().and_then(|run| run.time_limit);
        let left = limit.map(crate::run::TimeLimit::remaining).transpose()?.flatten();
        self.deadline = left.map(|left| Instant::now() + left);
        Ok(())
    }

    /// A run in a new run directory; its report and its duration.
    ///
    /// # Errors
    /// The run fails, has lost a rank, or was stopped.
    pub(super) fn run(&mut self, wanted: Wanted<'_>) -> Result<(EndReport, Duration), ExperimentError> {
        let folder = self.home().join("runs").join(wanted.name);
        // What an interrupted measurement has left is of no use.
        remove(&folder, |path| fs::remove_dir_all(path))?;
        let time_left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let begin = Instant::now();
        let inputs = first(wanted.documents, wanted.pages);
        let part = Part { folder: &folder, ranks: wanted.ranks, arm: wanted.arm, inputs, time_left };
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

    /// Whether a run that takes about as long as expected ends before the deadline.
    pub(super) fn check_time(&self, expected_seconds: f64) -> Result<(), ExperimentError> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        let reserve = self.member.arms.first().map(|run| run.configuration.schedule.seal_reserve).unwrap_or_default();
        let expected = Duration::try_from_secs_f64(expected_seconds * SLOWER).unwrap_or(Duration::MAX);
        let needed = expected.saturating_add(reserve);
        if needed > left { Err(ExperimentError::NoTime { needed, left }) } else { Ok(()) }
    }
}

fn remove(path: &Path, with: impl Fn(&Path) -> std::io::Result<()>) -> Result<(), ExperimentError> {
    match with(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ExperimentError::file(path, error)),
        _ => Ok(()),
    }
}

/// A line of progress.
pub(super) fn say(line: &str) {
    write_stderr(&format!("experiment: {line}\n"));
}
