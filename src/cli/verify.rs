//! `bocr verify`: counts every page of a run directory again, from its files.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use crate::{
    corpus::{self, Plan},
    run::RunLock,
    store,
    sys::{ExitCode, write_stderr, write_stdout},
};

/// Counts every page of a run directory again from its files, and checks them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The run directory
    run_directory: PathBuf,
    /// First delete interrupted files, seal unfinished journals and write the catalogue again (no run may use the
    /// directory)
    #[arg(long)]
    repair: bool,
}

/// Runs the subcommand. The exit code is 0 when all is well; otherwise 1, with every problem on standard error.
///
/// # Errors
/// The plan or the directory cannot be read at all, or cannot be repaired.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = &arguments.run_directory;
    let cannot = || format!("cannot verify {}", directory.display());
    let plan = corpus::read(directory).with_context(cannot)?;
    let plan = plan.with_context(|| format!("{} is no run directory: it has no plan", directory.display()))?;
    if arguments.repair {
        repair(directory, &plan)?;
    }
    let report = store::verify(directory, &plan.documents, &plan.run_id).with_context(cannot)?;
    write_stdout(&format!("{report}\n"))?;
    for problem in &report.problems {
        write_stderr(&format!("bocr: {problem}\n"));
    }
    Ok(if report.is_good() { ExitCode::Success } else { ExitCode::Failure })
}

/// Repairs the run directory and prints what was done.
fn repair(directory: &Path, plan: &Plan) -> anyhow::Result<()> {
    let _lock = RunLock::take(directory, Duration::ZERO)?;
    let repaired = store::repair(directory, &plan.documents, &plan.run_id)
        .with_context(|| format!("cannot repair {}", directory.display()))?;
    write_stdout(&format!(
        "deleted {} interrupted files, sealed {} journals, wrote the catalogue again\n",
        repaired.deleted,
        repaired.sealed.len()
    ))?;
    Ok(())
}
