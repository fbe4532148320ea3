//! Whether the files of a plan are still the ones that were planned, asked while pages are drawn from them.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::model::{Document, DocumentId};

use super::{
    Modified, Plan,
    contents::read_bytes,
    fingerprint::{FileStat, stat_file},
};

/// The files of a plan.
#[derive(Debug)]
pub struct SourceIntegrity {
    /// The inputs that documents were found below.
    roots: Vec<PathBuf>,
    documents: Arc<[Document]>,
    modified: Vec<Option<Modified>>,
    /// What was read of files that look different: whether they hold the planned bytes all the same.
    read: Mutex<HashMap<(DocumentId, FileStat), Answer>>,
}

/// Held by who reads the file, until it is known.
type Answer = Arc<Mutex<Option<bool>>>;

/// How a document's file stands to the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// It holds the planned bytes.
    AsPlanned,
    /// It does not.
    Changed {
        /// For people: names the file and the remedy.
        reason: String,
    },
    /// There is no such file any more. What was drawn from it before is good.
    Gone {
        /// For people: names the file and the remedy.
        reason: String,
    },
    /// Its file system fails, or its input is not there at all: not mounted, perhaps.
    Unreachable {
        /// For people: names what is missing and the remedy.
        reason: String,
    },
}

impl SourceIntegrity {
    /// The files of this plan.
    pub fn new(plan: Plan) -> Self {
        let mut roots = plan.inputs.paths;
        // The longest that leads to a document is its own.
        roots.sort_by_key(|root| Reverse(root.as_os_str().len()));
        SourceIntegrity { roots, documents: plan.documents.into(), modified: plan.modified, read: Mutex::default() }
    }

    /// The documents of the plan, each at the index of its id.
    pub fn documents(&self) -> &Arc<[Document]> {
        &self.documents
    }

    /// Looks at a document's file; reads it, once, if size or time are not the planned ones. Blocks. Ask after a page is
    /// drawn: an answer from before says nothing of what was drawn.
    pub fn check(&self, id: DocumentId) -> SourceState {
        let (Some(document), Some(modified)) = (self.documents.get(id.index()), self.modified.get(id.index())) else {
            return SourceState::Changed {
                reason: format!("document {} is not in the plan: run the same command again", id.0),
            };
        };
        let changed = |what: &dyn fmt::Display| SourceState::Changed {
            reason: format!(
                "{} {what}: run the same command again, it is planned anew; let nothing write to the inputs meanwhile",
                document.path.display()
            ),
        };
        let Some(planned) = &document.fingerprint else { return changed(&"could not be read when it was planned") };
        let seen = match stat_file(&document.path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return changed(&"is no file any more"),
            Err(error) => return self.missing(&document.path, &error),
        };
        if seen.matches(planned, *modified) {
            return SourceState::AsPlanned;
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
                Err(error) => return self.missing(&document.path, &error),
            },
        };
        if same { SourceState::AsPlanned } else { changed(&"is not the file that was planned") }
    }
}

impl SourceIntegrity {
    /// A file that cannot be looked at: gone by itself, or with its whole input. A mount point without its file system is
    /// an empty folder.
    fn missing(&self, path: &Path, error: &io::Error) -> SourceState {
        let root = self.roots.iter().find(|root| path.starts_with(root)).map_or(path, PathBuf::as_path);
        let folder = if root == path { path.parent().unwrap_or(path) } else { root };
        let holds_something = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        let of_the_file = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        if holds_something && of_the_file {
            let reason = format!(
                "{} cannot be read any more ({error}): put it back, then read its pages with --retry failed=unreadable",
                path.display()
            );
            return SourceState::Gone { reason };
        }
        let why = if holds_something { "its file system fails" } else { "nothing is there" };
        SourceState::Unreachable {
            reason: format!(
                "{} cannot be read ({error}), and {why} in {}: mount it again, then give the same command again",
                path.display(),
                folder.display()
            ),
        }
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
