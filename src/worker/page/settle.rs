//! Works on a page from its assignment until it is settled, returned or recalled.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    super::context::{Context, LocalEvent, without_answers},
    attempt::{StageEnd, run_stage},
    progress::PageProgress,
    task::PageTask,
};
use crate::{
    comm::Returned,
    model::{MachineFault, PageRecord, PageRef, Prior, Unit, Verdict, error::chain},
    retry::escalation::next_stage,
    store,
    sys::on_one_line,
};

/// Maximum size in bytes of the text that a returned page carries: it must fit a frame, with the page's attempts.
const LARGEST_TEXT: usize = 64 << 10;

/// Works on a page until it is settled, returned or recalled. The result goes to the store or to the main thread.
pub(in crate::worker) async fn work_on_page(context: Arc<Context>, unit: Unit, page: PageRef, prior: Option<Prior>) {
    let Prior { stage, remaining, sealed, again, attempts, text, give_up, .. } =
        prior.unwrap_or_else(|| Prior::none(page));
    let task = PageTask { context, unit, page, stage, remaining, sealed, again, give_up };
    let mut progress = PageProgress::new(attempts, text);
    let mut recall = task.context.recall.subscribe();
    let result = tokio::select! {
        result = settle(&task, &mut progress) => result,
        _ = recall.wait_for(|recalled| *recalled) => Err(MachineFault::Draining),
    };
    match result {
        Ok(end) => store_record(&task, progress, end),
        Err(fault) => give_back(&task, &progress, fault),
    }
}

/// Works on the page to the end of its stage, or to a machine fault.
async fn settle(task: &PageTask, progress: &mut PageProgress) -> Result<StageEnd, MachineFault> {
    read_record(task, progress).await;
    if let Some(class) = task.give_up {
        let reason = format!(
            "{} page {}: no rank returned the page in time, because its file or the process that works on it hangs. \
             Rank 0 logged each expired lease; the next start reads the page again",
            task.document().path.display(),
            task.page.page.number()
        );
        return Ok(StageEnd::failed(class, progress.best().clone(), reason));
    }
    run_stage(task, progress).await
}

/// Reads the attempts of earlier starts. A record that cannot be read does not hold up the page: it stays where it is,
/// and `bocr verify` reports it.
async fn read_record(task: &PageTask, progress: &mut PageProgress) {
    let Some(place) = task.sealed else { return };
    let run_directory = task.context.run_directory.clone();
    let reading = tokio::task::spawn_blocking(move || store::attempts(&run_directory, place));
    match tokio::time::timeout(task.context.configuration.imaging.page_limit, reading).await {
        Ok(Ok(Ok(earlier))) => progress.add_recorded(earlier, task.again),
        Ok(Ok(Err(error))) => tracing::warn!("cannot read the page's earlier attempts: {}", chain(&error)),
        Ok(Err(error)) => tracing::warn!(%error, "cannot read the page's earlier attempts"),
        Err(_) => tracing::warn!("cannot read the page's earlier attempts: the file system of the run directory hangs"),
    }
}

/// Gives the record of a settled page to the store.
fn store_record(task: &PageTask, progress: PageProgress, end: StageEnd) {
    if let Verdict::Failed(class) = end.verdict {
        let engines = &task.context.configuration.engines;
        let engine = engines.name(task.unit.engine);
        if next_stage(end.remaining, engines.served()).is_some() {
            tracing::info!(%engine, %class, "the page failed on this engine and goes on: {}", end.reason);
        } else {
            tracing::warn!(%engine, %class, "the page failed: {}", end.reason);
        }
    }
    let (recorded, before) = (progress.recorded(), progress.before());
    let (attempts, counts_from) = progress.into_record();
    let record = PageRecord {
        page: task.page,
        lease: task.unit.lease,
        rank: task.context.rank,
        verdict: end.verdict,
        engine: end.engine,
        language: end.answer.language,
        image: end.rendered.map(|(image, _)| image),
        layout: end.rendered.map(|(_, layout)| layout),
        attempts,
        counts_from,
        parts: end.answer.parts,
        remaining: end.remaining,
        reason: on_one_line(&end.reason),
        settled_unix_ms: Timestamp::now().as_millisecond(),
    };
    task.context.count_attempts(&record.attempts, before);
    task.context.count_remark(&record);
    task.context.keep(record, recorded);
}

/// Returns the page with its attempts of this start and its best text.
fn give_back(task: &PageTask, progress: &PageProgress, fault: MachineFault) {
    let attempts = without_answers(progress.of_this_start());
    // The record that the page gets on another rank counts only the attempts made there.
    task.context.count_attempts(&attempts, progress.before() - progress.recorded());
    let text = Some(progress.best()).filter(|text| (1..=LARGEST_TEXT).contains(&text.bytes())).cloned();
    let returned = Returned { page: task.page, lease: task.unit.lease, fault, attempts, text };
    let _ = task.context.events.send(LocalEvent::Returned(returned));
}
