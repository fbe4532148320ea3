//! The reprocess requests that a run directory keeps until the run has settled every page.
//!
//! A request is kept with the pages that it selected and the highest lease of that moment. Its pages are open until a
//! record of a higher lease leaves no engine for them; so the same command, given again after a kill, continues the
//! request instead of beginning it anew. A run that comes to its end forgets its requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    preparation_error::PreparationError, reprocess_request::ReprocessRequest, run_directory::remove_if_present,
};
use crate::{
    corpus::Plan,
    model::{DocumentPages, DocumentState, LeaseId, PageIndex, PageRef, Verdict},
    store::LatestRecord,
    sys::replace,
};

const REQUESTS_FILE: &str = "again.json";

/// A request as it was given, and the pages that it selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptRequest {
    asked: String,
    /// The highest lease when the request was first given.
    since: LeaseId,
    pages: Vec<PageRef>,
}

/// Forgets the requests of a run that has settled every page: later ones are new.
///
/// # Errors
/// The run directory cannot be written.
pub(super) fn remove_record(run_directory: &Path) -> Result<(), PreparationError> {
    remove_if_present(run_directory.join(REQUESTS_FILE))
}

/// The pages that are to be read again although they are settled. New requests are kept in the run directory.
///
/// # Errors
/// A request names what is not in the plan; the kept requests cannot be read or written.
pub(super) fn open_pages(
    run_directory: &Path,
    requests: &[ReprocessRequest],
    plan: &Plan,
    finals: &[LatestRecord],
    highest_lease: LeaseId,
) -> Result<BTreeSet<PageRef>, PreparationError> {
    let path = run_directory.join(REQUESTS_FILE);
    let failed = |source| PreparationError::RunDirectory { path: path.clone(), source };
    let mut kept: Vec<KeptRequest> = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => serde_json::from_slice(&read.map_err(failed)?)
            .map_err(|error| PreparationError::Damaged { path: path.clone(), reason: error.to_string() })?,
    };
    let records: BTreeMap<PageRef, &LatestRecord> = match requests.is_empty() && kept.is_empty() {
        true => return Ok(BTreeSet::new()),
        false => finals.iter().map(|record| (record.page, record)).collect(),
    };
    // A failed page of a higher lease goes on by itself; one that was read before does not.
    let is_open = |request: &KeptRequest, page: &PageRef| {
        records.get(page).is_some_and(|LatestRecord { lease, latest, .. }| {
            *lease <= request.since && (latest.lease <= request.since || !latest.remaining.is_empty())
        })
    };
    for request in requests {
        let asked = request.to_string();
        if kept.iter().any(|kept| kept.asked == asked) {
            tracing::info!("an earlier start asked for this and did not finish it, going on: `{asked}`");
            continue;
        }
        let pages = select(request, plan, finals)?;
        tracing::info!(pages = pages.len(), "reading pages again, as asked: `{asked}`");
        kept.push(KeptRequest { asked, since: highest_lease, pages });
    }
    let text = serde_json::to_vec(&kept).map_err(|error| failed(error.into()))?;
    replace(&path, &text).map_err(failed)?;
    Ok(kept.iter().flat_map(|request| request.pages.iter().copied().filter(|page| is_open(request, page))).collect())
}

/// The settled pages that a request selects now.
fn select(request: &ReprocessRequest, plan: &Plan, finals: &[LatestRecord]) -> Result<Vec<PageRef>, PreparationError> {
    let chosen = |keep: &dyn Fn(&LatestRecord) -> bool| {
        finals.iter().filter(|record| keep(record)).map(|record| record.page).collect()
    };
    match request {
        ReprocessRequest::Failed(classes) => Ok(chosen(&|record| match record.verdict {
            Verdict::Failed(class) => classes.is_empty() || classes.contains(&class),
            Verdict::Read | Verdict::Blank => false,
        })),
        ReprocessRequest::Document(DocumentPages { name, pages }) => {
            let current = || plan.documents.iter().filter(|document| document.state != DocumentState::Replaced);
            let exact = current().find(|document| document.name == *name);
            let mut documents = current().filter(|document| match exact {
                Some(exact) => document.id == exact.id,
                None => document.name.rsplit('/').next() == Some(name),
            });
            let document = match (documents.next(), documents.next()) {
                (Some(document), None) => document,
                (None, _) => return Err(PreparationError::NoSuchDocument(name.clone())),
                (Some(one), Some(other)) => {
                    let (one, other) = (one.name.clone(), other.name.clone());
                    return Err(PreparationError::AmbiguousDocument { name: name.clone(), one, other });
                }
            };
            if let Some(range) = pages.iter().find(|range| *range.end() > document.pages()) {
                let (name, pages) = (document.name.clone(), document.pages());
                return Err(PreparationError::NoSuchPage { name, page: *range.end(), pages });
            }
            let wanted = |page: PageIndex| pages.is_empty() || pages.iter().any(|range| range.contains(&page.number()));
            Ok(chosen(&|record| record.page.document == document.id && wanted(record.page.page)))
        }
    }
}
