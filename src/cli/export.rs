//! `bocr export`: writes Markdown, HTML and JSONL.

use std::{num::NonZeroUsize, path::PathBuf, thread};

use anyhow::Context;

use crate::{
    engine,
    store::{self, ExportFormat, ExportOptions, Layout},
    sys::{ExitCode, write_stdout},
};

/// Writes Markdown, HTML and JSONL.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The run directory
    run_directory: PathBuf,
    /// Formats to write, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "md,html,jsonl")]
    format: Vec<ExportFormat>,
    /// Folder to write to [default: RUN_DIRECTORY/export]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Threads that format documents [default: one for each core]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Keep running heads and feet in Markdown and HTML (JSONL always has them)
    #[arg(long)]
    headers: bool,
    /// Show the partial text of failed pages in Markdown and HTML (JSONL always has it)
    #[arg(long)]
    partial: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// The run directory cannot be read or the output cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let output = arguments.output.clone().unwrap_or_else(|| Layout::new(&arguments.run_directory).export());
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = ExportOptions {
        formats: arguments.format.clone(),
        output,
        headers: arguments.headers,
        partial: arguments.partial,
        threads: arguments.threads.unwrap_or_else(cores),
        markdown: engine::block_to_markdown,
    };
    let summary = store::export(&arguments.run_directory, &options)
        .with_context(|| format!("cannot export {}", arguments.run_directory.display()))?;
    let (pages, documents) = (summary.pages, summary.documents);
    write_stdout(&format!("{pages} pages of {documents} documents in {}\n", options.output.display()))?;
    Ok(ExitCode::Success)
}
