//! Checks whether the files of a plan are still the planned ones, while pages are rendered from them.

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
    /// The paths of the inputs, the longest first.
    roots: Vec<PathBuf>,
    documents: Arc<[Document]>,
    modified: Vec<Option<Modified>>,
    /// Files with another time than planned: whether they have the planned bytes nevertheless.
    read: Mutex<HashMap<(DocumentId, FileStat), SameBytes>>,
}

/// The thread that reads the file has the lock until the result is known.
type SameBytes = Arc<Mutex<Option<bool>>>;

/// The state of a document's file against the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// The file has the planned bytes.
    AsPlanned,
    /// The file has other bytes.
    Changed {
        /// The file and the remedy, for the user.
        reason: String,
    },
    /// The file no longer exists. Pages that were rendered from it before are valid.
    Gone {
        /// The file and the remedy, for the user.
        reason: String,
    },
    /// The file system fails, or the whole input is missing, for instance because it is not mounted.
    Unreachable {
        /// The missing folder and the remedy, for the user.
        reason: String,
    },
}

impl SourceIntegrity {
    /// The files of this plan.
    pub fn new(plan: Plan) -> Self {
        let mut roots = plan.inputs.paths;
        // Inputs may contain each other: the longest path that a document is below is its input.
        roots.sort_by_key(|root| Reverse(root.as_os_str().len()));
        SourceIntegrity { roots, documents: plan.documents.into(), modified: plan.modified, read: Mutex::default() }
    }

    /// The documents of the plan, each at the index of its id.
    pub fn documents(&self) -> &Arc<[Document]> {
        &self.documents
    }

    /// Compares a document's file with the plan by size and time. If only the time differs, reads the file, once.
    /// Blocks. Call it after a page is rendered: a check before the rendering does not cover what was rendered.
    pub fn check(&self, id: DocumentId) -> SourceState {
        let (Some(document), Some(modified)) = (self.documents.get(id.index()), self.modified.get(id.index())) else {
            return SourceState::Changed {
                reason: format!("document {} is not in the plan: run the same command again", id.0),
            };
        };
        let changed = |what: &dyn fmt::Display| SourceState::Changed {
            reason: format!(
                "{} {what}: run the same command again, which plans the file again; make sure that nothing writes to \
                 the inputs during a run",
                document.path.display()
            ),
        };
        let Some(planned) = &document.fingerprint else { return changed(&"could not be read when it was planned") };
        let seen = match stat_file(&document.path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return changed(&"is no longer a file"),
            Err(error) => return self.missing(&document.path, &error),
        };
        if seen.matches(planned, *modified) {
            return SourceState::AsPlanned;
        }
        if seen.bytes != planned.bytes {
            return changed(&"is not the file that was planned");
        }
        let slot = Arc::clone(lock(&self.read).entry((id, seen)).or_default());
        // Pages of one document come together: one thread reads the file, the others wait for its result.
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
    /// The state of a file whose size and time cannot be read: the file alone is missing, or its whole input is. A
    /// mount point without its file system is an empty folder.
    fn missing(&self, path: &Path, error: &io::Error) -> SourceState {
        let root = self.roots.iter().find(|root| path.starts_with(root)).map_or(path, PathBuf::as_path);
        let folder = if root == path { path.parent().unwrap_or(path) } else { root };
        let holds_something = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        let of_the_file = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        if holds_something && of_the_file {
            let reason = format!(
                "{} can no longer be read ({error}): put it back, then read its pages with --retry failed=unreadable",
                path.display()
            );
            return SourceState::Gone { reason };
        }
        let folder = folder.display();
        let why = if holds_something {
            format!("the file system of {folder} fails")
        } else {
            format!("the folder {folder} is empty, missing or not readable")
        };
        SourceState::Unreachable {
            reason: format!(
                "{} cannot be read ({error}), and {why}: mount it again, then give the same command again",
                path.display()
            ),
        }
    }
}

/// Takes a lock; a poisoned one too, because no code that can panic runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
