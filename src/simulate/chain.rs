//! A run over several starts: in one job after the loss of ranks, and in further jobs after the end of a walltime.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Outcome, RankId, StopReason};

use super::{
    cluster::Cluster,
    run::{Continuation, Report, simulate_start},
};

/// The jobs that a run may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs {
    /// Walltime of each job; `None` without a limit.
    pub walltime: Option<Duration>,
    /// Number of jobs; each continues the one before.
    pub number: u32,
}

/// One start of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StartReport {
    /// The job, from 0.
    pub job: u32,
    /// Number of ranks.
    pub ranks: u32,
    /// When it began, since the beginning of its job.
    pub begin: Duration,
    /// What it did.
    pub report: Report,
}

/// Runs the cluster until every page is settled, or its jobs are over. A start that ends because ranks are lost is
/// followed by one of the other ranks, in the same job, as under `bocr launch`. The times of rank losses count from the
/// beginning of the first job.
///
/// # Errors
/// As [`super::simulate`].
pub fn simulate_jobs(cluster: &Cluster, jobs: Jobs) -> Result<Vec<StartReport>, String> {
    let mut starts = Vec::new();
    let mut known = Continuation::default();
    for job in 0..jobs.number.max(1) {
        let (mut ranks, mut begin) = (cluster.ranks, Duration::ZERO);
        let mut losses = if job == 0 { cluster.rank_losses.clone() } else { BTreeMap::new() };
        loop {
            let left = jobs.walltime.map(|walltime| walltime.saturating_sub(begin));
            let start = Cluster {
                ranks,
                deadline: left.or(cluster.deadline),
                rank_losses: losses.iter().map(|(rank, at)| (*rank, at.saturating_sub(begin))).collect(),
                ..cluster.clone()
            };
            let more = job + 1 < jobs.number || !losses.is_empty();
            let (report, next) = simulate_start(&start, std::mem::take(&mut known), more)?;
            let (outcome, elapsed) = (report.outcome, report.elapsed);
            starts.push(StartReport { job, ranks, begin, report });
            known = next;
            match outcome {
                Some(Outcome::Stopped(StopReason::RankSilent(_))) => {
                    let lost = |at: &Duration| *at <= begin + elapsed;
                    ranks -= losses.values().filter(|at| lost(at)).count() as u32;
                    losses = without_lost(&losses, begin + elapsed);
                    begin += elapsed;
                    if ranks == 0 {
                        return Ok(starts);
                    }
                }
                Some(Outcome::Stopped(StopReason::Deadline)) => break,
                _ => return Ok(starts),
            }
        }
    }
    Ok(starts)
}

/// The losses that are still to come. The launcher numbers the ranks anew.
fn without_lost(losses: &BTreeMap<RankId, Duration>, now: Duration) -> BTreeMap<RankId, Duration> {
    let earlier = |rank: &RankId| losses.iter().filter(|(other, at)| *other < rank && **at <= now).count() as u32;
    let left = losses.iter().filter(|(_, at)| **at > now);
    left.map(|(rank, at)| (RankId(rank.0 - earlier(rank)), *at)).collect()
}
