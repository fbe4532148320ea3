//! What keeps a job from being written, submitted or followed.

use std::{io, path::PathBuf};

use crate::sys::ExitCode;

use super::{JobId, quote::ControlCharacter};
/// A job file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// It cannot be read.
    #[error("cannot read the job file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or value that is wrong in itself.
    #[error("in {}", .path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        source: Box<toml::de::Error>,
    },
    /// A file that is for `bocr run` alone.
    #[error("{} has no table [job], which sets what the PBS job asks for: see pbs/job.toml for an example", .0.display())]
    NoJob(PathBuf),
    /// A value that does not go with the rest.
    #[error("{}: [job] {key}: {remedy}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What to do.
        remedy: String,
    },
    /// A path of the run's configuration that the job would fail on.
    #[error("{}: {key}: {problem}", .path.display())]
    Configured {
        /// The file.
        path: PathBuf,
        /// The table and the key.
        key: String,
        /// What is wrong, with the remedy.
        problem: String,
    },
    /// The copy that a submit has made.
    #[error("{} is the copy that an earlier `bocr submit` wrote: submit the original file, which job.pbs names", .0.display())]
    Copy(PathBuf),
}

/// A script that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A word that must not be in a script.
    #[error(transparent)]
    ControlCharacter(#[from] ControlCharacter),
    /// A path that is no text.
    #[error("the name {} is not valid UTF-8: rename it", .0.display())]
    NoText(PathBuf),
    /// PBS writes the job's output into the run directory.
    #[error(
        "the path of the run directory {} cannot be written into a #PBS line: use only letters a to z, digits and \
         _ . , @ % + = / -, or a symbolic link with such a path", .0.display()
    )]
    RunDirectory(PathBuf),
    /// The job needs a script of the project's folder.
    #[error(
        "there is no scripts/pbs-job in a folder above {}: set BOCR_HOME to the project's folder", .0.display()
    )]
    NoScripts(PathBuf),
    /// The same, where the user has said where.
    #[error("BOCR_HOME is {}, which has no scripts/pbs-job: set it to the project's folder", .0.display())]
    NoScriptsAtHome(PathBuf),
    /// The program does not know where it lies.
    #[error("cannot find the path of this program: set `bocr` in the job file")]
    NoProgram(#[source] io::Error),
}

/// PBS did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PbsError {
    /// No such command.
    #[error("there is no {0} on the PATH: run this on a node where PBS is installed")]
    NoCommand(&'static str),
    /// The command could not be run, or did not answer in time.
    #[error("cannot run {command}")]
    Run {
        /// The command.
        command: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("{command} refused: {said}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What it said.
        said: String,
    },
    /// It said something that is not understood.
    #[error("{command} gave an answer that cannot be read: {said}")]
    Answer {
        /// The command.
        command: &'static str,
        /// What it said.
        said: String,
    },
}

/// The list of a run's jobs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JobListError {
    /// It cannot be read or written.
    #[error("cannot read or write {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that no job was written as.
    #[error("line {line} of {} is not `ID, tab, time, tab, origin`: correct or remove it", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
    },
    /// Another submit, or a job, holds it.
    #[error(
        "another `bocr submit`, or a job of this run, holds the lock on {}: try again in a minute", .0.display()
    )]
    Locked(PathBuf),
}

/// A job that is not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The job file cannot be used.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// The script cannot be written.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// An input that is not there.
    #[error("cannot read the input {}: correct `input` and `list` in the job file, or put the input there", .path.display())]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run directory cannot be read or written.
    #[error("cannot read or write {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of jobs cannot be used.
    #[error(transparent)]
    List(#[from] JobListError),
    /// A job of the run is queued or running.
    #[error(
        "job {job} of this run is {state}: `bocr follow {}` shows it, --after submits one that begins when it has ended, \
         `qdel {job}` ends it", .run.display()
    )]
    Busy {
        /// The job.
        job: JobId,
        /// Its state in words.
        state: &'static str,
        /// The run directory.
        run: PathBuf,
    },
    /// Another configuration, while a job reads the old one.
    #[error(
        "job {job} of this run still uses {}, and this job file would change it: keep the run's settings, or wait until \
         the job has ended", .configuration.display()
    )]
    InUse {
        /// The job.
        job: JobId,
        /// The copy of the job file.
        configuration: PathBuf,
    },
    /// Nothing to come after.
    #[error("no job of this run has been submitted yet: leave out --after, or give --after=ID")]
    NothingBefore,
    /// A job before this one cannot be asked after.
    #[error("cannot ask PBS whether job {job} is queued or running: submit from a node where PBS answers")]
    Unknown {
        /// The job.
        job: JobId,
        /// Why.
        source: PbsError,
    },
    /// qsub did not take it, or is not there. The files are written.
    #[error("the job is not submitted, but its files are written: `qsub {}` on a login node submits it", .script.display())]
    NotSubmitted {
        /// The script.
        script: PathBuf,
        /// Why.
        source: PbsError,
    },
    /// qsub took it, and did not say which job it is.
    #[error(
        "the job is submitted, but qsub printed no job id ({said}): do not submit it again; `qstat` shows the job, and \
         `bocr follow` shows it once it has started"
    )]
    Unnamed {
        /// What qsub said.
        said: String,
    },
    /// The job is submitted, but its id is not kept.
    #[error("job {job} is submitted, but could not be written into jobs.tsv")]
    NotNoted {
        /// The job.
        job: JobId,
        /// Why.
        source: JobListError,
    },
}

impl SubmitError {
    /// The exit code: 2 for what the user must correct in the command or the job file, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            SubmitError::JobFile(_)
            | SubmitError::Script(_)
            | SubmitError::Input { .. }
            | SubmitError::NothingBefore => ExitCode::WrongUsage,
            _ => ExitCode::Failure,
        }
    }
}

/// A job that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The list of jobs cannot be used.
    #[error(transparent)]
    List(#[from] JobListError),
    /// No job is known.
    #[error("no job of {} is known: submit one with `bocr submit`", .0.display())]
    NoJob(PathBuf),
    /// PBS cannot be asked at all.
    #[error("cannot follow job {job}")]
    Pbs {
        /// The job.
        job: JobId,
        /// Why.
        source: PbsError,
    },
    /// What the run wrote cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Interrupts cannot be waited for.
    #[error("cannot handle Ctrl-C")]
    Signals(#[source] io::Error),
}
