//! `bocr export`: writes Markdown, HTML and JSONL.

use std::process::ExitCode;

/// Writes Markdown, HTML and JSONL.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the subcommand.
///
/// # Errors
/// Not built yet.
pub fn run(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
