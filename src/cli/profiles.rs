//! `bocr profiles`: shows the engine profiles.

use std::process::ExitCode;

/// Shows the engine profiles.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the subcommand.
///
/// # Errors
/// Not built yet.
pub fn run(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
