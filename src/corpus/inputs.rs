//! What is to be read, as people name it: files, folders and lists of both.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf, absolute},
};

use serde::{Deserialize, Serialize};

use super::CorpusError;

/// What the user wants read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Files and folders. A folder is searched with all its folders for names ending in `.pdf`, in any case; hidden
    /// ones are left out. A file is taken whatever its name.
    pub paths: Vec<PathBuf>,
    /// Text files that name further files and folders, one a line, relative to the current directory; lines that begin
    /// with `#` and empty lines mean nothing; `-` is standard input.
    pub lists: Vec<PathBuf>,
}

/// What inputs lead to now.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Files and folders, absolute, each once; they exist.
    pub(super) paths: Vec<PathBuf>,
    /// The inputs so that a later start, in whatever directory, can look at the same again: all absolute; lines that
    /// could not be read again in the same way (of standard input, of a pipe, relative ones) as paths.
    pub(super) inputs: Inputs,
}

/// Where to look: at the `recorded` inputs of an earlier start, and at those `given` to this one.
///
/// # Errors
/// A given input does not exist, or cannot be read. One that is recorded may be gone: that is only told.
pub(super) fn roots(recorded: &Inputs, given: &Inputs) -> Result<Roots, CorpusError> {
    let mut roots = Collector { roots: Roots::default(), reached: HashSet::new(), kept: HashSet::new() };
    for path in &recorded.paths {
        roots.add_if_new(path);
        roots.enter_recorded(path);
    }
    let given_files = given.lists.iter().filter(|list| !is_standard_input(list));
    let given_lists: HashSet<PathBuf> = given_files.filter_map(|list| absolute(list).ok()).collect();
    for list in &recorded.lists {
        roots.roots.inputs.lists.push(list.clone());
        // A list that is given again is read below.
        if !given_lists.contains(list) {
            roots.enter_recorded_list(list);
        }
    }
    for path in &given.paths {
        let failed = |reason| CorpusError::Input { path: path.clone(), reason };
        let path = absolute(path).map_err(failed)?;
        if !roots.add_if_new(&path) {
            continue;
        }
        fs::metadata(&path).map_err(failed)?;
        roots.add_input(path);
    }
    for list in &given.lists {
        roots.enter_given_list(list, recorded)?;
    }
    Ok(roots.roots)
}

struct Collector {
    roots: Roots,
    reached: HashSet<PathBuf>,
    /// The paths that the inputs keep.
    kept: HashSet<PathBuf>,
}

impl Collector {
    /// Keeps a path for later starts; whether it is new. One that is not UTF-8 cannot be written down, and neither can
    /// documents below it be read.
    fn add_if_new(&mut self, path: &Path) -> bool {
        let new = self.kept.insert(path.to_owned());
        if new && path.to_str().is_some() {
            self.roots.inputs.paths.push(path.to_owned());
        }
        new
    }

    fn add_input(&mut self, path: PathBuf) {
        if self.reached.insert(path.clone()) {
            self.roots.paths.push(path);
        }
    }

    fn enter_recorded(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(_) => self.add_input(path.to_owned()),
            Err(error) => tracing::warn!(
                "input {} cannot be found any more: {error}; its planned documents stay in the plan",
                path.display()
            ),
        }
    }

    /// The lines of a list of an earlier start. Its relative ones are among the recorded paths.
    fn enter_recorded_list(&mut self, list: &Path) {
        match fs::read_to_string(list) {
            Ok(text) => {
                for (_, line) in lines(&text).filter(|(_, line)| line.is_absolute()) {
                    self.enter_recorded(line);
                }
            }
            Err(error) => {
                tracing::warn!(
                    "input list {} cannot be found any more: {error}; its planned documents stay in the plan",
                    list.display()
                );
            }
        }
    }

    fn enter_given_list(&mut self, list: &Path, recorded: &Inputs) -> Result<(), CorpusError> {
        let failed = |reason| CorpusError::List { path: list.to_owned(), reason };
        let path = absolute(list).map_err(failed)?;
        let known = !is_standard_input(list) && recorded.lists.contains(&path);
        let text = match is_standard_input(list) {
            true => io::read_to_string(io::stdin()),
            false => fs::read_to_string(list),
        };
        let text = match text {
            Err(_) if known => {
                self.enter_recorded_list(&path);
                return Ok(());
            }
            text => text.map_err(failed)?,
        };
        let lasting = !is_standard_input(list) && path.to_str().is_some() && path.is_file();
        if lasting && !self.roots.inputs.lists.contains(&path) {
            self.roots.inputs.lists.push(path);
        }
        for (number, line) in lines(&text) {
            let failed =
                |reason| CorpusError::ListLine { list: list.to_owned(), line: number, path: line.to_owned(), reason };
            let path = absolute(line).map_err(failed)?;
            let recorded = known || self.kept.contains(&path);
            if !lasting || line.is_relative() {
                self.add_if_new(&path);
            }
            match recorded {
                true => self.enter_recorded(&path),
                false => {
                    fs::metadata(&path).map_err(failed)?;
                    self.add_input(path);
                }
            }
        }
        Ok(())
    }
}

fn is_standard_input(list: &Path) -> bool {
    list.as_os_str() == "-"
}

/// The paths that a list names, with the numbers of their lines, 1-based.
fn lines(text: &str) -> impl Iterator<Item = (usize, &Path)> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| (number + 1, Path::new(line)))
}
