//! How long the job may still run, from whoever schedules it.

use std::{process::Command, time::Duration};

use crate::sys::{JobAttributes, answer, parse_walltime};

/// When a run must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// This long after its start.
    After(Duration),
    /// Before the job's walltime, which the scheduler is asked for.
    Walltime,
}

/// The scheduler did not tell the walltime.
#[derive(Debug, thiserror::Error)]
pub enum WalltimeError {
    /// No job of a scheduler that is known.
    #[error(
        "--walltime auto: neither PBS_JOBID nor SLURM_JOB_ID is set; give --walltime HH:MM:SS or --deadline SECONDS"
    )]
    NoJob,
    /// Its command failed.
    #[error(
        "--walltime auto: `{command}` did not give the walltime ({reason}); give --walltime HH:MM:SS or --deadline SECONDS"
    )]
    NotTold {
        /// What was asked.
        command: String,
        /// What came of it.
        reason: String,
    },
}

/// A job without a limit of its own has no walltime to end before.
pub type Remaining = Option<Duration>;

impl TimeLimit {
    /// Time left from now. The walltime is not used to its end: PBS looks at it between 10 and 120 s apart, and a
    /// killed job seals nothing.
    ///
    /// # Errors
    /// The scheduler does not tell.
    pub fn remaining(self) -> Result<Remaining, WalltimeError> {
        match self {
            TimeLimit::After(limit) => Ok(Some(limit)),
            TimeLimit::Walltime => Ok(left_in_job()?.map(|left| left - MARGIN.min(left / 5))),
        }
    }
}

/// A scheduler's server that is busy answers late; one that hangs does not.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Kept before a walltime of the scheduler's.
const MARGIN: Duration = Duration::from_secs(120);

fn left_in_job() -> Result<Remaining, WalltimeError> {
    let job = |name| std::env::var(name).ok().filter(|job| !job.is_empty());
    if let Some(job) = job("PBS_JOBID") {
        let command = ["qstat", "-f", &job];
        let answer = query_scheduler(&command)?;
        let job = JobAttributes::parse(&answer).ok_or_else(|| not_told(&command, "no job in its answer".into()))?;
        return job.walltime_left().map_err(|reason| not_told(&command, reason));
    }
    if let Some(job) = job("SLURM_JOB_ID") {
        let command = ["squeue", "-h", "-j", &job, "-o", "%L"];
        let answer = query_scheduler(&command)?;
        return match answer.trim() {
            "UNLIMITED" => Ok(None),
            left => match parse_walltime(left) {
                Some(left) => Ok(Some(left)),
                None => Err(not_told(&command, format!("it said `{left}`"))),
            },
        };
    }
    Err(WalltimeError::NoJob)
}

fn query_scheduler(command: &[&str]) -> Result<String, WalltimeError> {
    let output = answer(Command::new(command[0]).args(&command[1..]), ANSWER_LIMIT);
    let output = output.map_err(|error| not_told(command, error.to_string()))?;
    if !output.status.success() {
        return Err(not_told(command, String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn not_told(command: &[&str], reason: String) -> WalltimeError {
    WalltimeError::NotTold { command: command.join(" "), reason }
}
