//! `bocr verify`: recomputes the page ledger from the files.

use std::process::ExitCode;

/// Recomputes the page ledger from the files.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the subcommand.
///
/// # Errors
/// Not built yet.
pub fn run(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
