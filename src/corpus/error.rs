//! The errors that stop planning.

use std::{io, path::PathBuf};

/// An error that stops planning. A problem of one document is no error: that document is refused.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A path that the user named cannot be used.
    #[error("input {path}: {reason}; check the path")]
    Input { path: PathBuf, reason: io::Error },
    /// A list of inputs cannot be read.
    #[error("input list {path} cannot be read: {reason}; check the path")]
    List {
        /// `-` for standard input.
        path: PathBuf,
        reason: io::Error,
    },
    /// A line of a list of inputs names a path that cannot be used.
    #[error("input list {list} line {line}: {path}: {reason}; correct or remove the line")]
    ListLine {
        /// `-` for standard input.
        list: PathBuf,
        /// 1-based.
        line: usize,
        path: PathBuf,
        reason: io::Error,
    },
    /// The inputs have no document.
    #[error(
        "no PDF file in {inputs}; folders are searched for names that end in .pdf (hidden files are left out); \
         a file with another name must be given by its path"
    )]
    NothingFound { inputs: String },
    /// More documents than a plan can number.
    #[error("{0} documents are too many for one run; split the inputs into several runs")]
    TooMany(usize),
    /// The pages of a document cannot be counted, and the document is not the cause.
    #[error("cannot count the pages of {document}: {reason}")]
    Inspect { document: String, reason: String },
    /// The threads for planning cannot be started.
    #[error("cannot start {threads} planning threads: {source}")]
    Threads { threads: usize, source: rayon::ThreadPoolBuildError },
    /// The plan cannot be written or read.
    #[error("plan {path} cannot be written or read: {source}")]
    PlanFile { path: PathBuf, source: io::Error },
    /// The plan is of another version of the program.
    #[error(
        "plan {path} is of version {found} and this program continues version {known}: continue the run with the \
         program that began it, or begin a new one with another --output"
    )]
    PlanVersion { path: PathBuf, found: u32, known: u32 },
    /// The contents of the plan are not valid.
    #[error(
        "plan {path} line {line}: {reason}; the run directory is damaged: restore the file, or use a new run directory"
    )]
    PlanDamaged {
        path: PathBuf,
        /// 1-based.
        line: usize,
        reason: String,
    },
}
