//! The contents of a file: its bytes and its number of pages, or the reason why it cannot be read.

use std::path::Path;

use super::{
    CorpusError,
    fingerprint::{Modified, fingerprint, stat_file},
};
use crate::{
    model::{Damage, DocumentState, FailureClass, Fingerprint, Inspected},
    sys::on_one_line,
};

/// The reason why the pages of a document cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InspectFailure {
    /// The document is the cause. It is refused, and the other documents are planned.
    Document {
        /// The class of the failure, which says who must act.
        class: FailureClass,
        /// The reason and the remedy, for the user.
        reason: String,
    },
    /// The machine is the cause. Planning stops, because it would refuse valid documents.
    Machine(String),
}

/// Counts the pages of a document, given its path and name.
pub(super) trait Inspect: Fn(&Path, &str) -> Result<Inspected, InspectFailure> + Sync {}

impl<T: Fn(&Path, &str) -> Result<Inspected, InspectFailure> + Sync> Inspect for T {}

/// The fingerprint and the time of a file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) fingerprint: Fingerprint,
    /// The time before the file was read. A file that is written meanwhile has a later time, so it is read again the
    /// next time.
    pub(super) modified: Option<Modified>,
}

/// The contents of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// `None` where the file could not be read.
    pub(super) bytes: Option<Bytes>,
    pub(super) state: DocumentState,
}

impl Contents {
    /// The contents of a file that cannot be read; `problem` is the reason.
    pub(super) fn unreadable(path: &Path, problem: &str) -> Self {
        Contents { bytes: None, state: unreadable(path, problem) }
    }
}

pub(super) fn unreadable(path: &Path, problem: &str) -> DocumentState {
    let reason = on_one_line(&format!("{}: {problem}", path.display()));
    DocumentState::Refused { class: FailureClass::Unreadable, reason }
}

/// Reads a whole file.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read_bytes(path: &Path) -> std::io::Result<Bytes> {
    let modified = stat_file(path)?.modified;
    Ok(Bytes { fingerprint: fingerprint(path)?, modified })
}

/// Counts the pages of a file. Reads its bytes first if they are not `known`.
///
/// # Errors
/// Only [`CorpusError::Inspect`], for a cause in the machine.
pub(super) fn examine(
    path: &Path,
    name: &str,
    known: Option<Bytes>,
    inspect: &impl Inspect,
) -> Result<Contents, CorpusError> {
    let bytes = match known.map_or_else(|| read_bytes(path), Ok) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Contents::unreadable(path, &format!("cannot be read: {error}"))),
    };
    Ok(Contents { bytes: Some(bytes), state: state_of(path, name, inspect)? })
}

/// Counts the pages of a file that can be read.
///
/// # Errors
/// Only [`CorpusError::Inspect`], for a cause in the machine.
pub(super) fn state_of(path: &Path, name: &str, inspect: &impl Inspect) -> Result<DocumentState, CorpusError> {
    match inspect(path, name) {
        Ok(Inspected { pages: 0, .. }) => Ok(unreadable(path, "a PDF without pages")),
        Ok(Inspected { pages, damage, embedded }) => {
            let damage = damage.map(|damage| Damage { reason: on_one_line(&damage.reason), ..damage });
            Ok(DocumentState::Planned { pages, damage, embedded })
        }
        Err(InspectFailure::Document { class, reason }) => {
            Ok(DocumentState::Refused { class, reason: on_one_line(&reason) })
        }
        Err(InspectFailure::Machine(reason)) => Err(CorpusError::Inspect { document: name.to_owned(), reason }),
    }
}
