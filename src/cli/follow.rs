//! `bocr follow`: shows the jobs of a run on a login node.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{pbs, sys::ExitCode};

/// Time between two queries of PBS.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// Show the state of the jobs of a run, until the last has ended
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The run directory
    run_directory: PathBuf,
    /// Seconds between two queries of PBS [default: 10]
    #[arg(long, value_name = "SECONDS")]
    every: Option<NonZeroU64>,
}

/// Runs the subcommand: the exit code is that of the run.
///
/// # Errors
/// The jobs cannot be followed.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    show(&arguments.run_directory, arguments.every.map_or(EVERY, |seconds| Duration::from_secs(seconds.get())))
}

/// Follows a run's jobs.
pub(super) fn show(run_directory: &Path, every: Duration) -> anyhow::Result<ExitCode> {
    Ok(pbs::follow(run_directory, every)?)
}
