//! `bocr guard`: watches over a server process (started by a rank).

use std::process::ExitCode;

/// Watches over a server process (started by a rank).
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the subcommand.
///
/// # Errors
/// Not built yet.
pub fn run(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
