//! Calls of PBS's commands: qsub and qstat.

use std::{
    io::{self, ErrorKind},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::sys::answer;

use super::{JobId, PbsError, PbsVersion, state::JobStatus};

/// Longest wait for an answer of qstat: a busy PBS server answers late, one that hangs not at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Submits a script with qsub; the job starts when all the jobs `after` have ended. There is no time limit: a qsub that
/// is killed may have submitted a job whose id is then unknown.
///
/// # Errors
/// There is no qsub on this node, or it refuses, or it takes the job and prints no job id ([`PbsError::Answer`]).
pub fn submit(script: &Path, after: &[JobId]) -> Result<JobId, PbsError> {
    let mut qsub = Command::new("qsub");
    if !after.is_empty() {
        let ids: Vec<_> = after.iter().map(JobId::to_string).collect();
        qsub.args(["-W", &format!("depend=afterany:{}", ids.join(":"))]);
    }
    let output = qsub.arg(script).stdin(Stdio::null()).output().map_err(|error| not_run("qsub", error))?;
    if !output.status.success() {
        return Err(PbsError::Refused { command: "qsub", said: output_text(&output) });
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    named(&answer).ok_or_else(|| PbsError::Answer { command: "qsub", said: answer.trim().to_owned() })
}

/// The job id in an answer of qsub. A site's wrapper of qsub may print more text, before and after the id.
fn named(answer: &str) -> Option<JobId> {
    answer.lines().rev().find_map(|line| line.trim().parse().ok())
}

/// The version of PBS on this node.
///
/// # Errors
/// There is no qsub on this node, or its answer names no version.
pub fn version() -> Result<PbsVersion, PbsError> {
    let output = answer(Command::new("qsub").arg("--version"), ANSWER_LIMIT).map_err(|error| not_run("qsub", error))?;
    let said = output_text(&output);
    PbsVersion::read(&said).ok_or(PbsError::Answer { command: "qsub --version", said })
}

/// The state of a job; `None` when PBS does not know the id, or no longer knows it.
///
/// # Errors
/// There is no qstat on this node, or its server does not answer.
pub fn query_job(job: &JobId) -> Result<Option<JobStatus>, PbsError> {
    let output = qstat(&["-x", "-f"], job)?;
    // A PBS server that keeps no history of jobs refuses -x.
    let output = if !output.status.success() && output_text(&output).contains("job history") {
        qstat(&["-f"], job)?
    } else {
        output
    };
    if !output.status.success() {
        let said = output_text(&output);
        return if said.contains("Unknown Job") || said.contains("Job has finished") {
            Ok(None)
        } else {
            Err(PbsError::Refused { command: "qstat", said })
        };
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    let status = JobStatus::read(&answer);
    status
        .map(Some)
        .ok_or_else(|| PbsError::Answer { command: "qstat", said: answer.trim().chars().take(300).collect() })
}

fn qstat(options: &[&str], job: &JobId) -> Result<Output, PbsError> {
    let mut qstat = Command::new("qstat");
    answer(qstat.args(options).arg(job.to_string()), ANSWER_LIMIT).map_err(|error| not_run("qstat", error))
}

fn not_run(command: &'static str, source: io::Error) -> PbsError {
    match source.kind() {
        ErrorKind::NotFound => PbsError::NoCommand(command),
        _ => PbsError::Run { command, source },
    }
}

fn output_text(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout].map(|stream| String::from_utf8_lossy(stream).trim().to_owned());
    said.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| output.status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_on_a_line_of_its_own() {
        let id = |answer: &str| named(answer).map(|id| id.to_string());
        assert_eq!(id("1.pbssrv\n").as_deref(), Some("1.pbssrv"));
        assert_eq!(id("Checking.\n22[].pbs\nYour project has 100 hours left.\n").as_deref(), Some("22[].pbs"));
        assert_eq!((id(""), id("no id\n")), (None, None));
    }
}
