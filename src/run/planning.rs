//! The plan of a run directory: a new one, or that of an earlier start, updated for the inputs. PDFs that are embedded in
//! documents are written below the run directory and planned as documents of their own.

use std::{collections::BTreeSet, fs, path::Path, sync::OnceLock};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{error::RunError, preparation_error::PreparationError, request::RunRequest};
use crate::{
    corpus::{self, CorpusError, Inputs, InspectFailure, Plan},
    imaging::Pool,
    model::{Damage, Document, DocumentState, Inspected, configuration::Configuration, error::chain},
    sys::{ExitCode, replace, shortened},
    worker::WorkerError,
};

/// The folder in the run directory with the embedded PDFs. A document that has some is a folder in it, under its own name
/// without the ending.
const EMBEDDED_FOLDER: &str = "embedded";
/// Longest name in bytes that an embedded PDF gets, without its ending.
const LONGEST_EMBEDDED_NAME: usize = 200;
/// How many levels of PDFs inside PDFs are read.
const MOST_NESTED: u32 = 3;

/// Plans the inputs of a run.
pub(super) fn plan(
    request: &RunRequest,
    renderers: impl Fn() -> Result<(Pool, Handle), WorkerError> + Sync,
) -> Result<Plan, RunError> {
    let examiner = Examiner { configuration: &request.configuration, start: &renderers, started: OnceLock::new() };
    plan_with(request, &examiner).map_err(|error| examiner.cause_of(error))
}

fn plan_with(request: &RunRequest, examiner: &Examiner<'_>) -> Result<Plan, RunError> {
    let RunRequest { run_directory, inputs, threads, .. } = request;
    let inspect = |path: &Path, name: &str| examiner.inspect(path, name);
    let corpus_error = PreparationError::from;
    let (mut plan, mut is_written) = match corpus::read(run_directory).map_err(corpus_error)? {
        None if inputs.paths.is_empty() && inputs.lists.is_empty() => {
            return Err(PreparationError::NoInput(run_directory.to_owned()).into());
        }
        None => (corpus::plan(inputs, inspect, *threads).map_err(corpus_error)?, false),
        Some(kept) => {
            let (plan, changes) = corpus::update(kept, Some(inputs), inspect, *threads).map_err(corpus_error)?;
            for line in changes.lines(&plan) {
                tracing::warn!("{line}");
            }
            (plan, !changes.must_be_written())
        }
    };
    for level in 0.. {
        let folder = run_directory.join(EMBEDDED_FOLDER);
        if !take_embedded(&mut plan, |document| match level {
            ..MOST_NESTED => extract(document, &folder, examiner),
            _ => Err(ExtractError::Document(format!("{}: PDFs are nested in it too deep", document.name))),
        })? {
            break;
        }
        let embedded = Inputs { paths: vec![folder], lists: Vec::new() };
        (plan, _) = corpus::update(plan, Some(&embedded), inspect, *threads).map_err(corpus_error)?;
        is_written = false;
    }
    if !is_written {
        corpus::write(run_directory, &plan).map_err(corpus_error)?;
    }
    Ok(plan)
}

/// Extracts the embedded PDFs of every document that has some, and returns whether there were any. What cannot be
/// extracted is noted in the document.
fn take_embedded(
    plan: &mut Plan,
    mut extract: impl FnMut(&Document) -> Result<usize, ExtractError>,
) -> Result<bool, RunError> {
    let mut any = false;
    for document in &mut plan.documents {
        if !matches!(document.state, DocumentState::Planned { embedded: 1.., .. }) {
            continue;
        }
        let failure = match extract(document) {
            Ok(files) => {
                tracing::info!("{}: {files} embedded PDFs are read as documents of their own", document.name);
                any |= files > 0;
                None
            }
            Err(ExtractError::Document(reason)) => Some(reason),
            Err(ExtractError::Run(error)) => return Err(error),
        };
        if let DocumentState::Planned { damage, embedded, .. } = &mut document.state {
            *embedded = 0;
            if let Some(reason) = failure {
                let before = damage.take().map_or_else(String::new, |damage| format!("{}; ", damage.reason));
                *damage = Some(Damage { reason: format!("{before}{reason}"), pages_missing: true });
            }
        }
    }
    Ok(any)
}

/// Why embedded PDFs cannot be extracted.
enum ExtractError {
    /// The document is the cause.
    Document(String),
    /// The machine or the run directory is the cause.
    Run(RunError),
}

/// Writes the embedded PDFs of a document to its folder in `folder`, and returns their number.
fn extract(document: &Document, folder: &Path, examiner: &Examiner<'_>) -> Result<usize, ExtractError> {
    let files = examiner.extract(document).map_err(|failure| match failure {
        InspectFailure::Document { reason, .. } => ExtractError::Document(reason),
        InspectFailure::Machine(reason) => {
            let document = document.name.clone();
            ExtractError::Run(PreparationError::from(CorpusError::Inspect { document, reason }).into())
        }
    })?;
    let into = folder.join(Path::new(&document.name).with_extension(""));
    let failed = |source| ExtractError::Run(RunError::Output { path: into.clone(), source });
    fs::create_dir_all(&into).map_err(failed)?;
    let mut names = BTreeSet::new();
    for (name, bytes) in files {
        let mut name = plain_file_name(&name);
        while !names.insert(name.clone()) {
            name.insert(0, '_');
        }
        replace(&into.join(name), &bytes).map_err(failed)?;
    }
    Ok(names.len())
}

/// The last part of a name that a document gives a file inside it, as the name of a file.
fn plain_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let plain: String = last.chars().map(|char| if char.is_control() { '_' } else { char }).collect();
    // Hidden files are no input of a run.
    let shown = plain.trim_start_matches('.');
    let stem = shown.get(..shown.len().saturating_sub(4)).unwrap_or_default();
    format!("{}.pdf", shortened(if stem.is_empty() { "embedded" } else { stem }, LONGEST_EMBEDDED_NAME))
}

/// Starts a pool of renderers.
type StartPool<'a> = dyn Fn() -> Result<(Pool, Handle), WorkerError> + Sync + 'a;

/// Examines documents. Its renderers start with the first; a start that resumes usually needs none.
struct Examiner<'a> {
    configuration: &'a Configuration,
    start: &'a StartPool<'a>,
    started: OnceLock<Result<(Pool, Handle), WorkerError>>,
}

impl Examiner<'_> {
    fn pool(&self) -> Result<&(Pool, Handle), InspectFailure> {
        let started = self.started.get_or_init(self.start);
        started.as_ref().map_err(|error| InspectFailure::Machine(chain(error)))
    }

    /// Why there is no plan. If the user must correct something before renderers can start, e.g. PDFium is missing, that
    /// is the reason.
    fn cause_of(self, error: RunError) -> RunError {
        match self.started.into_inner() {
            Some(Err(cause)) if cause.exit_code() == ExitCode::WrongUsage => cause.into(),
            _ => error,
        }
    }

    fn inspect(&self, path: &Path, name: &str) -> Result<Inspected, InspectFailure> {
        let (pool, runtime) = self.pool()?;
        Ok(runtime.block_on(pool.inspect(path, self.configuration.password_for(name)))?)
    }

    fn extract(&self, document: &Document) -> Result<Vec<(String, Bytes)>, InspectFailure> {
        let (pool, runtime) = self.pool()?;
        Ok(runtime.block_on(pool.extract(&document.path, self.configuration.password_for(&document.name)))?)
    }
}
