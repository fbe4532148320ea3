//! Finds the documents of the inputs.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use super::{
    CorpusError, Inputs,
    document_names::{Extra, escaped, named},
    found::Found,
    inputs::{Roots, roots},
};

/// A document that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Absolute path. Bytes that are not UTF-8 are written as `\xNN`, and then `problem` says so.
    pub path: PathBuf,
    /// Path relative to its input folder, with `/`; unique. If two inputs have the same relative path, all names of
    /// both begin with as many of the last folders of the inputs' own paths as make them differ.
    pub name: String,
    /// The reason why the document cannot be read, if it is known already.
    pub problem: Option<String>,
}

/// Finds all documents, in the order of the inputs and by name within a folder. A document that two paths lead to
/// counts once.
///
/// # Errors
/// An input or list does not exist, or no document is found. A folder below an input that cannot be listed, a dangling
/// link and a name that is not UTF-8 are no errors: they become candidates with a problem.
pub fn discover(inputs: &Inputs) -> Result<Vec<Candidate>, CorpusError> {
    Ok(discover_below(&roots(&Inputs::default(), inputs)?, inputs)?.0)
}

/// [`discover`] for inputs that are resolved already. Also returns how many further paths led to the same files.
pub(super) fn discover_below(roots: &Roots, inputs: &Inputs) -> Result<(Vec<Candidate>, usize), CorpusError> {
    let mut found = walk(&roots.paths);
    let paths = found.len();
    let mut seen = HashSet::new();
    found.retain(|entry| {
        let new = seen.insert(entry.identity.clone());
        if !new {
            tracing::debug!("{} was already found under another name", entry.path.display());
        }
        new
    });
    if found.is_empty() {
        let all: Vec<_> = inputs.paths.iter().chain(&inputs.lists).map(|path| path.display().to_string()).collect();
        return Err(CorpusError::NothingFound { inputs: all.join(", ") });
    }
    let names = named(&found.iter().collect::<Vec<_>>(), &HashSet::new(), Extra::new());
    let repeated = paths - found.len();
    let candidate = |(Found { path, problem, .. }, name)| Candidate { path, name, problem };
    Ok((found.into_iter().zip(names).map(candidate).collect(), repeated))
}

/// Every path to a document at or below the roots, in the order of the roots and by name within a folder.
pub(super) fn walk(roots: &[PathBuf]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut folders = HashMap::new();
    for (root, path) in roots.iter().enumerate() {
        let walk = WalkDir::new(path).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
            found.extend(classify_entry(root, entry, &mut folders));
        }
    }
    found
}

fn classify_entry(
    root: usize,
    entry: walkdir::Result<DirEntry>,
    folders: &mut HashMap<PathBuf, PathBuf>,
) -> Option<Found> {
    let (path, depth, problem, identity) = match &entry {
        Ok(entry) if entry.file_type().is_dir() || entry.depth() > 0 && !is_pdf(entry.path()) => return None,
        Ok(entry) => {
            let problem = (!entry.file_type().is_file()).then(|| "not a regular file".to_owned());
            (entry.path(), entry.depth(), problem, identity(entry, folders))
        }
        Err(error) if error.loop_ancestor().is_some() => {
            tracing::debug!("{error}: the link is not followed again");
            return None;
        }
        Err(error) => {
            let path = error.path().filter(|path| is_document_or_folder(path))?;
            let problem = match error.io_error() {
                Some(source) => format!("cannot be read: {source}; check its permissions or its link"),
                None => error.to_string(),
            };
            let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            (path, error.depth(), Some(problem), identity)
        }
    };
    let (path, problem) = match path.to_str() {
        Some(_) => (path.to_owned(), problem),
        None => (escaped(path.as_os_str()).into(), Some("its path is not UTF-8: rename it".into())),
    };
    Some(Found { root, path, components: depth.max(1), problem, identity })
}

/// The path of an entry with all links resolved. The path of a folder is resolved once, which saves several requests
/// for each file on a parallel file system.
fn identity(entry: &DirEntry, folders: &mut HashMap<PathBuf, PathBuf>) -> PathBuf {
    let path = entry.path();
    let canonical = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !entry.path_is_symlink() => match folders.get(parent) {
            Some(folder) => folder.join(name),
            None => folders.entry(parent.to_owned()).or_insert_with(|| canonical(parent)).join(name),
        },
        _ => canonical(path),
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_pdf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pdf"))
}

/// Whether an entry that cannot be read may be a document or contain documents. A dangling link is only one if its name
/// ends in `.pdf`.
fn is_document_or_folder(path: &Path) -> bool {
    is_pdf(path) || path.is_dir()
}
