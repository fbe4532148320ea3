//! Documents with a given number of pages.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use oorandom::Rand64;

use super::{error::ExperimentError, order::shuffled};
use crate::{
    corpus::{Candidate, Inputs, discover},
    report::{RunPhase, StatusFile},
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

/// Documents with at least `pages` pages together. Those of the input come first, in its order. If they have too few
/// pages, copies of them go into the folder of the experiment. Each copy has its own comment at its end: documents of
/// the same bytes would be read once.
///
/// # Errors
/// The input has no page, or copies cannot be written.
pub(super) fn first_pages(request: &RunRequest, pages: u32) -> Result<Vec<Counted>, ExperimentError> {
    let copies = request.home.join("copies");
    let mut found = count(request, discover(&request.inputs)?, pages)?;
    let mut total: u32 = found.iter().map(|document| document.pages).sum();
    let originals = found.clone();
    for turn in 1.. {
        for (place, original) in originals.iter().enumerate() {
            if total >= pages {
                return Ok(found);
            }
            total += original.pages;
            found.push(Counted { path: copy(original, &copies, place, turn)?, pages: original.pages });
        }
    }
    Ok(found)
}

/// Documents of the input with at least `pages` pages together, drawn at random; all of them if they have fewer.
///
/// # Errors
/// The input has no page.
pub(super) fn sampled_pages(
    request: &RunRequest,
    pages: u32,
    random: &mut Rand64,
) -> Result<Vec<Counted>, ExperimentError> {
    count(request, shuffled(&discover(&request.inputs)?, random), pages)
}

/// The first documents that have at least `pages` pages together, with their numbers of pages. Documents that cannot be
/// read are left out.
fn count(request: &RunRequest, documents: Vec<Candidate>, pages: u32) -> Result<Vec<Counted>, ExperimentError> {
    let home = &request.home;
    // The launcher takes a status that stands still for a sign of a run that hangs.
    let status = StatusFile::new(home).map_err(|source| ExperimentError::file(home, source))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|source| ExperimentError::file(home, source))?;
    let pool = runtime.block_on(renderer_pool(&request.program, &request.configuration, 1))?;
    let mut found = Vec::new();
    let mut total = 0;
    for Candidate { path, name, problem } in documents {
        status.write(RunPhase::Preparing, None);
        if total >= pages {
            break;
        }
        if problem.is_some() {
            continue;
        }
        let inspected = runtime.block_on(pool.inspect(&path, request.configuration.password_for(&name)));
        let Some(number) = inspected.ok().map(|inspected| inspected.pages).filter(|number| *number > 0) else {
            continue;
        };
        total += number;
        found.push(Counted { path, pages: number });
    }
    if found.is_empty() { Err(ExperimentError::NoPages) } else { Ok(found) }
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
    write().map_err(|source| ExperimentError::file(&path, source))?;
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
