//! Updates a plan to inputs that have changed, disappeared, appeared or moved since.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use crate::model::{Document, DocumentId, DocumentState, Inspected};

use super::{
    Changes, CorpusError, Inputs, InspectFailure, Modified, Plan,
    contents::{Bytes, Contents, Inspect, examine, read_bytes},
    discover::walk,
    document_names::{Extra, extra_of, name_suffixes, named, possible_names, whole_name},
    fingerprint::stat_file,
    found::Found,
    inputs::roots,
    plan::{check_number, document, planning_threads},
};

/// Updates the plan to the present inputs: the recorded ones and those `given` to this start. Works on `threads`
/// threads. An id keeps its meaning, the bytes of one file, and a name its document:
///
/// - A file with the planned size and time counts as unchanged. Another file is read, and is unchanged if its bytes are
///   the planned ones.
/// - A changed file gets a new document, which replaces the old one and has the same name.
/// - A new file is planned at the end. But if the file of a planned document no longer exists, the new file has its
///   bytes, and the document's name matches the end of the new path, then that document has moved.
/// - A document whose file no longer exists and has not moved stays as it is.
/// - A refused document is inspected again: its password or permission may have been given meanwhile.
///
/// A file that several paths lead to is one document. But planned documents whose paths now lead to one file stay as
/// they are, if the file has the bytes of each. Nothing is written.
///
/// # Errors
/// See [`CorpusError`]. Recorded inputs may be missing; given inputs must exist unless they are also recorded.
pub fn update(
    plan: Plan,
    given: Option<&Inputs>,
    inspect: impl Fn(&Path, &str) -> Result<Inspected, InspectFailure> + Sync,
    threads: NonZeroUsize,
) -> Result<(Plan, Changes), CorpusError> {
    let roots = roots(&plan.inputs, given.unwrap_or(&Inputs::default()))?;
    let entries = walk(&roots.paths);
    planning_threads(threads)?.install(|| {
        let mut update = Update::new(&plan, roots.inputs);
        let fresh = update.compare(&entries, &inspect)?;
        let fresh = update.recognise_moved(fresh);
        update.add(fresh, &entries);
        update.finish(&inspect)
    })
}

/// The present state of a document's file.
struct Examined {
    /// See [`Found::identity`]; `None` where there is no file.
    identity: Option<PathBuf>,
    finding: Finding,
}

/// The precedence of documents whose paths lead to the same file, the first highest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum NameClaim {
    Holds,
    Replaced,
    First,
}

enum Finding {
    /// The file does not exist or can no longer be read.
    Gone,
    /// The file has the planned bytes; with its time.
    Same(Option<Modified>),
    /// The file of a refused document has the planned bytes and was inspected again.
    Again(Contents),
    /// The file has other bytes.
    Other(Bytes),
    /// The file of a refused document that could not be read before.
    First(Contents),
    /// The path of a refused document is a folder, which could not be listed when it was planned.
    Folder,
}

impl Finding {
    fn claim(&self) -> NameClaim {
        match self {
            Finding::Gone | Finding::Same(_) | Finding::Again(_) | Finding::Folder => NameClaim::Holds,
            Finding::Other(_) => NameClaim::Replaced,
            Finding::First(_) => NameClaim::First,
        }
    }
}

/// A file that belongs to no document of the plan.
struct Fresh<'a> {
    /// The paths to the file. The first gives the name of a new document; a moved document may have another of them.
    entries: Vec<&'a Found>,
    /// `None` until the file is read.
    bytes: Option<Bytes>,
}

/// A new document.
struct Addition {
    path: PathBuf,
    name: String,
    problem: Option<String>,
    bytes: Option<Bytes>,
}

struct Update<'a> {
    before: &'a Plan,
    after: Plan,
    changes: Changes,
    /// Documents whose files no longer exist.
    gone: Vec<DocumentId>,
    /// Refused documents that have moved, with the problem and the bytes of their new files.
    to_inspect: Vec<(DocumentId, Option<String>, Option<Bytes>)>,
    /// New documents in the order of their ids, which follow those of the plan.
    additions: Vec<Addition>,
}

impl<'a> Update<'a> {
    fn new(before: &'a Plan, inputs: Inputs) -> Self {
        let after = Plan { inputs, ..before.clone() };
        Update {
            before,
            after,
            changes: Changes::default(),
            gone: Vec::new(),
            to_inspect: Vec::new(),
            additions: Vec::new(),
        }
    }

    /// The documents of the plan that are not replaced.
    fn kept_documents(&self) -> impl Iterator<Item = &'a Document> + use<'a> {
        self.before.documents.iter().filter(|document| document.state != DocumentState::Replaced)
    }

    /// Examines every document's file, and returns the files that belong to no document.
    fn compare<'w>(&mut self, entries: &'w [Found], inspect: &impl Inspect) -> Result<Vec<Fresh<'w>>, CorpusError> {
        let by_path = by_path(entries);
        let current: Vec<&Document> = self.kept_documents().collect();
        let inspect_file = |document: &&Document| {
            let modified = self.before.modified.get(document.id.index()).copied().flatten();
            examine_file(document, modified, by_path.get(&*document.path).copied(), inspect)
        };
        let inspected = current.par_iter().map(inspect_file).collect::<Result<Vec<_>, _>>()?;
        let mut inspected: Vec<_> = current.iter().zip(inspected).collect();
        inspected.sort_by_key(|(_, file)| file.finding.claim());
        let mut owners: HashMap<PathBuf, DocumentId> = HashMap::new();
        for (document, Examined { identity, finding }) in inspected {
            let identity = identity.unwrap_or_else(|| document.path.clone());
            let id = match finding {
                Finding::Other(_) => self.next_id(),
                _ => document.id,
            };
            let owner = *owners.entry(identity).or_insert(id);
            match finding {
                Finding::Gone => self.gone.push(document.id),
                Finding::Same(modified) => self.after.modified[document.id.index()] = modified,
                Finding::Again(contents) => self.set_contents(document.id, contents),
                Finding::First(contents) if owner == id => self.set_contents(document.id, contents),
                // The document was never readable, and now other documents have the files that its path leads to.
                Finding::First(_) | Finding::Folder => {
                    self.after.documents[document.id.index()].state = DocumentState::Replaced;
                    self.changes.mended.push(document.id);
                }
                Finding::Other(bytes) => {
                    if owner == id {
                        let (path, name) = (document.path.clone(), document.name.clone());
                        self.additions.push(Addition { path, name, problem: None, bytes: Some(bytes) });
                    }
                    self.after.documents[document.id.index()].state = DocumentState::Replaced;
                    self.changes.replaced.push((document.id, owner));
                }
            }
        }
        let planned: HashSet<&Path> = current.iter().map(|document| document.path.as_path()).collect();
        let mut fresh: Vec<Fresh> = Vec::new();
        let mut places: HashMap<&Path, usize> = HashMap::new();
        for entry in
            entries.iter().filter(|entry| !owners.contains_key(&entry.identity) && !planned.contains(&*entry.path))
        {
            let place = *places.entry(&entry.identity).or_insert(fresh.len());
            match fresh.get_mut(place) {
                Some(fresh) => fresh.entries.push(entry),
                None => fresh.push(Fresh { entries: vec![entry], bytes: None }),
            }
        }
        Ok(fresh)
    }

    /// Assigns new files to documents that have moved, and returns the other new files.
    fn recognise_moved<'w>(&mut self, fresh: Vec<Fresh<'w>>) -> Vec<Fresh<'w>> {
        let before = self.before;
        let gone: Vec<&Document> = self.gone.iter().filter_map(|id| before.documents.get(id.index())).collect();
        let mut by_ending: HashMap<&str, Vec<&Document>> = HashMap::new();
        for document in &gone {
            for ending in name_suffixes(&document.name) {
                by_ending.entry(ending).or_default().push(document);
            }
        }
        let recognise = |fresh: Fresh<'w>| {
            if by_ending.is_empty() { (fresh, Vec::new()) } else { recognise(fresh, &by_ending) }
        };
        let recognised: Vec<_> = fresh.into_par_iter().map(recognise).collect();
        let mut rest = Vec::new();
        let mut vanished: BTreeSet<DocumentId> = gone.iter().map(|document| document.id).collect();
        for (fresh, documents) in recognised {
            let Some((document, entry)) = documents.into_iter().find(|(document, _)| vanished.remove(&document.id))
            else {
                rest.push(fresh);
                continue;
            };
            let bytes = fresh.bytes;
            let index = document.id.index();
            self.after.documents[index].path = entry.path.clone();
            self.after.modified[index] = bytes.as_ref().and_then(|bytes| bytes.modified);
            self.changes.moved.push(document.id);
            if matches!(document.state, DocumentState::Refused { .. }) {
                self.to_inspect.push((document.id, entry.problem.clone(), bytes));
            }
        }
        self.changes.moved.sort_unstable();
        self.changes.vanished = vanished.into_iter().collect();
        rest
    }

    /// Names the new documents. An input whose documents were given longer names gives longer names again.
    fn add(&mut self, fresh: Vec<Fresh>, entries: &[Found]) {
        let by_path = by_path(entries);
        let mut extra = Extra::new();
        for document in &self.after.documents {
            if let Some(entry) = by_path.get(&*document.path) {
                let longest = extra.entry(entry.root).or_default();
                *longest = (*longest).max(extra_of(entry, &document.name));
            }
        }
        let taken: HashSet<&str> = self.kept_documents().map(|document| document.name.as_str()).collect();
        let (entries, bytes): (Vec<&Found>, Vec<_>) =
            fresh.into_iter().filter_map(|fresh| Some((*fresh.entries.first()?, fresh.bytes))).unzip();
        let names = named(&entries, &taken, extra);
        for ((entry, bytes), name) in entries.into_iter().zip(bytes).zip(names) {
            self.changes.added.push(self.next_id());
            self.additions.push(Addition { path: entry.path.clone(), name, problem: entry.problem.clone(), bytes });
        }
    }

    /// Inspects new documents and refused documents that have moved, and returns the updated plan.
    fn finish(mut self, inspect: &impl Inspect) -> Result<(Plan, Changes), CorpusError> {
        check_number(self.before.documents.len() + self.additions.len())?;
        let contents = |path: &Path, name: &str, problem: Option<String>, bytes: Option<Bytes>| match problem {
            Some(problem) => Ok(Contents::unreadable(path, &problem)),
            None => examine(path, name, bytes, inspect),
        };
        let to_inspect = std::mem::take(&mut self.to_inspect);
        let moved = |(id, problem, bytes): (DocumentId, _, _)| {
            let document = &self.after.documents[id.index()];
            Ok((id, contents(&document.path, &document.name, problem, bytes)?))
        };
        let inspected = to_inspect.into_par_iter().map(moved).collect::<Result<Vec<_>, CorpusError>>()?;
        for (id, contents) in inspected {
            self.set_contents(id, contents);
        }
        let first = self.before.documents.len();
        let describe = |(index, addition): (usize, Addition)| {
            let Addition { path, name, problem, bytes } = addition;
            let contents = contents(&path, &name, problem, bytes)?;
            Ok(document(DocumentId((first + index) as u32), path, name, contents))
        };
        let additions = std::mem::take(&mut self.additions);
        let added = additions.into_par_iter().enumerate().map(describe).collect::<Result<Vec<_>, CorpusError>>()?;
        for (document, modified) in added {
            self.after.documents.push(document);
            self.after.modified.push(modified);
        }
        self.changes.mended.sort_unstable();
        self.changes.differs = self.after != *self.before;
        Ok((self.after, self.changes))
    }

    fn next_id(&self) -> DocumentId {
        DocumentId((self.before.documents.len() + self.additions.len()) as u32)
    }

    /// Sets the contents of a refused document that was inspected again.
    fn set_contents(&mut self, id: DocumentId, contents: Contents) {
        let document = &mut self.after.documents[id.index()];
        if matches!(contents.state, DocumentState::Planned { .. }) {
            self.changes.mended.push(id);
        }
        document.state = contents.state;
        if let Some(Bytes { fingerprint, modified }) = contents.bytes {
            document.fingerprint = Some(fingerprint);
            self.after.modified[id.index()] = modified;
        }
    }
}

/// The first entry for each path.
fn by_path(entries: &[Found]) -> HashMap<&Path, &Found> {
    entries.iter().rev().map(|entry| (entry.path.as_path(), entry)).collect()
}

/// Examines the file of a document that is not replaced; `entry` is where the inputs lead to it, if they do.
fn examine_file(
    document: &Document,
    modified: Option<Modified>,
    entry: Option<&Found>,
    inspect: &impl Inspect,
) -> Result<Examined, CorpusError> {
    let Document { path, name, fingerprint, state, .. } = document;
    let identity = match entry {
        Some(entry) => Some(entry.identity.clone()),
        None => fs::canonicalize(path).ok(),
    };
    let finding = match (entry.and_then(|entry| entry.problem.as_deref()), fingerprint) {
        (Some(problem), None) => Finding::First(Contents::unreadable(path, problem)),
        (Some(_), Some(_)) => Finding::Gone,
        (None, _) if identity.is_none() => Finding::Gone,
        (None, None) if path.is_dir() => Finding::Folder,
        (None, None) => Finding::First(examine(path, name, None, inspect)?),
        (None, Some(planned)) => {
            let bytes = match stat_file(path) {
                Ok(seen) if seen.matches(planned, modified) => Ok(Bytes { fingerprint: planned.clone(), modified }),
                Ok(_) => read_bytes(path),
                Err(error) => Err(error),
            };
            match (bytes, state) {
                (Err(error), _) => {
                    tracing::warn!("{} cannot be read: {error}; the document stays as it was planned", path.display());
                    Finding::Gone
                }
                (Ok(bytes), _) if bytes.fingerprint != *planned => Finding::Other(bytes),
                (Ok(bytes), DocumentState::Refused { .. }) => {
                    Finding::Again(examine(path, name, Some(bytes), inspect)?)
                }
                (Ok(bytes), _) => Finding::Same(bytes.modified),
            }
        }
    };
    Ok(Examined { identity, finding })
}

/// The documents, of those whose files no longer exist, that a new file can be: it has their bytes, and their name
/// matches the end of its path. A document without bytes is recognised by its name alone. The most likely comes first,
/// each with the path to the file that matches.
fn recognise<'w, 'a>(mut fresh: Fresh<'w>, gone: &HashMap<&str, Vec<&'a Document>>) -> Recognised<'w, 'a> {
    let Fresh { entries, bytes } = &mut fresh;
    let mut documents: Vec<(&Document, &Found)> = Vec::new();
    for &entry in entries.iter() {
        let size = stat_file(&entry.path).ok().filter(|_| entry.problem.is_none()).map(|seen| seen.bytes);
        let mut same = |document: &Document, name: &str| match &document.fingerprint {
            None => document.name == name,
            Some(planned) if size != Some(planned.bytes) => false,
            Some(planned) => {
                if bytes.is_none() {
                    *bytes = read_bytes(&entry.path).ok();
                }
                bytes.as_ref().is_some_and(|bytes| bytes.fingerprint == *planned)
            }
        };
        for name in possible_names(&whole_name(entry), entry) {
            for document in gone.get(name).into_iter().flatten() {
                if !documents.iter().any(|(known, _)| known.id == document.id) && same(document, name) {
                    documents.push((document, entry));
                }
            }
        }
    }
    (fresh, documents)
}

type Recognised<'w, 'a> = (Fresh<'w>, Vec<(&'a Document, &'w Found)>);
