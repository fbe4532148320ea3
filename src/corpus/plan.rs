//! The plan: every document of a run with its number of pages, or with the reason why it is refused.
//!
//! It is the file `plan.jsonl` in the run directory: a header line, then one line for each document, ordered by id. An
//! id always means the same bytes of one file: if the inputs change, [`super::update`] adds documents and marks others
//! as replaced.

use std::{
    collections::HashSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, BufRead, BufReader, BufWriter, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Candidate, CorpusError, Inputs, InspectFailure, Modified,
    contents::{Contents, examine},
    discover::discover_below,
    edition,
    inputs::roots,
};
use crate::model::{Document, DocumentId, DocumentState, Inspected};

/// Name of the file in the run directory.
pub const PLAN_FILE: &str = "plan.jsonl";
const FORMAT: &str = "bulletin-ocr plan";
const VERSION: u32 = 2;

/// The documents of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Id of the run; every journal and shard has it too.
    pub run_id: String,
    /// When the plan was made.
    pub created: Timestamp,
    /// The inputs that were given to this start and to earlier ones, absolute, so that they can be read again from any
    /// directory. Lines of standard input or of a pipe are recorded as paths.
    pub inputs: Inputs,
    /// The documents, each at the index of its id.
    pub documents: Vec<Document>,
    /// When the file of each document was last written, taken before it was read; `None` where it could not be read.
    pub modified: Vec<Option<Modified>>,
}

impl Plan {
    /// Number of pages of all planned documents.
    pub fn pages(&self) -> u64 {
        self.documents.iter().map(|document| u64::from(document.pages())).sum()
    }
}

/// First line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    run_id: String,
    created: Timestamp,
    inputs: Inputs,
    /// Number of lines that follow.
    documents: usize,
}

/// The fields that the first line has in every version.
#[derive(Deserialize)]
struct Format {
    format: String,
    version: u32,
}

/// A line with a document.
#[derive(Serialize, Deserialize)]
struct Line<D> {
    #[serde(flatten)]
    document: D,
    modified: Option<Modified>,
}

/// Finds, fingerprints and counts all documents on `threads` threads. `inspect` takes a document's path and name and
/// returns its number of pages.
///
/// # Errors
/// See [`CorpusError`]; never because of the contents of a document.
pub fn plan(
    inputs: &Inputs,
    inspect: impl Fn(&Path, &str) -> Result<Inspected, InspectFailure> + Sync,
    threads: NonZeroUsize,
) -> Result<Plan, CorpusError> {
    let roots = roots(&Inputs::default(), inputs)?;
    let (candidates, _) = discover_below(&roots, inputs)?;
    check_number(candidates.len())?;
    let describe = |(index, Candidate { path, name, problem }): (usize, Candidate)| {
        let contents = match problem {
            Some(problem) => Contents::unreadable(&path, &problem),
            None => examine(&path, &name, None, &inspect)?,
        };
        Ok(document(DocumentId(index as u32), path, name, contents))
    };
    let described = planning_threads(threads)?
        .install(|| candidates.into_par_iter().enumerate().map(describe).collect::<Result<Vec<_>, CorpusError>>())?;
    let (documents, modified) = described.into_iter().unzip();
    let created = Timestamp::now();
    Ok(Plan { run_id: run_id(created), created, inputs: roots.inputs, documents, modified })
}

/// Returns an error if there are more documents than ids.
pub(super) fn check_number(documents: usize) -> Result<(), CorpusError> {
    u32::try_from(documents).map(drop).map_err(|_| CorpusError::TooMany(documents))
}

pub(super) fn planning_threads(threads: NonZeroUsize) -> Result<rayon::ThreadPool, CorpusError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).thread_name(|index| format!("plan-{index}"));
    pool.build().map_err(|source| CorpusError::Threads { threads: threads.get(), source })
}

/// Run ids sort by time. The random part makes two runs of the same second differ.
fn run_id(created: Timestamp) -> String {
    format!("{}-{:08x}", created.strftime("%Y%m%dT%H%M%SZ"), RandomState::new().hash_one(created) as u32)
}

/// A document of the plan.
pub(super) fn document(
    id: DocumentId,
    path: PathBuf,
    name: String,
    contents: Contents,
) -> (Document, Option<Modified>) {
    let Contents { bytes, state } = contents;
    let edition = edition(name.rsplit('/').next().unwrap_or(&name));
    let modified = bytes.as_ref().and_then(|bytes| bytes.modified);
    let fingerprint = bytes.map(|bytes| bytes.fingerprint);
    (Document { id, path, name, fingerprint, edition, state }, modified)
}

/// Writes the plan into the run directory, atomically. The file is durable when the function returns.
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
    let Plan { run_id, created, inputs, documents, modified } = plan;
    let header = Header {
        format: FORMAT.into(),
        version: VERSION,
        run_id: run_id.clone(),
        created: *created,
        inputs: inputs.clone(),
        documents: documents.len(),
    };
    write_line(&mut writer, &header)?;
    for (document, modified) in documents.iter().zip(modified) {
        write_line(&mut writer, &Line { document, modified: *modified })?;
    }
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    // A temporary file is readable by its owner only. Everyone who can read the run directory may read the plan.
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::fchmod(file.as_file(), mode)?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn write_line(to: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

/// Reads the plan of a run directory; `None` if there is none yet.
///
/// # Errors
/// The file cannot be read or is damaged.
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
    let (number, first) = text(next()).map_err(|(line, reason)| damaged(line, reason))?;
    let Format { format, version } = parse(number, &first).map_err(|(line, reason)| damaged(line, reason))?;
    if format != FORMAT {
        return Err(damaged(number, format!("it is `{format}`, not `{FORMAT}`")));
    }
    if version != VERSION {
        return Err(CorpusError::PlanVersion { path, found: version, known: VERSION });
    }
    let header: Header = parse(number, &first).map_err(|(line, reason)| damaged(line, reason))?;
    let (mut documents, mut times): (Vec<Document>, Vec<_>) = Default::default();
    let mut names = HashSet::new();
    for index in 0..header.documents {
        let parsed = text(next()).and_then(|(number, text)| parse(number, &text));
        let Line { document, modified } = parsed.map_err(|(line, reason)| damaged(line, reason))?;
        let document: Document = document;
        // A replaced document may have the name of the document that replaces it.
        let is_current = document.state != DocumentState::Replaced;
        if document.id.index() != index || is_current && !names.insert(document.name.clone()) {
            let reason = format!("document {} ({}) has a wrong id or a name used twice", document.id.0, document.name);
            return Err(damaged(index + 2, reason));
        }
        documents.push(document);
        times.push(modified);
    }
    match next() {
        (_, None) => {
            let Header { run_id, created, inputs, .. } = header;
            Ok(Some(Plan { run_id, created, inputs, documents, modified: times }))
        }
        (line, Some(_)) => {
            Err(damaged(line, format!("there are more than the {} documents of the header", header.documents)))
        }
    }
}

/// A line of the plan with its number; the error has the number too.
fn text((number, line): (usize, Option<io::Result<String>>)) -> Result<(usize, String), (usize, String)> {
    match line {
        Some(Ok(text)) => Ok((number, text)),
        Some(Err(error)) => Err((number, error.to_string())),
        None => Err((number, "the file ends too early".into())),
    }
}

fn parse<T: DeserializeOwned>(number: usize, text: &str) -> Result<T, (usize, String)> {
    serde_json::from_str(text).map_err(|error| (number, error.to_string()))
}
