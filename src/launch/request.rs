//! The request to the launcher.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Hosts, LaunchError, Launcher, Policy, command::StartCommand, driver::Driver, mpirun::Mpirun,
    node_commands::NodeCommands, processes::Processes, programs::find_program, run_arguments::RunArguments,
    run_files::RunDirectory, shell_word::shell_line, signals::Signals,
};
use crate::sys::{ExitCode, ProcessLimits, host_name};

/// A request to start a run under mpirun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// Number of ranks, all on this host; 1 if neither this nor a hosts file is given.
    pub ranks: Option<u32>,
    /// Path of the file that names the hosts, one per line.
    pub hosts_file: Option<PathBuf>,
    /// Number of ranks on each host, however often the file names it.
    pub per_host: Option<u32>,
    /// Command that starts a command on a host: `AGENT HOST COMMAND…`.
    pub agent: Option<String>,
    /// Path of the program of the ranks; by default this program.
    pub bocr: Option<PathBuf>,
    /// Path of mpirun, or its name on the `PATH`.
    pub mpirun: PathBuf,
    /// Additional options for mpirun, separated by blanks.
    pub mpirun_options: String,
    /// Number of consecutive attempts without a settled page after which the launcher gives up.
    pub attempts: u32,
    /// Seconds after which all attempts must have ended; by default the deadline of the run.
    pub time: Option<u64>,
    /// Seconds without a change of the status file after which mpirun is ended.
    pub silence: u64,
    /// Seconds from a signal until all processes are killed; `None` if nothing kills them.
    pub kill_delay: Option<u64>,
    /// Orphan grace: seconds that a server stays after its rank was killed.
    pub linger: u64,
    /// Arguments of `bocr run`; or `experiment`, its kind, and its arguments.
    pub run_arguments: Vec<OsString>,
}

/// Everything that the launcher needs, determined before the first attempt.
struct Plan {
    policy: Policy,
    hosts: Hosts,
    here: String,
    command: StartCommand,
    node_commands: NodeCommands,
    run_directory: RunDirectory,
}

/// The command line of the first attempt, quoted for a shell.
///
/// # Errors
/// The request is wrong, or a program is missing.
pub fn preview(request: &LaunchRequest) -> Result<String, LaunchError> {
    let plan = Plan::new(request)?;
    let words = plan.command.words(&plan.hosts, plan.policy.time);
    Ok(shell_line(words.iter().map(OsString::as_os_str)))
}

/// Starts the run, attempt by attempt, until it has ended. Gives its exit code: 0, 3, 75 or 2, as `bocr run`; 75 also
/// if no time, no host or no attempt is left.
///
/// # Errors
/// The request is wrong, or a program is missing.
pub fn launch(request: &LaunchRequest) -> Result<ExitCode, LaunchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LaunchError::Watch)?;
    runtime.block_on(async {
        // From here on a signal asks the run to stop; it no longer ends the launcher.
        let signals = Signals::listen().map_err(LaunchError::Watch)?;
        let plan = Plan::new(request)?;
        if matches!(plan.hosts, Hosts::Listed { .. }) {
            // The check of a host looks for it. A rank reports the error.
            let _ = fs::create_dir_all(&plan.run_directory.0);
        }
        let driver = Driver {
            launcher: Launcher::new(plan.policy, plan.hosts),
            command: plan.command,
            node_commands: plan.node_commands,
            run_directory: plan.run_directory,
            processes: Processes::new(&plan.here),
            signals,
            begin: Instant::now(),
            on_hosts: None,
        };
        driver.run().await
    })
}

impl Plan {
    fn new(request: &LaunchRequest) -> Result<Plan, LaunchError> {
        if request.hosts_file.is_some() && request.ranks.is_some() {
            return Err(LaunchError::RanksWithHosts);
        }
        if request.hosts_file.is_none() && request.per_host.is_some() {
            return Err(LaunchError::PerHostWithoutHosts);
        }
        let arguments = RunArguments::read(&request.run_arguments)?;
        let time = arguments.time(request.time)?;
        let bocr = find_bocr(request.bocr.as_deref())?;
        let mpirun = find_program(&request.mpirun).ok_or(LaunchError::NoMpirun)?;
        let here = host_name();
        let hosts = find_hosts(request, &here)?;
        let (mpirun, way) = Mpirun::inspect(mpirun, request.agent.clone())?;
        let (subcommand, words) = match request.run_arguments.split_at_checked(2) {
            Some((experiment, words)) if experiment[0] == "experiment" => (experiment.to_vec(), words),
            _ => (vec!["run".into()], &request.run_arguments[..]),
        };
        let mut run_arguments = arguments.own_options(request.linger, &ProcessLimits::of_this_process());
        run_arguments.extend(words.iter().cloned());
        let run_directory = RunDirectory(arguments.run_directory);
        let policy = Policy {
            attempts: request.attempts,
            time: time.map(Duration::from_secs),
            silence: Duration::from_secs(request.silence),
            kill_delay: request.kill_delay.map(Duration::from_secs),
            stop_file: run_directory.stop_file(),
        };
        let path = |source| LaunchError::WorkingDirectory { source };
        let node_commands = NodeCommands {
            way,
            bocr: bocr.clone(),
            directory: env::current_dir().map_err(path)?,
            run_directory: std::path::absolute(&run_directory.0).map_err(path)?,
            run_arguments: request.run_arguments.clone(),
        };
        let mpirun_options = request.mpirun_options.split_whitespace().map(str::to_owned).collect();
        let command = StartCommand { mpirun, mpirun_options, bocr, subcommand, run_arguments };
        Ok(Plan { policy, hosts, here, command, node_commands, run_directory })
    }
}

fn find_bocr(named: Option<&Path>) -> Result<PathBuf, LaunchError> {
    let found = match named {
        Some(name) => find_program(name).ok_or(LaunchError::NoBocr)?,
        None => env::current_exe().map_err(LaunchError::BocrPath)?,
    };
    found.canonicalize().map_err(LaunchError::BocrPath)
}

fn find_hosts(request: &LaunchRequest, here: &str) -> Result<Hosts, LaunchError> {
    let Some(path) = &request.hosts_file else {
        return Ok(Hosts::Here { name: here.to_owned(), ranks: request.ranks.unwrap_or(1) });
    };
    let failed = |source| LaunchError::HostsFile { path: path.clone(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    Hosts::of_file(&text, here, request.per_host).ok_or_else(|| LaunchError::NoHost(path.clone()))
}
