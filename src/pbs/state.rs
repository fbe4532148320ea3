//! The state of a job according to PBS, and the meaning of its exit status.

use std::{fmt, path::PathBuf};

use crate::sys::{ExitCode, JobAttributes};

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waits in its queue.
    Queued,
    /// Held by its user or an operator, or until the job before it has ended.
    Held,
    /// Waits for its start time.
    Waiting,
    /// Runs.
    Running,
    /// Suspended by PBS.
    Suspended,
    /// Is ending.
    Exiting,
    /// Has ended.
    Ended,
}

impl JobState {
    fn of(letter: &str) -> Option<JobState> {
        Some(match letter {
            "Q" | "T" => JobState::Queued,
            "H" => JobState::Held,
            "W" => JobState::Waiting,
            "R" | "B" => JobState::Running,
            "S" | "U" => JobState::Suspended,
            "E" => JobState::Exiting,
            "F" | "X" => JobState::Ended,
            _ => return None,
        })
    }

    /// The state in words.
    pub fn words(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Held => "held",
            JobState::Waiting => "waiting for its time",
            JobState::Running => "running",
            JobState::Suspended => "suspended",
            JobState::Exiting => "ending",
            JobState::Ended => "ended",
        }
    }
}

/// What PBS reports about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// State of the job.
    pub state: JobState,
    /// PBS's comment, for example why the job waits.
    pub comment: Option<String>,
    /// Hosts of the job, each once.
    pub hosts: Vec<String>,
    /// Exit status; only of a job that has ended.
    pub exit: Option<ExitStatus>,
    /// Path of the job's output.
    pub output: Option<PathBuf>,
}

impl JobStatus {
    /// Parses the answer of `qstat -f`; `None` where it is not understood.
    pub(crate) fn read(answer: &str) -> Option<JobStatus> {
        let job = JobAttributes::parse(answer)?;
        Some(JobStatus {
            state: JobState::of(job.get("job_state")?)?,
            comment: job.get("comment").map(str::to_owned),
            hosts: job.get("exec_host").map(hosts_of).unwrap_or_default(),
            exit: job.get("Exit_status").and_then(|status| status.parse().ok()).map(ExitStatus),
            // A host stands before the path.
            output: job.get("Output_Path").and_then(|output| output.split_once(':')).map(|(_, path)| path.into()),
        })
    }
}

/// The hosts of an `exec_host`: `n1/0*2+n1/1*2+n2/0` has n1 and n2.
fn hosts_of(chunks: &str) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for host in chunks.split('+').filter_map(|chunk| chunk.split('/').next()) {
        if !hosts.iter().any(|known| known == host) {
            hosts.push(host.to_owned());
        }
    }
    hosts
}

/// How a job ended: the exit code of its script; or 256 plus a signal; or a negative code of PBS (`docs/facts/pbs.md`,
/// "Exit status").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus(pub i32);

const AFTER_SIGNAL: i32 = 256;
const SIGNAL_KILL: i32 = 9;
const SIGNAL_TERM: i32 = 15;
const OVER_WALLTIME: i32 = -29;
const OVER_MEMORY: i32 = -27;
const FIRST_NODE_LOST: i32 = -20;
const OTHER_NODE_LOST: i32 = -14;
const BEGUN_AGAIN: i32 = -11;

impl ExitStatus {
    /// The exit code of the job's script; `None` where PBS or a signal ended it.
    pub fn code(self) -> Option<ExitCode> {
        u8::try_from(self.0).ok().map(ExitCode::from)
    }

    /// Whether PBS ended the job in the middle of a run that has no error: submitting the same job continues it.
    pub fn is_cut_short(self) -> bool {
        let signals = [AFTER_SIGNAL + SIGNAL_TERM, AFTER_SIGNAL + SIGNAL_KILL];
        signals.contains(&self.0) || [OVER_WALLTIME, FIRST_NODE_LOST, OTHER_NODE_LOST, BEGUN_AGAIN].contains(&self.0)
    }

    /// Whether SIGTERM ended the script. The run may have ended in order before that: the login shell above the
    /// script dies of the signal of qdel (`docs/facts/pbs.md`, "Signals and walltime").
    pub fn is_terminated(self) -> bool {
        self.0 == AFTER_SIGNAL + SIGNAL_TERM
    }

    fn words(self) -> &'static str {
        const TERMINATED: i32 = AFTER_SIGNAL + SIGNAL_TERM;
        const KILLED: i32 = AFTER_SIGNAL + SIGNAL_KILL;
        match self.code() {
            Some(ExitCode::Success) => return "every page is read or blank",
            Some(ExitCode::PagesFailed) => {
                return "all is settled, but some pages or documents failed; report.json says which";
            }
            Some(ExitCode::StoppedEarly) => return "stopped early; submit it again to continue",
            Some(ExitCode::WrongUsage) => return "wrong usage or configuration; see the job's output",
            Some(ExitCode::Failure | ExitCode::Interrupted | ExitCode::OfProgram(_)) => return "the output says why",
            None => {}
        }
        match self.0 {
            TERMINATED => "ended by SIGTERM: qdel, or the walltime; submit it again to continue",
            KILLED => "killed: qdel -W force, or it did not end in time; submit it again to continue",
            OVER_WALLTIME => "its walltime was used up; submit it again to continue",
            OVER_MEMORY => "it used more memory than it had asked for; raise `memory` in the job file",
            FIRST_NODE_LOST => "its first node was lost, and it is not rerunnable; submit it again to continue",
            OTHER_NODE_LOST => "one of its nodes was lost; submit it again to continue",
            BEGUN_AGAIN => "PBS starts it again",
            0.. => "killed by a signal",
            ..0 => "PBS ended it; read its comment in `qstat -xf`, or ask the site's operators",
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_qstat_is_read_with_its_long_lines() {
        let answer = "Job Id: 7.pbssrv\n    Job_Name = bocr-all\n    job_state = Q\n    comment = Not Running: Insuf\n\t\
                      ficient amount of resource: ngpus (R: 3 A: 2 T: 6)\n    Variable_List = PBS_O_HOME=/root,\n\tA=b = c\n";
        let status = JobStatus::read(answer).unwrap();
        assert_eq!(status.state, JobState::Queued);
        assert_eq!(
            status.comment.as_deref(),
            Some("Not Running: Insufficient amount of resource: ngpus (R: 3 A: 2 T: 6)")
        );
        let answer =
            "Job Id: 7.pbssrv\n    job_state = F\n    exec_host = n1/0*2+n1/1*2+n2/0*2\n    Exit_status = -29\n";
        let status = JobStatus::read(answer).unwrap();
        assert_eq!((status.state, status.hosts), (JobState::Ended, vec!["n1".to_owned(), "n2".to_owned()]));
        assert!(status.exit.unwrap().to_string().starts_with("-29: its walltime was used up"));
        assert_eq!(JobStatus::read("qstat: nonsense"), None);
    }

    #[test]
    fn ends_are_told_apart() {
        let says = |status| ExitStatus(status).to_string();
        assert!(says(271).contains("SIGTERM") && says(265).contains("killed") && says(262).contains("signal"));
        assert!(says(-27).contains("memory") && says(1).contains("output") && says(-3).contains("operators"));
        assert_eq!(ExitStatus(75).code(), Some(ExitCode::StoppedEarly));
        assert_eq!((ExitStatus(271).code(), ExitStatus(-29).code()), (None, None));
        assert!(ExitStatus(271).is_cut_short() && !ExitStatus(-27).is_cut_short() && !ExitStatus(1).is_cut_short());
    }
}
