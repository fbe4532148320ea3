//! `bocr launch`: runs `bocr run` under mpirun until the run has ended.

use std::{ffi::OsString, path::PathBuf};

use crate::{
    launch::{self, LaunchRequest},
    sys::{ExitCode, write_stderr, write_stdout},
};

/// The end of the help text.
const AFTER_HELP: &str = "\
The run has ended when RUNDIR/finished.json says so. The ARGUMENTs must name the run directory (--output RUNDIR).
SIGTERM or SIGINT ask the run for an orderly end, a second one kills it. The exit code is that of the run: 0 every page
read, 3 some failed, 75 stopped early (also: no time, no host or no attempt left), 2 wrong usage or configuration.";

/// Start `bocr run ARGUMENT…` under mpirun, and again without lost hosts, until the run has ended
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Ranks, all on this host [default: 1]
    #[arg(long, value_name = "N", value_parser = count::<u32>, overrides_with = "ranks")]
    ranks: Option<u32>,
    /// Hosts, one a line; a host given twice gets two ranks, as in $PBS_NODEFILE
    #[arg(long, value_name = "FILE", overrides_with = "hosts")]
    hosts: Option<PathBuf>,
    /// Ranks on each of the hosts, however often FILE names them
    #[arg(long, value_name = "N", value_parser = count::<u32>, overrides_with = "per_host")]
    per_host: Option<u32>,
    /// Command that starts another command on a host: CMD HOST COMMAND… [default: PBS where mpirun knows it, else ssh]
    #[arg(long, value_name = "CMD", allow_hyphen_values = true, overrides_with = "agent")]
    agent: Option<String>,
    /// Program of the ranks [default: this one]
    #[arg(long, value_name = "PATH", overrides_with = "bocr")]
    bocr: Option<PathBuf>,
    /// mpirun of Open MPI or MPICH, by its path or its name on the PATH
    #[arg(long, value_name = "PATH", default_value = "mpirun", overrides_with = "mpirun")]
    mpirun: PathBuf,
    /// More options for mpirun
    #[arg(
        long,
        value_name = "\"…\"",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        overrides_with = "mpirun_options"
    )]
    mpirun_options: String,
    /// Starts in a row without any page settled, after which it gives up
    #[arg(long, value_name = "N", default_value = "5", value_parser = count::<u32>, overrides_with = "attempts")]
    attempts: u32,
    /// Seconds after which all starts together must have ended [default: --deadline of the ARGUMENTs, else none]
    #[arg(long, value_name = "SECONDS", value_parser = count::<u64>, overrides_with = "time")]
    time: Option<u64>,
    /// Seconds without a change of RUNDIR/status.json, after which mpirun is ended
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = count::<u64>, overrides_with = "silence")]
    silence: u64,
    /// Seconds from a signal to the launcher until all processes are killed: the run ends before that [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = count::<u64>, overrides_with = "kill_delay")]
    kill_delay: Option<u64>,
    /// Seconds for which servers outlive a killed rank, so that the next start can take them over
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = count::<u64>, overrides_with = "linger")]
    linger: u64,
    /// Print the command line of the first start, and start nothing
    #[arg(long, overrides_with = "dry_run")]
    dry_run: bool,
    /// Arguments of `bocr run`; or `experiment scaling` and its arguments
    #[arg(last = true, value_name = "ARGUMENT")]
    run_arguments: Vec<OsString>,
}

/// Runs the subcommand. The exit code is that of the run; 2 for wrong usage.
///
/// # Errors
/// None: errors are printed, and the exit code shows them.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let request = LaunchRequest {
        ranks: arguments.ranks,
        hosts_file: arguments.hosts.clone(),
        per_host: arguments.per_host,
        agent: arguments.agent.clone().filter(|agent| !agent.is_empty()),
        bocr: arguments.bocr.clone(),
        mpirun: arguments.mpirun.clone(),
        mpirun_options: arguments.mpirun_options.clone(),
        attempts: arguments.attempts,
        time: arguments.time,
        silence: arguments.silence,
        kill_delay: arguments.kill_delay,
        linger: arguments.linger,
        run_arguments: arguments.run_arguments.clone(),
    };
    let done = if arguments.dry_run {
        launch::preview(&request).map(|line| {
            // An error is ignored: the line is for the reader only.
            let _ = write_stdout(&format!("{line}\n"));
            ExitCode::Success
        })
    } else {
        launch::launch(&request)
    };
    Ok(done.unwrap_or_else(|error| {
        let code = error.exit_code();
        write_stderr(&format!("launch: {:#}\n", anyhow::Error::from(error)));
        code
    }))
}

/// Parses a number from 1, in plain digits.
fn count<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or_else(|| format!("needs a whole number from 1, not `{text}`"))
}
