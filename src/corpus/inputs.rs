//! The inputs of a run as the user gives them: files, folders and lists of both.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf, absolute},
};

use serde::{Deserialize, Serialize};

use super::CorpusError;

/// The inputs that the user gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Files and folders. A folder and all folders in it are searched for names that end in `.pdf`, in upper or lower
    /// case; hidden ones are left out. A file may have any name.
    pub paths: Vec<PathBuf>,
    /// Text files that name further files and folders, one on each line, relative to the current directory. Lines that
    /// begin with `#` and empty lines are ignored; `-` is standard input.
    pub lists: Vec<PathBuf>,
}

/// The resolved inputs.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Files and folders that exist, absolute, each once.
    pub(super) paths: Vec<PathBuf>,
    /// The inputs in a form that a later start can use in any directory. All paths are absolute. Lines that a later
    /// start could not read again in the same way (of standard input, of a pipe, relative ones) are kept as paths.
    pub(super) inputs: Inputs,
}

/// Resolves the `recorded` inputs of an earlier start and the inputs `given` to this start.
///
/// # Errors
/// A given input does not exist or cannot be read. A recorded input that no longer exists is only a warning.
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
        // A list that is given to this start too is read below.
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
    /// The paths that were recorded for later starts.
    kept: HashSet<PathBuf>,
}

impl Collector {
    /// Records a path for later starts and returns whether it is new. A path that is not UTF-8 is not recorded, because
    /// the plan cannot contain it; the documents below it cannot be read either.
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
                "input {} can no longer be found: {error}; its planned documents stay in the plan",
                path.display()
            ),
        }
    }

    /// Adds the lines of a list of an earlier start. Relative lines are skipped: they are among the recorded paths.
    fn enter_recorded_list(&mut self, list: &Path) {
        match fs::read_to_string(list) {
            Ok(text) => {
                for (_, line) in lines(&text).filter(|(_, line)| line.is_absolute()) {
                    self.enter_recorded(line);
                }
            }
            Err(error) => {
                tracing::warn!(
                    "input list {} can no longer be read: {error}; its planned documents stay in the plan",
                    list.display()
                );
            }
        }
    }

    fn enter_given_list(&mut self, list: &Path, recorded: &Inputs) -> Result<(), CorpusError> {
        let failed = |reason| CorpusError::List { path: list.to_owned(), reason };
        let path = absolute(list).map_err(failed)?;
        let known = !is_standard_input(list) && recorded.lists.contains(&path);
        let text = if is_standard_input(list) { io::read_to_string(io::stdin()) } else { fs::read_to_string(list) };
        let text = match text {
            Err(_) if known => {
                self.enter_recorded_list(&path);
                return Ok(());
            }
            text => text.map_err(failed)?,
        };
        // A later start cannot read standard input or a pipe again, so their lines are recorded as paths.
        let can_be_read_again = !is_standard_input(list) && path.to_str().is_some() && path.is_file();
        if can_be_read_again && !self.roots.inputs.lists.contains(&path) {
            self.roots.inputs.lists.push(path);
        }
        for (number, line) in lines(&text) {
            let failed =
                |reason| CorpusError::ListLine { list: list.to_owned(), line: number, path: line.to_owned(), reason };
            let path = absolute(line).map_err(failed)?;
            let recorded = known || self.kept.contains(&path);
            if !can_be_read_again || line.is_relative() {
                self.add_if_new(&path);
            }
            if recorded {
                self.enter_recorded(&path);
            } else {
                fs::metadata(&path).map_err(failed)?;
                self.add_input(path);
            }
        }
        Ok(())
    }
}

fn is_standard_input(list: &Path) -> bool {
    list.as_os_str() == "-"
}

/// The paths in a list, each with the number of its line, 1-based.
fn lines(text: &str) -> impl Iterator<Item = (usize, &Path)> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| (number + 1, Path::new(line)))
}
