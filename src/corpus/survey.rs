//! A survey of the inputs: what a plan of them would contain, without checksums.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    Candidate, CorpusError, Inputs, InspectFailure, Plan,
    contents::{Inspect, state_of, unreadable},
    discover::discover_below,
    edition,
    fingerprint::stat_file,
    inputs::roots,
    plan::planning_threads,
};
use crate::model::{Document, DocumentId, DocumentState, Edition, Inspected};

/// The result of a survey of the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The documents, in the order in which they were found.
    pub documents: Vec<Surveyed>,
    /// How many further paths lead to the same files; a run counts a file once.
    pub repeated: usize,
    /// Names of documents of the plan that are no longer at their path in the inputs. A run recognises those that have
    /// moved.
    pub gone: Vec<String>,
}

/// A file of the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// Absolute path.
    pub path: PathBuf,
    /// The name in the plan, or the name that a new plan would give.
    pub name: String,
    /// Issue number, suffix and language from the name.
    pub edition: Edition,
    /// Size in bytes, 0 where it cannot be read.
    pub bytes: u64,
    /// Planned or refused.
    pub state: DocumentState,
    /// The document of the plan with the same path, size and time.
    pub planned: Option<DocumentId>,
}

impl Surveyed {
    /// Its number of pages, 0 where it is refused.
    pub fn pages(&self) -> u32 {
        match self.state {
            DocumentState::Planned { pages, .. } => pages,
            DocumentState::Refused { .. } | DocumentState::Replaced => 0,
        }
    }
}

/// Finds all documents like [`super::plan()`] and [`super::update`], and counts their pages on `threads` threads,
/// without checksums: documents of `plan` are recognised by path, size and time.
///
/// # Errors
/// See [`CorpusError`]; never because of the contents of a document.
pub fn survey(
    plan: Option<&Plan>,
    given: &Inputs,
    inspect: impl Fn(&Path, &str) -> Result<Inspected, InspectFailure> + Sync,
    threads: NonZeroUsize,
) -> Result<Survey, CorpusError> {
    let none = Inputs::default();
    let roots = roots(plan.map_or(&none, |plan| &plan.inputs), given)?;
    let (candidates, repeated) = discover_below(&roots, &roots.inputs)?;
    let current = plan.iter().flat_map(|plan| &plan.documents).filter(|known| known.state != DocumentState::Replaced);
    let mut known: HashMap<&Path, &Document> = current.map(|document| (&*document.path, document)).collect();
    let pairs: Vec<_> = candidates.into_iter().map(|found| (known.remove(&*found.path), found)).collect();
    let mut gone: Vec<String> = known.into_values().map(|document| document.name.clone()).collect();
    gone.sort();
    let survey_one = |(known, found)| inspect_all(plan, known, found, &inspect);
    let documents = planning_threads(threads)?
        .install(|| pairs.into_par_iter().map(survey_one).collect::<Result<Vec<_>, CorpusError>>())?;
    Ok(Survey { documents, repeated, gone })
}

fn inspect_all(
    plan: Option<&Plan>,
    known: Option<&Document>,
    found: Candidate,
    inspect: &impl Inspect,
) -> Result<Surveyed, CorpusError> {
    let Candidate { path, name, problem } = found;
    let name = known.map_or(name, |document| document.name.clone());
    let seen = stat_file(&path);
    let same = known.filter(|document| {
        let modified = plan.and_then(|plan| *plan.modified.get(document.id.index())?);
        let print = document.fingerprint.as_ref();
        print.is_some_and(|print| seen.as_ref().is_ok_and(|seen| seen.matches(print, modified)))
    });
    let state = match (problem, &seen, same) {
        (Some(problem), ..) => unreadable(&path, &problem),
        (None, Err(error), _) => unreadable(&path, &format!("cannot be read: {error}")),
        (None, Ok(_), Some(Document { state: state @ DocumentState::Planned { .. }, .. })) => state.clone(),
        // A refused document is inspected again: its password may have been given meanwhile.
        (None, Ok(_), _) => state_of(&path, &name, inspect)?,
    };
    let edition = edition(name.rsplit('/').next().unwrap_or(&name));
    let bytes = seen.map_or(0, |seen| seen.bytes);
    Ok(Surveyed { path, name, edition, bytes, state, planned: same.map(|document| document.id) })
}

/// Bytes at each end of a file that are compared.
const END: u64 = 64 << 10;

/// Groups of documents that are very likely copies of one file: equal in size and in their first and last 64 KiB. A run
/// reads each copy. Documents that cannot be read are in no group.
pub fn duplicate_groups(documents: &[Surveyed]) -> Vec<Vec<&Surveyed>> {
    let mut by_size: HashMap<u64, Vec<&Surveyed>> = HashMap::new();
    for document in documents.iter().filter(|document| document.pages() > 0) {
        by_size.entry(document.bytes).or_default().push(document);
    }
    let mut by_ends: BTreeMap<(u64, Vec<u8>), Vec<&Surveyed>> = BTreeMap::new();
    for (bytes, alike) in by_size.into_iter().filter(|(_, alike)| alike.len() > 1) {
        for document in alike {
            if let Ok(ends) = first_and_last_bytes(&document.path, bytes) {
                by_ends.entry((bytes, ends)).or_default().push(document);
            }
        }
    }
    by_ends.into_values().filter(|alike| alike.len() > 1).collect()
}

fn first_and_last_bytes(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut read = Vec::new();
    file.by_ref().take(END).read_to_end(&mut read)?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(END)))?;
    file.take(END).read_to_end(&mut read)?;
    Ok(Sha256::digest(&read).to_vec())
}
