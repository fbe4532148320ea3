//! How long the job may still run, as its scheduler (PBS or Slurm) reports it.

use std::{process::Command, time::Duration};

use crate::sys::{JobAttributes, answer, parse_walltime};

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
    /// The scheduler's command failed or its answer has no walltime.
    #[error(
        "--walltime auto: `{command}` did not give the walltime ({reason}); give --walltime HH:MM:SS or --deadline SECONDS"
    )]
    NoAnswer { command: String, reason: String },
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

/// Time kept free before the end of the walltime.
const MARGIN: Duration = Duration::from_secs(120);

fn left_in_job() -> Result<Remaining, WalltimeError> {
    let job = |name| std::env::var(name).ok().filter(|job| !job.is_empty());
    if let Some(job) = job("PBS_JOBID") {
        let command = ["qstat", "-f", &job];
        let answer = query_scheduler(&command)?;
        let job = JobAttributes::parse(&answer).ok_or_else(|| no_walltime(&command, "no job in its answer".into()))?;
        return job.walltime_left().map_err(|reason| no_walltime(&command, reason));
    }
    if let Some(job) = job("SLURM_JOB_ID") {
        let command = ["squeue", "-h", "-j", &job, "-o", "%L"];
        let answer = query_scheduler(&command)?;
        return match answer.trim() {
            "UNLIMITED" => Ok(None),
            left => match parse_walltime(left) {
                Some(left) => Ok(Some(left)),
                None => Err(no_walltime(&command, format!("it answered `{left}`"))),
            },
        };
    }
    Err(WalltimeError::NoJob)
}

fn query_scheduler(command: &[&str]) -> Result<String, WalltimeError> {
    let output = answer(Command::new(command[0]).args(&command[1..]), ANSWER_LIMIT);
    let output = output.map_err(|error| no_walltime(command, error.to_string()))?;
    if !output.status.success() {
        return Err(no_walltime(command, String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn no_walltime(command: &[&str], reason: String) -> WalltimeError {
    WalltimeError::NoAnswer { command: command.join(" "), reason }
}
