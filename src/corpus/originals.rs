//! Whether the files of a plan are still the ones that were planned, asked while pages are drawn from them.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Modified, Plan,
    contents::read_bytes,
    fingerprint::{Glance, glance},
};
use crate::model::{Document, DocumentId};

/// The files of a plan.
#[derive(Debug)]
pub struct Originals {
    documents: Arc<[Document]>,
    modified: Vec<Option<Modified>>,
    /// What was read of files that look different: whether they hold the planned bytes all the same.
    read: Mutex<HashMap<(DocumentId, Glance), Answer>>,
}

/// Held by who reads the file, until it is known.
type Answer = Arc<Mutex<Option<bool>>>;

/// How a document's file stands to the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Original {
    /// It holds the planned bytes.
    AsPlanned,
    /// It does not, or cannot be read to know it.
    Changed {
        /// For people: names the file and the remedy.
        reason: String,
    },
    /// It cannot be reached. What was drawn from it before is good.
    Gone,
}

impl Originals {
    /// The files of this plan.
    pub fn new(plan: Plan) -> Self {
        Originals { documents: plan.documents.into(), modified: plan.modified, read: Mutex::default() }
    }

    /// The documents of the plan, each at the index of its id.
    pub fn documents(&self) -> &Arc<[Document]> {
        &self.documents
    }

    /// Looks at a document's file; reads it, once, if size or time are not the planned ones. Blocks. Ask after a page is
    /// drawn: an answer from before says nothing of what was drawn.
    pub fn check(&self, id: DocumentId) -> Original {
        let (Some(document), Some(modified)) = (self.documents.get(id.index()), self.modified.get(id.index())) else {
            return Original::Changed {
                reason: format!("document {} is not in the plan: run the same command again", id.0),
            };
        };
        let changed = |what: &dyn fmt::Display| Original::Changed {
            reason: format!(
                "{} {what}: run the same command again, it is planned anew; let nothing write to the inputs meanwhile",
                document.path.display()
            ),
        };
        let Some(planned) = &document.fingerprint else { return changed(&"could not be read when it was planned") };
        let seen = match glance(&document.path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return changed(&"is no file any more"),
            Err(_) => return Original::Gone,
        };
        if seen.shows(planned, *modified) {
            return Original::AsPlanned;
        }
        if seen.bytes != planned.bytes {
            return changed(&"is not the file that was planned");
        }
        let slot = Arc::clone(lock(&self.read).entry((id, seen)).or_default());
        // Pages of one document come together: one reads, the others wait for its answer.
        let mut slot = lock(&slot);
        let same = match *slot {
            Some(same) => same,
            None => match read_bytes(&document.path) {
                Ok(bytes) => *slot.insert(bytes.fingerprint == *planned),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Original::Gone,
                Err(error) => {
                    return changed(&format_args!("has another time and cannot be read to compare it ({error})"));
                }
            },
        };
        if same { Original::AsPlanned } else { changed(&"is not the file that was planned") }
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
