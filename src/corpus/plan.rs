//! The frozen plan: every document of a run with its pages, or why it has none.
//!
//! `plan.jsonl` in the run directory: a header line, then a document a line, in order of their ids. It is written once
//! and never changed; a resumed run reads it instead of looking at the inputs again.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, BufRead, BufReader, BufWriter, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Candidate, CorpusError, Inputs, discover, edition, fingerprint};
use crate::model::{Document, DocumentId, DocumentState, FailureClass};

/// Name of the file in the run directory.
pub const PLAN_FILE: &str = "plan.jsonl";
const FORMAT: &str = "bulletin-ocr plan";
const VERSION: u32 = 1;

/// The documents of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Names the run, in every shard too.
    pub run_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The inputs as they were given, lists included.
    pub inputs: Vec<PathBuf>,
    /// The documents, each at the index of its id.
    pub documents: Vec<Document>,
}

impl Plan {
    /// Number of pages in the ledger.
    pub fn pages(&self) -> u64 {
        self.documents.iter().map(|document| u64::from(document.pages())).sum()
    }
}

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

/// First line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    run_id: String,
    created: Timestamp,
    inputs: Vec<PathBuf>,
    /// Number of lines that follow.
    documents: usize,
}

/// Finds, fingerprints and counts all documents, on `threads` threads. `inspect` gets a document's path and name and
/// returns its number of pages.
///
/// # Errors
/// See [`CorpusError`]; never because of what a document holds.
pub fn plan(
    inputs: &Inputs,
    inspect: impl Fn(&Path, &str) -> Result<u32, InspectFailure> + Sync,
    threads: NonZeroUsize,
) -> Result<Plan, CorpusError> {
    let candidates = discover(inputs)?;
    u32::try_from(candidates.len()).map_err(|_| CorpusError::TooMany(candidates.len()))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).thread_name(|index| format!("plan-{index}"));
    let pool = pool.build().map_err(|source| CorpusError::Threads { threads: threads.get(), source })?;
    let describe = |(index, candidate)| document(DocumentId(index as u32), candidate, &inspect);
    let documents = pool.install(|| candidates.into_par_iter().enumerate().map(describe).collect::<Result<_, _>>())?;
    let created = Timestamp::now();
    let inputs =
        inputs.paths.iter().chain(&inputs.lists).map(|path| path.to_string_lossy().into_owned().into()).collect();
    Ok(Plan { run_id: run_id(created), created, inputs, documents })
}

/// Sorts by time, and two runs that start in the same second differ.
fn run_id(created: Timestamp) -> String {
    format!("{}-{:08x}", created.strftime("%Y%m%dT%H%M%SZ"), RandomState::new().hash_one(created) as u32)
}

fn document(
    id: DocumentId,
    candidate: Candidate,
    inspect: &impl Fn(&Path, &str) -> Result<u32, InspectFailure>,
) -> Result<Document, CorpusError> {
    let Candidate { path, name, problem } = candidate;
    let unreadable = |reason: String| DocumentState::Refused {
        class: FailureClass::Unreadable,
        reason: format!("{}: {reason}", path.display()),
    };
    let (fingerprint, state) = match problem {
        Some(problem) => (None, unreadable(problem)),
        None => match fingerprint(&path) {
            Err(error) => (None, unreadable(format!("cannot be read: {error}"))),
            Ok(fingerprint) => {
                let state = match inspect(&path, &name) {
                    Ok(0) => unreadable("a PDF without pages".into()),
                    Ok(pages) => DocumentState::Planned { pages },
                    Err(InspectFailure::Document { class, reason }) => DocumentState::Refused { class, reason },
                    Err(InspectFailure::Machine(reason)) => {
                        return Err(CorpusError::Inspect { document: name, reason });
                    }
                };
                (Some(fingerprint), state)
            }
        },
    };
    let edition = edition(name.rsplit('/').next().unwrap_or(&name));
    Ok(Document { id, path, name, fingerprint, edition, state })
}

/// Writes the plan into the run directory: whole or not at all, and on the disk when this returns.
///
/// # Errors
/// [`CorpusError::PlanFile`].
pub fn write(run_directory: &Path, plan: &Plan) -> Result<(), CorpusError> {
    let path = run_directory.join(PLAN_FILE);
    write_atomically(run_directory, &path, plan).map_err(|source| CorpusError::PlanFile { path, source })
}

fn write_atomically(directory: &Path, path: &Path, plan: &Plan) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".plan-").tempfile_in(directory)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    let Plan { run_id, created, inputs, documents } = plan;
    let header = Header {
        format: FORMAT.into(),
        version: VERSION,
        run_id: run_id.clone(),
        created: *created,
        inputs: inputs.clone(),
        documents: documents.len(),
    };
    write_line(&mut writer, &header)?;
    documents.iter().try_for_each(|document| write_line(&mut writer, document))?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    // A temporary file is private to its owner; the plan is read by whoever may read the run directory.
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::fchmod(file.as_file(), mode)?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn write_line(to: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

/// Reads the plan of a run directory; `None` if it has none yet.
///
/// # Errors
/// The file cannot be read, or is not as it was written.
pub fn read(run_directory: &Path) -> Result<Option<Plan>, CorpusError> {
    let path = run_directory.join(PLAN_FILE);
    let file = match fs::File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.map_err(|source| CorpusError::PlanFile { path: path.clone(), source })?,
    };
    let damaged = |line: usize, reason: String| CorpusError::PlanDamaged { path: path.clone(), line, reason };
    let mut lines = BufReader::new(file).lines();
    let mut line = 0;
    let mut next = || {
        line += 1;
        (line, lines.next())
    };
    let header: Header = parse(next()).map_err(|(line, reason)| damaged(line, reason))?;
    if header.format != FORMAT || header.version != VERSION {
        let found = format!("it is `{}` version {}, not `{FORMAT}` version {VERSION}", header.format, header.version);
        return Err(damaged(1, found));
    }
    let mut documents: Vec<Document> = Vec::new();
    let mut names = BTreeSet::new();
    for index in 0..header.documents {
        let document: Document = parse(next()).map_err(|(line, reason)| damaged(line, reason))?;
        if document.id.index() != index || !names.insert(document.name.clone()) {
            return Err(damaged(index + 2, format!("document {} ({}) is out of place", document.id.0, document.name)));
        }
        documents.push(document);
    }
    match next() {
        (_, None) => {
            Ok(Some(Plan { run_id: header.run_id, created: header.created, inputs: header.inputs, documents }))
        }
        (line, Some(_)) => {
            Err(damaged(line, format!("more than the {} documents that the header announces", header.documents)))
        }
    }
}

/// A line of the plan; the error carries its number.
fn parse<T: DeserializeOwned>((number, line): (usize, Option<io::Result<String>>)) -> Result<T, (usize, String)> {
    let text = match line {
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err((number, error.to_string())),
        None => return Err((number, "the file ends too early".into())),
    };
    serde_json::from_str(&text).map_err(|error| (number, error.to_string()))
}
