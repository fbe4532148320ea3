//! What rank 0 writes after every rank has sealed its shards.

use std::path::Path;

use super::{coordinator::Ended, error::RunError, preparation::Prepared, reprocess_record};
use crate::{
    model::{Outcome, RankId, RankSummary, StopReason, error::chain},
    report::{EndReport, Finished, REPORT_FILE, RankFigures},
    store::catalogue,
};

/// Writes the catalogue, the report and the file that marks the end. A run that stops early, perhaps because the disk
/// is full, ends without those that cannot be written: the next start writes them.
pub(super) fn conclude(run_directory: &Path, prepared: &Prepared, ended: &Ended) -> Result<EndReport, RunError> {
    let report = EndReport::new(
        &prepared.plan.run_id,
        &ended.names,
        ended.outcome,
        ended.scheduler.counts(),
        prepared.documents(),
        ended.elapsed,
        &ended.summaries,
    )
    .without(ended.lost.iter().copied().collect())
    .with_turns(ended.turns)
    .with_raced(ended.scheduler.raced())
    .with_reading(ended.reading, by_rank(ended))
    .with_failing_servers(ended.failing_servers.clone());
    let has_stopped = matches!(ended.outcome, Outcome::Stopped(_));
    let accept = |written: Result<(), RunError>| match written {
        Err(error) if has_stopped => {
            tracing::warn!("{}", chain(&error));
            Ok(())
        }
        written => written,
    };
    // The catalogue of a large run takes long.
    let finished_first = has_stopped && ended.is_hurried;
    if finished_first {
        accept(write_finished(run_directory, &report, ended))?;
    }
    accept(write_tables(run_directory, prepared, &report, ended))?;
    if !finished_first {
        accept(write_finished(run_directory, &report, ended))?;
    }
    Ok(report)
}

fn by_rank(ended: &Ended) -> Vec<RankFigures> {
    let figures = |(rank, summary): (&RankId, &RankSummary)| RankFigures {
        rank: *rank,
        host: ended.hosts.get(rank).cloned().unwrap_or_default(),
        pages: summary.pages,
        busy_seconds: summary.servers.values().map(|(time, _)| time.busy.as_secs_f64()).sum(),
    };
    ended.summaries.iter().map(figures).collect()
}

fn write_tables(run_directory: &Path, prepared: &Prepared, report: &EndReport, ended: &Ended) -> Result<(), RunError> {
    let output = |source| RunError::Output { path: run_directory.to_owned(), source };
    let taken_back = ended.scheduler.taken_back();
    if !taken_back.is_empty() {
        reprocess_record::add_taken_back(run_directory, taken_back, ended.scheduler.last_lease())?;
    }
    catalogue::write(run_directory, &prepared.plan.documents)?;
    if ended.outcome == Outcome::Complete {
        reprocess_record::remove_record(run_directory)?;
    }
    // If every page was settled before this start, the report of the start that settled them stays.
    if !report.did_nothing() || !run_directory.join(REPORT_FILE).exists() {
        report.write(run_directory).map_err(output)?;
    }
    Ok(())
}

fn write_finished(run_directory: &Path, report: &EndReport, ended: &Ended) -> Result<(), RunError> {
    let finished = Finished {
        exit_code: report.exit_code,
        outcome: report.outcome.clone(),
        again: matches!(ended.outcome, Outcome::Stopped(StopReason::RankSilent(_))),
        silent_hosts: ended.silent_hosts.clone(),
    };
    finished.write(run_directory).map_err(|source| RunError::Output { path: run_directory.to_owned(), source })
}
