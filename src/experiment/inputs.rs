//! Documents with a given number of pages.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::error::ExperimentError;
use crate::{
    corpus::{Candidate, Inputs, discover},
    run::RunRequest,
    sys::replace,
    worker::renderer_pool,
};

/// A document and its number of pages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    pub(super) path: PathBuf,
    pub(super) pages: u32,
}

/// Documents with at least `pages` pages together. Those of the input come first. If they have too few pages, copies
/// of them go into the folder `copies`. Each copy has its own comment at its end: documents of the same bytes would be
/// read once. Calls `progress` for each document.
///
/// # Errors
/// The input has no page, or copies cannot be written.
pub(super) fn gather(
    request: &RunRequest,
    copies: &Path,
    pages: u32,
    mut progress: impl FnMut(),
) -> Result<Vec<Counted>, ExperimentError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|source| ExperimentError::File { path: copies.to_owned(), source })?;
    let pool = runtime.block_on(renderer_pool(&request.program, &request.configuration, 1))?;
    let mut found = Vec::new();
    let mut total = 0;
    for Candidate { path, name, problem } in discover(&request.inputs)? {
        progress();
        if total >= pages {
            return Ok(found);
        }
        if problem.is_some() {
            continue;
        }
        let inspected = runtime.block_on(pool.inspect(&path, request.configuration.password_for(&name)));
        // The run says why a document cannot be read.
        let Some(number) = inspected.ok().map(|inspected| inspected.pages).filter(|number| *number > 0) else {
            continue;
        };
        total += number;
        found.push(Counted { path, pages: number });
    }
    let originals = found.clone();
    if originals.is_empty() {
        return Err(ExperimentError::NoPages);
    }
    for turn in 1.. {
        for (place, original) in originals.iter().enumerate() {
            progress();
            if total >= pages {
                return Ok(found);
            }
            total += original.pages;
            found.push(Counted { path: copy(original, copies, place, turn)?, pages: original.pages });
        }
    }
    Ok(found)
}

fn copy(original: &Counted, copies: &Path, place: usize, turn: u32) -> Result<PathBuf, ExperimentError> {
    let stem = original.path.file_stem().unwrap_or_default().to_string_lossy();
    let path = copies.join(format!("{stem}_{place}_{turn:04}.pdf"));
    let write = || -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(copies)?;
        let mut bytes = fs::read(&original.path)?;
        write!(bytes, "\n% copy {turn}\n")?;
        replace(&path, &bytes)
    };
    write().map_err(|source| ExperimentError::File { path: path.clone(), source })?;
    Ok(path)
}

/// The fewest first documents that have at least `pages` pages.
pub(super) fn first(documents: &[Counted], pages: u32) -> Inputs {
    let mut total = 0;
    let is_wanted = |document: &&Counted| {
        let is_wanted = total < pages;
        total += document.pages;
        is_wanted
    };
    let paths = documents.iter().take_while(is_wanted).map(|document| document.path.clone()).collect();
    Inputs { paths, lists: Vec::new() }
}
