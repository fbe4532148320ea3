//! Errors before the first attempt.

use std::{io, path::PathBuf};

use crate::sys::ExitCode;

/// The launcher cannot start.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The arguments of the run do not name the run directory.
    #[error("the arguments of bocr run must name the run directory: -- … --output RUNDIR")]
    NoRunDirectory,
    /// The deadline is not a number of seconds.
    #[error("--deadline needs a whole number from 1, not `{0}`")]
    Deadline(String),
    /// The arguments of the run have a walltime other than `auto`.
    #[error("use --time SECONDS instead of --walltime: each start would count a walltime from its own beginning")]
    Walltime,
    /// Two time limits were given.
    #[error("use either --time or --walltime auto, not both")]
    TimeAndWalltime,
    /// Both a number of ranks and hosts were given.
    #[error("--ranks applies to this host only: with --hosts say --per-host")]
    RanksWithHosts,
    /// A number of ranks per host was given without hosts.
    #[error("--per-host needs --hosts")]
    PerHostWithoutHosts,
    /// The hosts file cannot be read.
    #[error("cannot read the hosts file {}: check its path and permissions", path.display())]
    HostsFile { path: PathBuf, source: io::Error },
    /// The hosts file names no host.
    #[error("no host in {}: write one host name per line", .0.display())]
    NoHost(PathBuf),
    /// The program of the ranks was not found.
    #[error("there is no bocr: build it with `cargo build --release`, or name it with --bocr")]
    NoBocr,
    /// The path of this program, or of the program of the ranks, cannot be determined.
    #[error("cannot determine the path of bocr: name it with --bocr")]
    BocrPath(#[source] io::Error),
    /// mpirun was not found.
    #[error("there is no mpirun: load the module of the site's MPI, or name it with --mpirun")]
    NoMpirun,
    /// mpirun belongs to an unknown family.
    #[error(
        "{} is neither of Open MPI nor of MPICH (its version output: {said}): name another one with --mpirun",
        program.display()
    )]
    UnknownMpirun { program: PathBuf, said: String },
    /// The working directory cannot be determined.
    #[error("cannot determine the working directory: start the launcher in a folder that exists")]
    WorkingDirectory { source: io::Error },
    /// The system refuses signal handlers or process monitoring.
    #[error("cannot watch signals and processes")]
    Watch(#[source] io::Error),
}

impl LaunchError {
    /// The exit code: 2 for wrong usage, 1 if the system refuses.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            LaunchError::Watch(_) | LaunchError::BocrPath(_) => ExitCode::Failure,
            _ => ExitCode::WrongUsage,
        }
    }
}
