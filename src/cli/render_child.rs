//! `bocr render-child`: a renderer child process, started by a rank.

use std::path::PathBuf;

use crate::{imaging, sys::ExitCode};

/// A renderer child process (started by a rank).
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Path of libpdfium.so
    #[arg(long)]
    pdfium: PathBuf,
    /// Limit of the process's address space, bytes
    #[arg(long)]
    memory: u64,
}

/// Runs the subcommand.
///
/// # Errors
/// The memory limit is refused, or the rank no longer listens.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    imaging::serve_child(&arguments.pdfium, arguments.memory)?;
    Ok(ExitCode::Success)
}
