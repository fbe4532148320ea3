//! `jobs.tsv`: the jobs of a run, one on each line: id, time, and origin. The script of a job appends its successor.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::sys::{LockAttempt, lock_within, write_stderr};

use super::{JobFolder, JobId, JobListError};
/// A job of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEntry {
    /// Its id.
    pub id: JobId,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// How it came to be submitted.
    pub origin: Origin,
}

/// How a job came to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// By a user.
    Submitted,
    /// By a user, to start when that job has ended.
    After(JobId),
    /// By that job, as its successor.
    Chain(JobId),
}

impl JobEntry {
    fn read(line: &str) -> Option<JobEntry> {
        let [id, submitted, origin] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        let origin = match origin.split_once(' ') {
            None if origin == "submitted" => Origin::Submitted,
            Some(("after", job)) => Origin::After(job.parse().ok()?),
            Some(("chain", job)) => Origin::Chain(job.parse().ok()?),
            _ => return None,
        };
        Some(JobEntry { id: id.parse().ok()?, submitted: submitted.parse().ok()?, origin })
    }
}

impl fmt::Display for JobEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole seconds, as the job's script writes them.
        let submitted = Timestamp::from_second(self.submitted.as_second()).unwrap_or(self.submitted);
        write!(f, "{}\t{submitted}\t", self.id)?;
        match &self.origin {
            Origin::Submitted => f.write_str("submitted"),
            Origin::After(job) => write!(f, "after {job}"),
            Origin::Chain(job) => write!(f, "chain {job}"),
        }
    }
}

/// The jobs of a run, each once, in the order in which they were submitted; empty where there is no list.
///
/// # Errors
/// The list cannot be read.
pub fn jobs(folder: &JobFolder) -> Result<Vec<JobEntry>, JobListError> {
    let path = folder.jobs();
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(failed(&path))?,
    };
    let mut jobs: Vec<JobEntry> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let entry = JobEntry::read(line).ok_or_else(|| JobListError::Line { path: path.clone(), line: number })?;
        // A job that cannot see whether it is in the list adds itself, so a job may be in it twice.
        if jobs.iter().all(|known| known.id != entry.id) {
            jobs.push(entry);
        }
    }
    Ok(jobs)
}

/// The list of a run's jobs, locked until this is dropped. The script of a job takes the same lock with `flock`.
#[derive(Debug)]
pub struct JobList {
    file: File,
    path: PathBuf,
}

impl JobList {
    /// Locks the list of this folder; waits up to `wait` for another holder of the lock.
    ///
    /// # Errors
    /// Another submit or a job still has the lock, or the list cannot be written.
    pub fn take(folder: &JobFolder, wait: Duration) -> Result<JobList, JobListError> {
        let path = folder.jobs();
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed(&path))?;
        match lock_within(&file, wait).map_err(failed(&path))? {
            LockAttempt::Taken => {}
            LockAttempt::Busy => return Err(JobListError::Locked(path)),
            LockAttempt::NoLocks(error) => write_stderr(&format!(
                "bocr: {} cannot be locked ({error}): make sure that no other `bocr submit` of this run runs now\n",
                path.display()
            )),
        }
        Ok(JobList { file, path })
    }

    /// Appends a job, and waits until it is on disk.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn append(&mut self, entry: &JobEntry) -> Result<(), JobListError> {
        let line = format!("{entry}\n");
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all()).map_err(failed(&self.path))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> JobListError {
    let path = path.to_owned();
    move |source| JobListError::File { path, source }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        thread,
    };

    use super::*;

    #[test]
    fn jobs_come_back_as_they_were_appended() {
        let run = tempfile::tempdir().unwrap();
        let folder = JobFolder::of(run.path());
        assert_eq!(jobs(&folder).unwrap(), []);
        folder.create().unwrap();
        let id = |id: &str| id.parse::<JobId>().unwrap();
        let submitted: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let origins = [Origin::Submitted, Origin::After(id("1.pbs")), Origin::Chain(id("1.pbs"))];
        let entries: Vec<_> = (1..)
            .zip(origins)
            .map(|(number, origin)| JobEntry { id: id(&format!("{number}.pbs")), submitted, origin })
            .collect();
        let mut list = JobList::take(&folder, Duration::ZERO).unwrap();
        entries.iter().for_each(|entry| list.append(entry).unwrap());
        assert!(matches!(JobList::take(&folder, Duration::ZERO), Err(JobListError::Locked(_))));
        let held = Command::new("flock").arg("--nonblock").arg(folder.jobs()).arg("true").status().unwrap();
        assert!(!held.success(), "the script of a job is kept out too");
        list.append(&entries[0]).unwrap();
        assert_eq!(jobs(&folder).unwrap(), entries);
        let text = std::fs::read_to_string(folder.jobs()).unwrap();
        assert!(text.starts_with("1.pbs\t2026-01-02T03:04:05Z\tsubmitted\n2.pbs\t"), "{text}");
    }

    #[test]
    fn a_submit_waits_for_a_job_that_notes_itself() {
        let run = tempfile::tempdir().unwrap();
        let folder = JobFolder::of(run.path());
        folder.create().unwrap();
        let mut flock = Command::new("flock");
        flock.arg(folder.jobs()).args(["bash", "-c", "echo held; read -r"]);
        let mut script = flock.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        assert!(matches!(JobList::take(&folder, Duration::ZERO), Err(JobListError::Locked(_))));
        let let_go = script.stdin.take();
        let waiting = thread::spawn(move || JobList::take(&folder, Duration::from_secs(60)).map(drop));
        drop(let_go);
        waiting.join().unwrap().unwrap();
        script.wait().unwrap();
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let run = tempfile::tempdir().unwrap();
        let folder = JobFolder::of(run.path());
        folder.create().unwrap();
        std::fs::write(folder.jobs(), "1.pbs\t2026-01-02T03:04:05Z\tsubmitted\nnonsense\n").unwrap();
        assert!(jobs(&folder).unwrap_err().to_string().starts_with("line 2 of "));
    }
}
