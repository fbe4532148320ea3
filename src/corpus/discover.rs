//! Finding documents: files, folders and lists of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    path::{Component, Path, PathBuf},
};

use walkdir::WalkDir;

use super::CorpusError;

/// What the user wants read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Files and folders. A folder is searched with all its folders for names ending in `.pdf`, in any case; hidden
    /// ones are left out. A file is taken whatever its name.
    pub paths: Vec<PathBuf>,
    /// Text files that name further files and folders, one a line, relative to the current directory; lines that begin
    /// with `#` and empty lines mean nothing; `-` is standard input.
    pub lists: Vec<PathBuf>,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Absolute path. Bytes that are not UTF-8 are written as `\xNN`, and then `problem` says so.
    pub path: PathBuf,
    /// Path below its input folder, with `/`; unique. Where two inputs hold the same, all names of both begin with as
    /// much of the inputs' own paths as tells them apart.
    pub name: String,
    /// Why it cannot be read, if that is known already.
    pub problem: Option<String>,
}

/// Finds all documents, in the order of the inputs and within a folder by name; one that is reached twice counts once.
///
/// # Errors
/// An input or list does not exist, or nothing is found. A folder further down that cannot be listed, a link to nowhere
/// and a name that is not UTF-8 become candidates with a problem.
pub fn discover(inputs: &Inputs) -> Result<Vec<Candidate>, CorpusError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (root, path) in all_paths(inputs)?.iter().enumerate() {
        collect(root, path, &mut |entry| {
            // The same file by another link is the same document; without a target a path stands for itself.
            let identity = fs::canonicalize(&entry.path).unwrap_or_else(|_| entry.path.clone());
            if seen.insert(identity) {
                found.push(entry);
            } else {
                tracing::debug!("{} was found before under another name", entry.path.display());
            }
        });
    }
    if found.is_empty() {
        let all: Vec<_> = inputs.paths.iter().chain(&inputs.lists).map(|path| path.display().to_string()).collect();
        return Err(CorpusError::NothingFound { inputs: all.join(", ") });
    }
    Ok(named(found))
}

/// The inputs and what the lists name, absolute; each exists.
fn all_paths(inputs: &Inputs) -> Result<Vec<PathBuf>, CorpusError> {
    let mut paths = Vec::new();
    for path in &inputs.paths {
        paths.push(existing(path).map_err(|source| CorpusError::Input { path: path.clone(), source })?);
    }
    for list in &inputs.lists {
        let text = match list.as_os_str() == "-" {
            true => io::read_to_string(io::stdin()),
            false => fs::read_to_string(list),
        };
        let text = text.map_err(|source| CorpusError::List { path: list.clone(), source })?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let path = existing(Path::new(line)).map_err(|source| CorpusError::ListLine {
                list: list.clone(),
                line: number + 1,
                path: line.into(),
                source,
            })?;
            paths.push(path);
        }
    }
    Ok(paths)
}

fn existing(path: &Path) -> io::Result<PathBuf> {
    fs::metadata(path)?;
    std::path::absolute(path)
}

/// A document of the `root`-th input, before it has a name.
struct Found {
    root: usize,
    path: PathBuf,
    /// How many of the path's last components are its name.
    components: usize,
    problem: Option<String>,
}

/// Passes on every document at or below `input`.
fn collect(root: usize, input: &Path, pass: &mut impl FnMut(Found)) {
    let walk = WalkDir::new(input).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() || entry.depth() > 0 && !is_pdf(entry.path()) => {}
            Ok(entry) => pass(Found {
                root,
                path: entry.path().to_owned(),
                components: entry.depth().max(1),
                problem: (!entry.file_type().is_file()).then(|| "not a regular file".into()),
            }),
            Err(error) if error.loop_ancestor().is_some() => {
                tracing::debug!("{error}: not followed again");
            }
            Err(error) => {
                let Some(path) = error.path().filter(|path| is_document_or_folder(path)) else { continue };
                pass(Found {
                    root,
                    path: path.to_owned(),
                    components: error.depth().max(1),
                    problem: Some(match error.io_error() {
                        Some(source) => format!("cannot be read: {source}; check its permissions or its link"),
                        None => error.to_string(),
                    }),
                });
            }
        }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_pdf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pdf"))
}

/// Whether something that cannot be read may hold documents: a dangling link by another name than `.pdf` does not.
fn is_document_or_folder(path: &Path) -> bool {
    is_pdf(path) || path.is_dir()
}

/// Gives each document its unique name.
fn named(found: Vec<Found>) -> Vec<Candidate> {
    let mut longer = BTreeMap::new();
    let names = loop {
        let names: Vec<_> =
            found.iter().map(|entry| name(entry, longer.get(&entry.root).copied().unwrap_or(0))).collect();
        let mut holders: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (name, entry) in names.iter().zip(&found) {
            holders.entry(name).or_default().insert(entry.root);
        }
        let clashing: BTreeSet<usize> = holders.into_values().filter(|roots| roots.len() > 1).flatten().collect();
        let before = longer.clone();
        for root in clashing {
            let most =
                found.iter().filter(|entry| entry.root == root).map(|entry| depth(&entry.path)).max().unwrap_or(0);
            longer.entry(root).and_modify(|extra: &mut usize| *extra = (*extra + 1).min(most)).or_insert(1);
        }
        if longer == before {
            break names;
        }
    };
    let mut used = BTreeSet::new();
    let unique = |name: String| {
        // Only names with escaped bytes can still be equal.
        let fresh =
            (1..).map(|n| if n == 1 { name.clone() } else { format!("{name} ({n})") }).find(|n| !used.contains(n));
        let fresh = fresh.unwrap_or(name);
        used.insert(fresh.clone());
        fresh
    };
    found.into_iter().zip(names.into_iter().map(unique).collect::<Vec<_>>()).map(candidate).collect()
}

fn candidate((found, name): (Found, String)) -> Candidate {
    let problem = match found.path.to_str() {
        Some(_) => found.problem,
        None => Some("its path is not UTF-8: rename it".into()),
    };
    let path = if found.path.to_str().is_some() { found.path } else { escaped(found.path.as_os_str()).into() };
    Candidate { path, name, problem }
}

/// The last components of a path, `extra` more than it stands below its input.
fn name(found: &Found, extra: usize) -> String {
    let normal = found.path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(escaped(part)),
        _ => None,
    });
    let parts: Vec<_> = normal.collect();
    parts[parts.len().saturating_sub(found.components + extra)..].join("/")
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

/// Text as it is, other bytes as `\xNN`.
fn escaped(name: &OsStr) -> String {
    let chunks = name.as_encoded_bytes().utf8_chunks();
    chunks.map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(root: usize, path: &str, components: usize) -> Found {
        Found { root, path: path.into(), components, problem: None }
    }

    fn names(found: Vec<Found>) -> Vec<String> {
        named(found).into_iter().map(|candidate| candidate.name).collect()
    }

    #[test]
    fn names_are_paths_below_their_input() {
        let found = vec![entry(0, "/in/fr/a.pdf", 2), entry(0, "/in/ar/a.pdf", 2), entry(1, "/more/b.pdf", 1)];
        assert_eq!(names(found), ["fr/a.pdf", "ar/a.pdf", "b.pdf"]);
    }

    #[test]
    fn inputs_that_clash_are_told_apart_by_their_own_paths() {
        let found = vec![entry(0, "/x/fr/a.pdf", 1), entry(0, "/x/fr/b.pdf", 1), entry(1, "/x/ar/a.pdf", 1)];
        assert_eq!(names(found), ["fr/a.pdf", "fr/b.pdf", "ar/a.pdf"]);
        let deeper = vec![entry(0, "/x/data/a.pdf", 1), entry(1, "/y/data/a.pdf", 1), entry(2, "/z/c.pdf", 1)];
        assert_eq!(names(deeper), ["x/data/a.pdf", "y/data/a.pdf", "c.pdf"]);
    }

    #[test]
    fn an_input_within_another_never_hangs() {
        let found = vec![entry(0, "/a.pdf", 1), entry(1, "/a/a.pdf", 1), entry(2, "/a/a/a.pdf", 1)];
        let names = names(found);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 3, "{names:?}");
    }
}
