//! `bocr node`: what the launcher asks of a node.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::run::node_needs;
use crate::{
    launch::{HostFault, check_node, kill_marked},
    model::error::chain,
    server::end_orphans,
    sys::{ExitCode, host_name, remove_dead_segments, write_stderr},
};

/// Check a node before a run, and clean it up after one (for scripts/launch and scripts/pbs-job)
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check whether this node has what a rank needs; the exit code names what it lacks
    Check {
        /// Version and build of the launcher
        #[arg(long)]
        program_version: String,
        /// Directory in which the ranks start
        #[arg(long)]
        directory: PathBuf,
        /// Arguments of `bocr run`, or of an experiment
        #[arg(last = true, value_name = "ARGUMENT")]
        run_arguments: Vec<OsString>,
    },
    /// End what killed ranks have left on this node: processes, servers, shared memory
    CleanUp {
        /// Mark of the launcher that started the ranks: those that still run are killed
        #[arg(long)]
        mark: Option<String>,
        /// Run directory whose servers are ended, unless a rank serves them
        #[arg(long, value_name = "RUNDIR")]
        run: Option<PathBuf>,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// Something cannot be ended or removed.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Check { program_version, directory, run_arguments } => {
            // Without it the node starts ranks in the home folder, as mpirun does; relative paths are missing then.
            let _ = env::set_current_dir(directory);
            let words: Vec<&OsStr> = run_arguments.iter().map(OsString::as_os_str).collect();
            let lack = match node_needs(program_version.clone(), &words) {
                Err(error) => Some((HostFault::Configuration, error)),
                Ok(needs) => check_node(&needs).err().map(|lack| (lack.fault(), chain(&lack))),
            };
            let Some((fault, reason)) = lack else { return Ok(ExitCode::Success) };
            write_stderr(&format!("bocr: {} cannot run ranks: {reason}\n", host_name()));
            Ok(ExitCode::from(fault.exit_code()))
        }
        Command::CleanUp { mark, run } => {
            if let Some(mark) = mark {
                kill_marked(mark)?;
            }
            if let Some(run) = run.as_ref().filter(|run| run.exists()) {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(end_orphans(run))?;
            }
            remove_dead_segments()?;
            Ok(ExitCode::Success)
        }
    }
}
