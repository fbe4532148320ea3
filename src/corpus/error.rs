//! What stops planning altogether.

use std::{io, path::PathBuf};

/// Planning cannot go on. What is wrong with one document only is no error but a refused document.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A path that the user named cannot be used.
    #[error("input {path}: {reason}; check the path")]
    Input {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// A list of inputs cannot be read.
    #[error("input list {path}: {reason}")]
    List {
        /// The list, `-` for standard input.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// A line of a list of inputs names nothing.
    #[error("input list {list} line {line}: {path}: {reason}; correct or remove the line")]
    ListLine {
        /// The list, `-` for standard input.
        list: PathBuf,
        /// Number of the line, 1-based.
        line: usize,
        /// What it says.
        path: PathBuf,
        /// Why it cannot be used.
        reason: io::Error,
    },
    /// No document at all.
    #[error(
        "no PDF file in {inputs}; folders are searched for names ending in .pdf (hidden ones left out), \
         other names must be given themselves"
    )]
    NothingFound {
        /// The inputs, joined.
        inputs: String,
    },
    /// More documents than a plan can number.
    #[error("{0} documents are more than one run can hold; split the inputs into several runs")]
    TooMany(usize),
    /// Page counting failed for a reason that is no document's.
    #[error("cannot count the pages of {document}: {reason}")]
    Inspect {
        /// The document in turn.
        document: String,
        /// What failed.
        reason: String,
    },
    /// The threads for planning cannot be started.
    #[error("cannot start {threads} planning threads: {source}")]
    Threads {
        /// Their number.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// The plan cannot be written or read.
    #[error("plan {path}: {source}")]
    PlanFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The plan is of another version of the program.
    #[error(
        "plan {path} is of version {found} and this program continues version {known}: continue the run with the \
         program that began it, or begin a new one with another --output"
    )]
    PlanVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
    /// The plan is not what was written.
    #[error(
        "plan {path} line {line}: {reason}; the run directory is damaged: restore the file, or use a new run directory"
    )]
    PlanDamaged {
        /// The file.
        path: PathBuf,
        /// Number of the line, 1-based.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}
