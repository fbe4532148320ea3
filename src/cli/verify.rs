//! `bocr verify`: recomputes the page ledger from the files.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;

use crate::{corpus, store};

/// Recomputes the page ledger from the files.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The run directory
    run_directory: PathBuf,
}

/// Runs the subcommand: 0 when all is well, 1 with every problem on standard error otherwise.
///
/// # Errors
/// The plan or the directory cannot be read at all.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = &arguments.run_directory;
    let cannot = || format!("cannot verify {}", directory.display());
    let plan = corpus::read(directory).with_context(cannot)?;
    let plan = plan.with_context(|| format!("{} is no run directory: it has no plan", directory.display()))?;
    let report = store::verify(directory, &plan.documents).with_context(cannot)?;
    println!("{report}");
    for problem in &report.problems {
        eprintln!("bocr: {problem}");
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
