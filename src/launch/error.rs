//! Why there was no start.

use std::{io, path::PathBuf};

use crate::sys::ExitCode;

/// The launcher cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The run directory is not among the arguments of the run.
    #[error("the arguments of bocr run must name the run directory: -- … --output RUNDIR")]
    NoRunDirectory,
    /// A deadline that is no number of seconds.
    #[error("--deadline needs a whole number from 1, not `{0}`")]
    Deadline(String),
    /// A walltime other than `auto` in the arguments of the run.
    #[error("say --time SECONDS instead of --walltime: each start would count it anew")]
    Walltime,
    /// Two limits.
    #[error("say either --time or --walltime auto")]
    TimeAndWalltime,
    /// Both a number of ranks and hosts.
    #[error("--ranks is for this host alone: with --hosts say --per-host")]
    RanksWithHosts,
    /// Ranks a host, without hosts.
    #[error("--per-host needs --hosts")]
    PerHostWithoutHosts,
    /// The hosts file cannot be read.
    #[error("cannot read the hosts file {}", path.display())]
    HostsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The hosts file is empty.
    #[error("no host in {}", .0.display())]
    NoHost(PathBuf),
    /// The program of the ranks is not there.
    #[error("there is no bocr: build it with `cargo build --release`, or name it with --bocr")]
    NoBocr,
    /// The path of this program, or of that of the ranks, cannot be found out.
    #[error("cannot find the path of bocr")]
    BocrPath(#[source] io::Error),
    /// mpirun is not there.
    #[error("there is no mpirun: load the module of the site's MPI, or name it with --mpirun")]
    NoMpirun,
    /// An mpirun of another family.
    #[error("{} is neither of Open MPI nor of MPICH: {said}", program.display())]
    UnknownMpirun {
        /// The program.
        program: PathBuf,
        /// What it said of its version, or why it did not.
        said: String,
    },
    /// The system refuses what the launcher needs to watch mpirun.
    #[error("cannot watch signals and processes")]
    Watch(#[source] io::Error),
}

impl LaunchError {
    /// The exit code: 2 for wrong usage, 1 where the system refuses.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            LaunchError::Watch(_) | LaunchError::BocrPath(_) => ExitCode::Failure,
            _ => ExitCode::WrongUsage,
        }
    }
}
