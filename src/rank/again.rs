//! Pages that are settled and are to be read again all the same: `--retry failed[=class,…]` and `--redo DOC[:PAGES]`.
//!
//! A wish is kept in the run directory with the pages it meant and the highest lease of that moment. Its pages are open
//! until a record of a higher lease ends their course over the engines; so the same command, given again after a kill,
//! goes on with the wish instead of beginning it anew. A run that comes to its end forgets them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    corpus::Plan,
    files::replace,
    model::{DocumentPages, DocumentState, FailureClass, LeaseId, PageIndex, PageRef, ParsePagesError, Verdict},
    store::Recorded,
};

use super::preparation::{PreparationError, remove_if_present};

const WISHES_FILE: &str = "again.json";

/// Settled pages to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// Failed pages, of these classes or of any.
    Failed(BTreeSet<FailureClass>),
    /// Pages of a document, which is named as in the plan or by its bare file name.
    Document(DocumentPages),
}

/// What was wished, and what it meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    asked: String,
    since: LeaseId,
    pages: Vec<PageRef>,
}

/// `--retry` and `--redo` in words that do not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAgainError {
    /// Not `failed` or `failed=class,…`.
    #[error("`{0}`: give `failed` or `failed=class,class`")]
    NotFailed(String),
    /// No such class.
    #[error("`{0}` is not a failure class; the classes are: {known}", known = FailureClass::ALL.iter().map(|class| class.name()).collect::<Vec<_>>().join(", "))]
    Class(String),
    /// No such page numbers.
    #[error(transparent)]
    Pages(#[from] ParsePagesError),
}

impl Again {
    /// The words of `--retry`.
    ///
    /// # Errors
    /// Something else than `failed[=class,…]`.
    pub fn retry(text: &str) -> Result<Again, ParseAgainError> {
        let classes = match text.split_once('=') {
            None if text == "failed" => "",
            Some(("failed", classes)) => classes,
            _ => return Err(ParseAgainError::NotFailed(text.into())),
        };
        let class = |name: &str| {
            let known = FailureClass::ALL.iter().find(|class| class.name() == name);
            known.copied().ok_or_else(|| ParseAgainError::Class(name.into()))
        };
        let names = classes.split(',').filter(|name| !name.is_empty());
        Ok(Again::Failed(names.map(class).collect::<Result<_, _>>()?))
    }

    /// The words of `--redo`.
    ///
    /// # Errors
    /// Page numbers that cannot be.
    pub fn redo(text: &str) -> Result<Again, ParseAgainError> {
        Ok(Again::Document(text.parse()?))
    }

    /// The settled pages that it means now.
    fn select(&self, plan: &Plan, finals: &[Recorded]) -> Result<Vec<PageRef>, PreparationError> {
        let chosen = |keep: &dyn Fn(&Recorded) -> bool| {
            finals.iter().filter(|record| keep(record)).map(|record| record.page).collect()
        };
        match self {
            Again::Failed(classes) => Ok(chosen(&|record| match record.verdict {
                Verdict::Failed(class) => classes.is_empty() || classes.contains(&class),
                Verdict::Read | Verdict::Blank => false,
            })),
            Again::Document(DocumentPages { name, pages }) => {
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
                let wanted =
                    |page: PageIndex| pages.is_empty() || pages.iter().any(|range| range.contains(&page.number()));
                Ok(chosen(&|record| record.page.document == document.id && wanted(record.page.page)))
            }
        }
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Again::Failed(classes) => {
                let names: Vec<_> = classes.iter().map(|class| class.name()).collect();
                write!(f, "retry failed={}", names.join(","))
            }
            Again::Document(DocumentPages { name, pages }) => write!(f, "redo {name}:{pages:?}"),
        }
    }
}

/// Forgets the wishes of a run that has settled every page: the next ones are new.
///
/// # Errors
/// The run directory cannot be written.
pub(super) fn forget(run_directory: &Path) -> Result<(), PreparationError> {
    remove_if_present(run_directory.join(WISHES_FILE))
}

/// The pages that are to be read again although they are settled. New wishes are kept in the run directory.
///
/// # Errors
/// A wish names what is not in the plan; the wishes cannot be read or written.
pub(super) fn open_pages(
    run_directory: &Path,
    wishes: &[Again],
    plan: &Plan,
    finals: &[Recorded],
    highest_lease: LeaseId,
) -> Result<BTreeSet<PageRef>, PreparationError> {
    let path = run_directory.join(WISHES_FILE);
    let failed = |source| PreparationError::RunDirectory { path: path.clone(), source };
    let mut kept: Vec<Wish> = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => serde_json::from_slice(&read.map_err(failed)?)
            .map_err(|error| PreparationError::Damaged { path: path.clone(), reason: error.to_string() })?,
    };
    let records: BTreeMap<PageRef, &Recorded> = match wishes.is_empty() && kept.is_empty() {
        true => return Ok(BTreeSet::new()),
        false => finals.iter().map(|record| (record.page, record)).collect(),
    };
    // A failed page of a higher lease goes on by itself; one that was read before does not.
    let is_open = |wish: &Wish, page: &PageRef| {
        records.get(page).is_some_and(|Recorded { lease, latest, .. }| {
            *lease <= wish.since && (latest.lease <= wish.since || !latest.ahead.is_empty())
        })
    };
    for wish in wishes {
        let asked = wish.to_string();
        if kept.iter().any(|kept| kept.asked == asked) {
            tracing::info!("an earlier start asked for this and did not finish it, going on: `{asked}`");
            continue;
        }
        let pages = wish.select(plan, finals)?;
        tracing::info!(pages = pages.len(), "reading pages again, as asked: `{asked}`");
        kept.push(Wish { asked, since: highest_lease, pages });
    }
    let text = serde_json::to_vec(&kept).map_err(|error| failed(error.into()))?;
    replace(&path, &text).map_err(failed)?;
    Ok(kept.iter().flat_map(|wish| wish.pages.iter().copied().filter(|page| is_open(wish, page))).collect())
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    #[test]
    fn words_become_wishes() {
        assert_eq!(Again::retry("failed"), Ok(Again::Failed(BTreeSet::new())));
        let classes = [FailureClass::Loop, FailureClass::Poison];
        assert_eq!(Again::retry("failed=loop,poison"), Ok(Again::Failed(classes.into())));
        assert!(Again::retry("read").is_err());
        assert!(Again::retry("failed=lop").unwrap_err().to_string().contains("truncated"));
        let document = |name: &str, pages: &[RangeInclusive<u32>]| {
            Ok(Again::Document(DocumentPages { name: name.into(), pages: pages.to_vec() }))
        };
        assert_eq!(Again::redo("fr/BO_1.pdf"), document("fr/BO_1.pdf", &[]));
        assert_eq!(Again::redo("fr/BO_1.pdf:2-4,9"), document("fr/BO_1.pdf", &[2..=4, 9..=9]));
        assert_eq!(Again::redo("odd:name.pdf"), document("odd:name.pdf", &[]));
        assert!(Again::redo("fr/BO_1.pdf:0").is_err() && Again::redo("fr/BO_1.pdf:4-2").is_err());
    }
}
