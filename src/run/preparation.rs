//! What rank 0 does before the first page: run directory, lock, settings, plan, and the state of every page.

use tokio::runtime::Handle;

use crate::{
    corpus::Plan,
    imaging::Pool,
    model::{DocumentState, FailureClass, LeaseId, Verdict},
    report::{FINISHED_FILE, PlannedDocuments, REPORT_FILE},
    schedule::Restored,
    store::{self, UnfinishedFiles},
    worker::WorkerError,
};

use super::{
    error::RunError, lock::RunLock, planning, preparation_error::PreparationError, recovery::Collected,
    reprocess_record, request::RunRequest, run_directory::remove_if_present, settings, stop_file::STOP_FILE,
};

/// A prepared run directory, locked until it is dropped.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) leftovers: UnfinishedFiles,
    /// State of the pages that have a record of an earlier start.
    pub(super) restored: Vec<Restored>,
    pub(super) last_lease: LeaseId,
    _lock: RunLock,
}

impl Prepared {
    /// The documents of the run, without replaced ones.
    pub(super) fn documents(&self) -> PlannedDocuments {
        let mut documents = PlannedDocuments::default();
        for document in &self.plan.documents {
            documents.number += u64::from(document.state != DocumentState::Replaced);
            if let DocumentState::Refused { class, .. } = document.state {
                *documents.refused.entry(class).or_default() += 1;
            }
            let damage = document.damage().filter(|damage| damage.pages_missing);
            documents.lacking_pages.extend(damage.map(|damage| damage.reason.clone()));
        }
        documents
    }

    /// Takes in the state of every page at the end of the last start.
    pub(super) fn restore(&mut self, request: &RunRequest, collected: Collected) -> Result<(), RunError> {
        let lease = collected.highest_lease.unwrap_or(LeaseId(0));
        let finals = store::latest_records(collected.records, &self.plan.documents);
        let open =
            reprocess_record::open_pages(&request.run_directory, &request.reprocess, &self.plan, &finals, lease)?;
        let settled = finals.len() - open.len();
        if (settled as u64) < self.plan.pages() {
            // The report is of an earlier start that left pages to this one.
            remove_if_present(request.run_directory.join(REPORT_FILE))?;
        }
        self.last_lease = lease;
        let restored = |record: store::LatestRecord| Restored {
            page: record.page,
            verdict: record.verdict,
            engine: record.engine,
            remaining: record.latest.remaining,
            place: record.latest.place,
            again: open.contains(&record.page) || is_read_again(record.verdict),
        };
        self.restored = finals.into_iter().map(restored).collect();
        Ok(())
    }
}

/// Whether the next start reads a page again without a request. This holds for a page of a file that had changed while
/// its document is unchanged in the plan: the file is again what it was. It also holds for a page that hung: a file
/// system that hangs is a machine fault.
fn is_read_again(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Failed(FailureClass::Changed | FailureClass::Stuck))
}

/// Prepares the run directory: with a new plan, or with the plan of an earlier start, updated for the inputs.
pub(super) fn prepare(
    request: &RunRequest,
    renderers: impl Fn() -> Result<(Pool, Handle), WorkerError> + Sync,
) -> Result<Prepared, RunError> {
    let run_directory = &request.run_directory;
    let lock = RunLock::take(run_directory, request.wait)?;
    settings::check_and_store(run_directory, &request.configuration, request.accept_configuration)?;
    // From here on this start owns the run. A start that is refused must not remove these files.
    remove_if_present(run_directory.join(STOP_FILE))?;
    remove_if_present(run_directory.join(FINISHED_FILE))?;
    let plan = planning::plan(request, renderers)?;
    for document in &plan.documents {
        if let DocumentState::Refused { class, reason } = &document.state {
            tracing::warn!(%class, "document refused: {reason}");
        } else if let Some(damage) = document.damage() {
            tracing::warn!("document damaged: {}", damage.reason);
        }
    }
    let leftovers = UnfinishedFiles::find(run_directory).map_err(PreparationError::from)?;
    Ok(Prepared { plan, leftovers, restored: Vec::new(), last_lease: LeaseId(0), _lock: lock })
}
