//! `bocr report`: results of experiments, side by side.

use std::path::PathBuf;

use crate::{
    experiment::side_by_side,
    sys::{ExitCode, write_stderr, write_stdout},
};

/// Show results of experiments side by side, as Markdown
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder of an experiment, or its results.jsonl; the others are compared with the first
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// The output cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match side_by_side(&arguments.experiments) {
        Ok(page) => {
            write_stdout(&page)?;
            Ok(ExitCode::Success)
        }
        Err(error) => {
            write_stderr(&format!("bocr: {:#}\n", anyhow::Error::from(error)));
            Ok(ExitCode::WrongUsage)
        }
    }
}
