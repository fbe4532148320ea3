//! The reprocess requests that a run directory keeps until the run has settled every page.
//!
//! A request is kept with the pages that it selected and the highest lease number of that moment. Its pages are open
//! until a record with a higher lease leaves no engine for them. So the same command, given again after a kill,
//! continues the request and does not start it again. A run that settles every page removes its requests.

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

/// A request and the pages that it selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptRequest {
    asked: String,
    /// The highest lease number when the request was first given.
    since: LeaseId,
    pages: Vec<PageRef>,
}

/// Removes the requests of a run that has settled every page. The same request given later is a new one.
///
/// # Errors
/// The run directory cannot be written.
pub(super) fn remove_record(run_directory: &Path) -> Result<(), PreparationError> {
    remove_if_present(run_directory.join(REQUESTS_FILE))
}

/// Adds pages whose recorded failure does not count, because their servers may be at fault. `since` is the highest lease
/// number so far.
///
/// # Errors
/// The file cannot be read or written.
pub(super) fn add_taken_back(
    run_directory: &Path,
    pages: Vec<PageRef>,
    since: LeaseId,
) -> Result<(), PreparationError> {
    let mut kept = read(run_directory)?;
    kept.push(KeptRequest { asked: "failed by servers that may be at fault".into(), since, pages });
    write(run_directory, &kept)
}

fn read(run_directory: &Path) -> Result<Vec<KeptRequest>, PreparationError> {
    let path = run_directory.join(REQUESTS_FILE);
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(PreparationError::RunDirectory { path, source }),
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|error| PreparationError::Damaged { path, reason: error.to_string() })
        }
    }
}

fn write(run_directory: &Path, kept: &[KeptRequest]) -> Result<(), PreparationError> {
    let path = run_directory.join(REQUESTS_FILE);
    let written = serde_json::to_vec(kept).map_err(std::io::Error::from).and_then(|text| replace(&path, &text));
    written.map_err(|source| PreparationError::RunDirectory { path, source })
}

/// The settled pages to be read again. New requests are added to the file in the run directory.
///
/// # Errors
/// A request names something that is not in the plan; or the file cannot be read or written.
pub(super) fn open_pages(
    run_directory: &Path,
    requests: &[ReprocessRequest],
    plan: &Plan,
    finals: &[LatestRecord],
    highest_lease: LeaseId,
) -> Result<BTreeSet<PageRef>, PreparationError> {
    let mut kept = read(run_directory)?;
    if requests.is_empty() && kept.is_empty() {
        return Ok(BTreeSet::new());
    }
    let records: BTreeMap<PageRef, &LatestRecord> = finals.iter().map(|record| (record.page, record)).collect();
    // A failed page with a higher lease continues with its remaining engines; a page that was read does not.
    let is_open = |request: &KeptRequest, page: &PageRef| {
        records.get(page).is_some_and(|LatestRecord { lease, latest, .. }| {
            *lease <= request.since && (latest.lease <= request.since || !latest.remaining.is_empty())
        })
    };
    for request in requests {
        let asked = request.to_string();
        if kept.iter().any(|kept| kept.asked == asked) {
            tracing::info!("continuing a request that an earlier start did not finish: `{asked}`");
            continue;
        }
        let pages = select(request, plan, finals)?;
        tracing::info!(pages = pages.len(), "reading settled pages again as requested: `{asked}`");
        kept.push(KeptRequest { asked, since: highest_lease, pages });
    }
    write(run_directory, &kept)?;
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
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => false,
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
