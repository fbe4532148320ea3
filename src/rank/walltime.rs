//! How long the job may still run, from whoever schedules it.

use std::{process::Command, str::FromStr, time::Duration};

use serde_json::Value;

use crate::process::answer;

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
        let command = ["qstat", "-f", "-F", "json", &job];
        let answer = ask(&command)?;
        return pbs_left(&answer).map_err(|reason| not_told(&command, reason));
    }
    if let Some(job) = job("SLURM_JOB_ID") {
        let command = ["squeue", "-h", "-j", &job, "-o", "%L"];
        let answer = ask(&command)?;
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

fn ask(command: &[&str]) -> Result<String, WalltimeError> {
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

/// `Resource_List.walltime` less `resources_used.walltime`; the latter is missing in a job's first moments.
fn pbs_left(answer: &str) -> Result<Remaining, String> {
    let answer: Value = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    let jobs = answer["Jobs"].as_object().ok_or("no job in its answer")?;
    let job = jobs.values().next().ok_or("no job in its answer")?;
    let time = |field: &Value| field.as_str().and_then(parse_walltime);
    let Some(limit) = time(&job["Resource_List"]["walltime"]) else { return Ok(None) };
    Ok(Some(limit.saturating_sub(time(&job["resources_used"]["walltime"]).unwrap_or_default())))
}

/// `1-02:03:04`, `26:03:04`, `03:04` or seconds.
pub fn parse_walltime(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let fields: Vec<u64> = clock.split(':').map(|field| u64::from_str(field).ok()).collect::<Option<_>>()?;
    let seconds = match fields[..] {
        [seconds] => seconds,
        [minutes, seconds] => 60 * minutes + seconds,
        [hours, minutes, seconds] => 3600 * hours + 60 * minutes + seconds,
        _ => return None,
    };
    Some(Duration::from_secs(86_400 * u64::from_str(days).ok()? + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walltimes_are_read_as_schedulers_write_them() {
        let seconds = |text| parse_walltime(text).map(|time| time.as_secs());
        assert_eq!(seconds("23:30:00"), Some(84_600));
        assert_eq!(seconds("1-00:00:10"), Some(86_410));
        assert_eq!((seconds("90"), seconds("01:30")), (Some(90), Some(90)));
        assert_eq!((seconds("soon"), seconds("1:2:3:4")), (None, None));
    }

    #[test]
    fn what_a_pbs_job_has_used_is_taken_off() {
        let answer =
            r#"{"Jobs":{"7.pbs":{"Resource_List":{"walltime":"01:00:00"},"resources_used":{"walltime":"00:10:00"}}}}"#;
        assert_eq!(pbs_left(answer), Ok(Some(Duration::from_secs(3000))));
        assert_eq!(pbs_left(r#"{"Jobs":{"7.pbs":{"Resource_List":{}}}}"#), Ok(None));
        assert!(pbs_left("{}").is_err());
    }
}
