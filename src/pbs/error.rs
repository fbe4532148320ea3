//! Errors of writing, submitting and following a job.

use std::{io, path::PathBuf};

use crate::{model::configuration::ConfigurationError, run::PreparationError, sys::ExitCode};

use super::{JobId, quote::ControlCharacter};
/// A job file that cannot be used.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// The job file cannot be read.
    #[error("cannot read the job file {}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A key or a value is wrong by itself.
    #[error("in {}", .path.display())]
    Toml { path: PathBuf, source: Box<ConfigurationError> },
    /// The file has no table `[job]`: it is a configuration for `bocr run` alone.
    #[error(
        "{} has no table [job], which sets what the PBS job asks for: see pbs/job.toml for an example",
        .0.display()
    )]
    NoJob(PathBuf),
    /// A value does not fit the others.
    #[error("{}: [job] {key}: {remedy}", .path.display())]
    Value { path: PathBuf, key: &'static str, remedy: String },
    /// A path on which the job would fail.
    #[error("{}: {key}: {problem}", .path.display())]
    Configured { path: PathBuf, key: String, problem: String },
    /// The file is the copy that an earlier submit made.
    #[error(
        "{} is the copy that an earlier `bocr submit` wrote: submit the original file, which job.pbs names",
        .0.display()
    )]
    Copy(PathBuf),
}

/// A script that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A word has a control character.
    #[error(transparent)]
    ControlCharacter(#[from] ControlCharacter),
    /// A path is not text.
    #[error("the name {} is not valid UTF-8: rename it", .0.display())]
    NoText(PathBuf),
    /// The path of the run directory does not fit into a `#PBS` line; PBS writes the job's output there.
    #[error(
        "the path of the run directory {} cannot be written into a #PBS line: use only letters a to z, digits and \
         _ . , @ % + = / -, or a symbolic link with such a path", .0.display()
    )]
    RunDirectory(PathBuf),
    /// The project's `scripts/pbs-job` is not found above the program.
    #[error(
        "there is no scripts/pbs-job in a folder above {}: set BOCR_HOME to the project's folder", .0.display()
    )]
    NoScripts(PathBuf),
    /// The project's `scripts/pbs-job` is not in `BOCR_HOME`.
    #[error("BOCR_HOME is {}, which has no scripts/pbs-job: set it to the project's folder", .0.display())]
    NoScriptsAtHome(PathBuf),
    /// The program's own path is unknown.
    #[error("cannot find the path of this program: set `bocr` in the job file")]
    NoProgram(#[source] io::Error),
}

/// A command of PBS failed.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum PbsError {
    /// The command is not on the `PATH`.
    #[error("there is no {0} on the PATH: run this on a node where PBS is installed")]
    NoCommand(&'static str),
    /// The command could not be run, or did not answer in time.
    #[error("cannot run {command}")]
    Run { command: &'static str, source: io::Error },
    /// The command refused the request.
    #[error("{command} refused: {said}")]
    Refused { command: &'static str, said: String },
    /// The command's answer is not understood.
    #[error("{command} gave an answer that cannot be read: {said}")]
    Answer { command: &'static str, said: String },
}

/// The list of a run's jobs cannot be used.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum JobListError {
    /// The list cannot be read or written.
    #[error("cannot read or write {}", .path.display())]
    File { path: PathBuf, source: io::Error },
    /// A line is not in the form in which jobs are written.
    #[error("line {line} of {} is not `ID, tab, time, tab, origin`: correct or remove it", .path.display())]
    Line { path: PathBuf, line: usize },
    /// Another submit, or a job, has the lock on the list.
    #[error(
        "another `bocr submit`, or a job of this run, holds the lock on {}: try again in a minute", .0.display()
    )]
    Locked(PathBuf),
}

/// Why a job was not submitted.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The job file cannot be used.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// The script cannot be written.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// An input cannot be read.
    #[error(
        "cannot read the input {}: correct `input` and `list` in the job file, or put the input there",
        .path.display()
    )]
    Input { path: PathBuf, source: io::Error },
    /// The run directory cannot be read or written.
    #[error("cannot read or write {}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The list of jobs cannot be used.
    #[error(transparent)]
    List(#[from] JobListError),
    /// A job of the run is queued or running.
    #[error(
        "job {job} of this run is {state}: `bocr follow {}` shows it, --after submits one that begins when it has \
         ended, `qdel {job}` ends it", .run.display()
    )]
    Busy { job: JobId, state: &'static str, run: PathBuf },
    /// The job file would change a configuration that another job still reads.
    #[error(
        "job {job} of this run still uses {}, and this job file would change it: keep the run's settings, or wait \
         until the job has ended", .configuration.display()
    )]
    InUse { job: JobId, configuration: PathBuf },
    /// There is no job to wait for.
    #[error("no job of this run has been submitted yet: leave out --after, or give --after=ID")]
    NothingBefore,
    /// The state of an earlier job is unknown.
    #[error("cannot ask PBS whether job {job} is queued or running: submit from a node where PBS answers")]
    Unknown { job: JobId, source: PbsError },
    /// There is no qsub here, or it cannot be run. The files are written.
    #[error(
        "the job is not submitted, but its files are written: `qsub {}` on a login node submits it",
        .script.display()
    )]
    NotSubmitted { script: PathBuf, source: PbsError },
    /// qsub refused the job.
    #[error("the job is not submitted: correct the job file by what qsub says, then submit it again")]
    Refused(#[source] PbsError),
    /// The run would refuse these settings.
    #[error("the run would refuse this job's settings")]
    Settings(#[source] Box<PreparationError>),
    /// The run would refuse these arguments.
    #[error("{}: [job] arguments: {problem}", .path.display())]
    Arguments { path: PathBuf, problem: String },
    /// qsub took the job and did not print its id.
    #[error(
        "the job is submitted, but qsub printed no job id ({said}): do not submit it again; `qstat` shows the job, and \
         `bocr follow` shows it once it has started"
    )]
    Unnamed { said: String },
    /// The job is submitted, but its id is not in the list of jobs.
    #[error("job {job} is submitted, but could not be written into jobs.tsv")]
    NotNoted { job: JobId, source: JobListError },
}

impl SubmitError {
    /// The exit code: 2 for an error in the command or the job file, which the user must correct; 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            SubmitError::JobFile(_)
            | SubmitError::Script(_)
            | SubmitError::Input { .. }
            | SubmitError::Settings(_)
            | SubmitError::Arguments { .. }
            | SubmitError::NothingBefore => ExitCode::WrongUsage,
            _ => ExitCode::Failure,
        }
    }
}

/// Why a job cannot be followed.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The list of jobs cannot be used.
    #[error(transparent)]
    List(#[from] JobListError),
    /// No job of the run is known.
    #[error("no job of {} is known: submit one with `bocr submit`", .0.display())]
    NoJob(PathBuf),
    /// PBS cannot be asked about the job.
    #[error("cannot follow job {job}")]
    Pbs { job: JobId, source: PbsError },
    /// A file of the run cannot be read.
    #[error("cannot read {}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Interrupts cannot be handled.
    #[error("cannot handle Ctrl-C")]
    Signals(#[source] io::Error),
}
