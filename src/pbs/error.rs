//! What keeps a job from being written, submitted or followed.

use std::{io, path::PathBuf};

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
    #[error("{} has no table [job], which says what the PBS job asks for: pbs/job.toml shows one", .0.display())]
    NoJob(PathBuf),
    /// A value that does not go with the rest.
    #[error("in {}, [job] {key}: {remedy}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What to do.
        remedy: String,
    },
    /// A path of the run's configuration that the job would fail on.
    #[error("in {}, {key}: {problem}", .path.display())]
    Configured {
        /// The file.
        path: PathBuf,
        /// The table and the key.
        key: String,
        /// What is wrong, with the remedy.
        problem: String,
    },
    /// The copy that a submit has made.
    #[error("{} is the copy that a submit made: submit the file that it was made of, which job.pbs names", .0.display())]
    Copy(PathBuf),
}

/// A script that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A word that must not be in a script.
    #[error(transparent)]
    ControlCharacter(#[from] ControlCharacter),
    /// A path that is no text.
    #[error("{} is no UTF-8 text: rename it", .0.display())]
    NoText(PathBuf),
    /// PBS writes the job's output into the run directory.
    #[error(
        "the run directory {} does not fit into a #PBS line: use letters a to z, digits and _ . , @ % + = / - only; \
         a symbolic link of another name does", .0.display()
    )]
    RunDirectory(PathBuf),
    /// The job needs a script of the project's folder.
    #[error(
        "there is no scripts/pbs-job in a folder above {}: say where the project's folder is in BOCR_HOME", .0.display()
    )]
    NoScripts(PathBuf),
    /// The same, where the user has said where.
    #[error("BOCR_HOME is {}, which has no scripts/pbs-job: let it name the project's folder", .0.display())]
    NoScriptsAtHome(PathBuf),
    /// The program does not know where it lies.
    #[error("cannot find out where this program lies: say `bocr` in the job file")]
    NoProgram(#[source] io::Error),
}

/// PBS did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PbsError {
    /// No such command.
    #[error("there is no {0} on the PATH here")]
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
    #[error("{command} said what is not understood: {said}")]
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
    #[error("line {line} of {} is not `ID, tab, time, tab, what for`: mend or remove it", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
    },
    /// Another submit, or a job, holds it.
    #[error(
        "another `bocr submit`, or a job of this run, is at work on {}, which is locked: try again in a minute", .0.display()
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
    #[error("cannot read the input {}: put it there, or correct `input` and `list` in the job file", .path.display())]
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
        "job {job} of this run still reads {}, which this job file would change: leave the run's settings as they are, \
         or wait until it has ended", .configuration.display()
    )]
    InUse {
        /// The job.
        job: JobId,
        /// The copy of the job file.
        configuration: PathBuf,
    },
    /// Nothing to come after.
    #[error("no job of this run was submitted yet: leave --after out, or say --after=ID")]
    NothingBefore,
    /// A job before this one cannot be asked after.
    #[error("cannot tell whether job {job} is queued or running; submit where PBS answers")]
    Unknown {
        /// The job.
        job: JobId,
        /// Why.
        source: PbsError,
    },
    /// qsub did not take it, or is not there. The files are written.
    #[error("the job is not submitted; all is written, so that `qsub {}` on a login node does the same", .script.display())]
    NotSubmitted {
        /// The script.
        script: PathBuf,
        /// Why.
        source: PbsError,
    },
    /// qsub took it, and did not say which job it is.
    #[error(
        "the job is submitted, but qsub named none ({said}): do not submit it again; `qstat` shows it, and `bocr follow` \
         when it has started"
    )]
    Unnamed {
        /// What qsub said.
        said: String,
    },
    /// The job is submitted, but its id is not kept.
    #[error("job {job} is submitted, but could not be noted")]
    NotNoted {
        /// The job.
        job: JobId,
        /// Why.
        source: JobListError,
    },
}

impl SubmitError {
    /// The exit code: 2 for what the user must correct in the command or the job file, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            SubmitError::JobFile(_)
            | SubmitError::Script(_)
            | SubmitError::Input { .. }
            | SubmitError::NothingBefore => 2,
            _ => 1,
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
    #[error("{} has no job: submit one with `bocr submit`", .0.display())]
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
    #[error("cannot wait for an interrupt from the keyboard")]
    Signals(#[source] io::Error),
}
