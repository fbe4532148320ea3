//! Documents of the plan.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DocumentId, FailureClass, Language};

/// What the file name says. It is never trusted for the language of a page (`docs/facts/corpus.md`, "File names").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// Issue number, e.g. 5705.
    pub number: Option<u32>,
    /// Suffix such as `bis`, lower case.
    pub suffix: Option<String>,
    /// Language in the name.
    pub language: Language,
}

/// Identifies the content of an input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file, lower-case hex.
    pub sha256: String,
}

/// The pages of a document that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Number of pages that can be read.
    pub pages: u32,
    /// What the file is known to have lost.
    pub damage: Option<Damage>,
    /// Number of PDFs that are embedded in the file.
    pub embedded: u32,
}

impl Inspected {
    /// A document that has all its pages.
    pub fn whole(pages: u32) -> Self {
        Inspected { pages, damage: None, embedded: 0 }
    }
}

/// What a file that can be read is known to have lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Explanation with the remedy, for the user.
    pub reason: String,
    /// Whether pages are known to be missing. Otherwise the file was repaired, and nothing may be missing.
    pub pages_missing: bool,
}

/// Whether a document can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentState {
    /// Its pages are in the ledger.
    Planned {
        /// Number of pages, at least 1.
        pages: u32,
        /// What its file is known to have lost.
        #[serde(default)]
        damage: Option<Damage>,
        /// Number of PDFs that are embedded in its file and are no documents of the plan yet: 0 in a finished plan.
        #[serde(default)]
        embedded: u32,
    },
    /// It cannot be read, and has no pages in the ledger.
    Refused {
        /// Failure class of its pages.
        class: FailureClass,
        /// Explanation with the remedy.
        reason: String,
    },
    /// Its file has changed: a later document with the same name replaces it. Its records are superseded, and it has no
    /// pages in the ledger any more.
    Replaced,
}

/// One input file of the plan. Two files with the same name in different folders are two documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Position in the plan.
    pub id: DocumentId,
    /// Absolute path of the input.
    pub path: PathBuf,
    /// Path below the input folder in which it was found, with `/`. Unique among the documents that are not replaced.
    /// It names the exports.
    pub name: String,
    /// Identity of its content; `None` if the file could not be read.
    pub fingerprint: Option<Fingerprint>,
    /// What its file name says.
    pub edition: Edition,
    /// Planned, refused or replaced.
    pub state: DocumentState,
}

impl Document {
    /// Number of pages in the ledger; 0 for a refused or replaced document.
    pub fn pages(&self) -> u32 {
        match self.state {
            DocumentState::Planned { pages, .. } => pages,
            DocumentState::Refused { .. } | DocumentState::Replaced => 0,
        }
    }

    /// What the file of a planned document is known to have lost.
    pub fn damage(&self) -> Option<&Damage> {
        match &self.state {
            DocumentState::Planned { damage, .. } => damage.as_ref(),
            DocumentState::Refused { .. } | DocumentState::Replaced => None,
        }
    }
}
