//! What a file holds: its bytes and its pages, or why it cannot be read.

use std::path::Path;

use super::{
    CorpusError,
    fingerprint::{Modified, fingerprint, stat_file},
};
use crate::model::{DocumentState, FailureClass, Fingerprint};

/// The pages of a document cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InspectFailure {
    /// It is the document's fault: it is refused, the others go on.
    Document {
        /// Who must act.
        class: FailureClass,
        /// For people, with the remedy.
        reason: String,
    },
    /// It is not: planning stops, lest good documents be refused.
    Machine(String),
}

/// Counts the pages of a document, given its path and name.
pub(super) trait Inspect: Fn(&Path, &str) -> Result<u32, InspectFailure> + Sync {}

impl<T: Fn(&Path, &str) -> Result<u32, InspectFailure> + Sync> Inspect for T {}

/// The bytes of a file, as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) fingerprint: Fingerprint,
    /// Before they were read: bytes written meanwhile are newer, and are read again another time.
    pub(super) modified: Option<Modified>,
}

/// What a document is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// `None` where it could not be read.
    pub(super) bytes: Option<Bytes>,
    pub(super) state: DocumentState,
}

impl Contents {
    /// Of a file whose `problem` says why it cannot be read.
    pub(super) fn unreadable(path: &Path, problem: &str) -> Self {
        Contents { bytes: None, state: unreadable(path, problem) }
    }
}

pub(super) fn unreadable(path: &Path, problem: &str) -> DocumentState {
    let reason = format!("{}: {problem}", path.display());
    DocumentState::Refused { class: FailureClass::Unreadable, reason }
}

/// Reads a file whole.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_bytes(path: &Path) -> std::io::Result<Bytes> {
    let modified = stat_file(path)?.modified;
    Ok(Bytes { fingerprint: fingerprint(path)?, modified })
}

/// Reads a file, if its bytes are not `known`, and counts its pages.
///
/// # Errors
/// Only of the machine.
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
/// Only of the machine.
pub(super) fn state_of(path: &Path, name: &str, inspect: &impl Inspect) -> Result<DocumentState, CorpusError> {
    match inspect(path, name) {
        Ok(0) => Ok(unreadable(path, "a PDF without pages")),
        Ok(pages) => Ok(DocumentState::Planned { pages }),
        Err(InspectFailure::Document { class, reason }) => Ok(DocumentState::Refused { class, reason }),
        Err(InspectFailure::Machine(reason)) => Err(CorpusError::Inspect { document: name.to_owned(), reason }),
    }
}
