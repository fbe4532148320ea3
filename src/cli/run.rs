//! `bocr run`: the main job.

use std::process::ExitCode;

/// The main job.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the subcommand.
///
/// # Errors
/// Not built yet.
pub fn run(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
