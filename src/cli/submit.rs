//! `bocr submit`: submits `bocr run` as a PBS job.

use std::{num::NonZeroU32, path::PathBuf};

use crate::{
    pbs::{self, After, JobId, Overrides, SubmitRequest, Submitted, Walltime},
    sys::{ExitCode, write_stderr, write_stdout},
};

use super::follow;

/// Submit a job file to PBS
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The job file (TOML): its table [job] says what the job asks for, the rest is the configuration of `bocr run`
    job_file: PathBuf,
    /// Print the script, and submit nothing
    #[arg(long)]
    dry_run: bool,
    /// Then follow the job, as `bocr follow` does; the exit code is that of the run
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
    /// Start after the jobs of this run have ended, instead of refusing; with ID, also after that job
    #[arg(long, value_name = "ID", num_args = 0..=1, require_equals = true)]
    after: Option<Option<JobId>>,
    /// Submit although the run has finished: for added inputs, or for --retry and --redo in `arguments`
    #[arg(long)]
    again: bool,
    /// Number of nodes, instead of that in the job file
    #[arg(long, value_name = "N")]
    nodes: Option<NonZeroU32>,
    /// Walltime, instead of that in the job file
    #[arg(long, value_name = "HH:MM:SS")]
    walltime: Option<Walltime>,
    /// Most successors of the job while pages are left, instead of the number in the job file
    #[arg(long, value_name = "N")]
    chain: Option<u32>,
}

/// Runs the subcommand. The exit code is 0 when the job is submitted or the run has finished, that of the run when it
/// is followed, and 2 for wrong usage or a wrong job file.
///
/// # Errors
/// None: errors are printed, and the exit code shows them.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let request = SubmitRequest {
        job_file: arguments.job_file.clone(),
        overrides: Overrides { nodes: arguments.nodes, walltime: arguments.walltime, chain: arguments.chain },
        after: arguments.after.clone().map(|id| id.map_or(After::OfRun, After::Job)),
        again: arguments.again,
    };
    let done = if arguments.dry_run {
        pbs::preview(&request).map(|script| {
            say(&script);
            None
        })
    } else {
        pbs::submit(&request).map(Some)
    };
    match done {
        Err(error) => {
            let code = error.exit_code();
            write_stderr(&format!("bocr: {:#}\n", anyhow::Error::from(error)));
            Ok(code)
        }
        Ok(None) => Ok(ExitCode::Success),
        Ok(Some(submitted)) => {
            say(&format!("{submitted}\n"));
            match submitted {
                Submitted::Job { run, .. } if arguments.follow => follow::show(&run, follow::EVERY),
                Submitted::Finished { exit_code, .. } if arguments.follow => Ok(exit_code),
                _ => Ok(ExitCode::Success),
            }
        }
    }
}

/// Prints the text. An error is ignored: the job is in the queue.
fn say(text: &str) {
    let _ = write_stdout(text);
}
