//! How long the job may still run, as its scheduler (PBS or Slurm) reports it.

use std::{io::ErrorKind, process::Command, time::Duration};

use crate::sys::{ExitCode, JobAttributes, answer, parse_walltime, printable};

/// When a run must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// This long after the start of the run.
    After(Duration),
    /// Before the job's walltime, which is read from the scheduler.
    Walltime,
}

/// The walltime is unknown.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum WalltimeError {
    /// The process runs in no job of PBS or Slurm.
    #[error(
        "--walltime auto: neither PBS_JOBID nor SLURM_JOB_ID is set; give --walltime HH:MM:SS or --deadline SECONDS"
    )]
    NoJob,
    /// The scheduler's command is not installed on this host.
    #[error(
        "--walltime auto: there is no {0} on the PATH of this host; add its folder to the PATH, or give --walltime \
         HH:MM:SS or --deadline SECONDS"
    )]
    NoCommand(&'static str),
    /// The scheduler's command failed in every try, or its answers had no walltime.
    #[error(
        "--walltime auto: `{command}` did not give the walltime in {TRIES} tries ({reason}); run the same command \
         again to continue, or give --walltime HH:MM:SS or --deadline SECONDS"
    )]
    NoAnswer { command: String, reason: String },
}

impl WalltimeError {
    /// The exit code: 75 if a later start may get the walltime, 2 if the user must change something.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            WalltimeError::NoJob | WalltimeError::NoCommand(_) => ExitCode::WrongUsage,
            WalltimeError::NoAnswer { .. } => ExitCode::StoppedEarly,
        }
    }
}

/// Time left; `None` for a job without a walltime.
pub type Remaining = Option<Duration>;

impl TimeLimit {
    /// Time left from now, less a margin: PBS checks the walltime only every 10 to 120 s, and a killed job seals
    /// nothing.
    ///
    /// # Errors
    /// The scheduler does not report the walltime.
    pub fn remaining(self) -> Result<Remaining, WalltimeError> {
        match self {
            TimeLimit::After(limit) => Ok(Some(limit)),
            TimeLimit::Walltime => Ok(left_in_job()?.map(|left| left - MARGIN.min(left / 5))),
        }
    }
}

/// A busy scheduler answers late; one that hangs does not answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A busy scheduler refuses a connection, or cuts its answer. The next answer is often whole.
const TRIES: usize = 3;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Time kept free before the end of the walltime.
const MARGIN: Duration = Duration::from_secs(120);

fn left_in_job() -> Result<Remaining, WalltimeError> {
    let job = |name| std::env::var(name).ok().filter(|job| !job.is_empty());
    if let Some(job) = job("PBS_JOBID") {
        return ask("qstat", &["-f", &job], |answer| {
            JobAttributes::parse(answer).ok_or("its answer describes no job")?.walltime_left()
        });
    }
    if let Some(job) = job("SLURM_JOB_ID") {
        return ask("squeue", &["-h", "-j", &job, "-o", "%L"], |answer| match answer.trim() {
            "UNLIMITED" => Ok(None),
            left => parse_walltime(left).map(Some).ok_or_else(|| format!("it answered `{}`", printable(left))),
        });
    }
    Err(WalltimeError::NoJob)
}

/// Runs the scheduler's command until an answer can be read, at most [`TRIES`] times.
fn ask(
    program: &'static str,
    arguments: &[&str],
    read: impl Fn(&str) -> Result<Remaining, String>,
) -> Result<Remaining, WalltimeError> {
    let mut reason = String::new();
    for attempt in 1..=TRIES {
        if attempt > 1 {
            std::thread::sleep(PAUSE);
        }
        reason = match answer(Command::new(program).args(arguments), ANSWER_LIMIT) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(WalltimeError::NoCommand(program)),
            Err(error) => error.to_string(),
            Ok(output) if !output.status.success() => printable(String::from_utf8_lossy(&output.stderr).trim()),
            Ok(output) => match read(&String::from_utf8_lossy(&output.stdout)) {
                Ok(left) => return Ok(left),
                Err(reason) => reason,
            },
        };
        tracing::warn!(attempt, "`{program}` did not give the walltime: {reason}");
    }
    Err(WalltimeError::NoAnswer { command: format!("{program} {}", arguments.join(" ")), reason })
}
