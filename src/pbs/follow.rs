//! Shows a run's jobs on a login node: queued, running, ended.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    report::{FINISHED_FILE, Finished, Progress, Snapshot, Status},
    sys::{ExitCode, write_stderr, write_stdout},
};

use super::{
    FollowError, JobFolder, PbsError, commands,
    jobs::{JobEntry, Origin, jobs},
    state::{ExitStatus, JobState, JobStatus},
};

/// Between two reads of a run's status file.
const LOOK: Duration = Duration::from_secs(2);

/// Number of lines shown from the end of a job's output.
const LAST_LINES: usize = 20;

/// Number of bytes from the end in which these lines are searched.
const LAST_BYTES: u64 = 16 << 10;

/// Most hosts of a job that are named.
const NAMED_HOSTS: usize = 8;

/// What a run prints that finds its directory in use.
const IN_USE: &str = "another bocr run is working in ";

/// Follows the jobs of a run: from the first that has not ended to the end of the last one, including jobs that are
/// submitted meanwhile. Asks PBS once in `every`. An interrupt ends this process and does not affect the jobs.
///
/// Returns the exit code of the run.
///
/// # Errors
/// The run has no job, or there is no PBS on this node.
pub fn follow(run_directory: &Path, every: Duration) -> Result<ExitCode, FollowError> {
    let folder = JobFolder::of(run_directory);
    let entries = jobs(&folder)?;
    let last = entries.len().checked_sub(1).ok_or_else(|| FollowError::NoJob(run_directory.to_owned()))?;
    leave_alone_on_interrupt(run_directory)?;
    let mut at = last;
    for (number, entry) in entries.iter().enumerate() {
        let status =
            commands::query_job(&entry.id).map_err(|source| FollowError::Pbs { job: entry.id.clone(), source })?;
        if status.is_some_and(|status| status.state != JobState::Ended) {
            at = number;
            break;
        }
    }
    let mut code = None;
    // A job adds its successor to the list before it ends itself.
    while let Some(entry) = jobs(&folder)?.into_iter().nth(at) {
        code = Some(Followed { run_directory, folder: &folder, entry: &entry }.to_its_end(every)?);
        at += 1;
    }
    code.ok_or_else(|| FollowError::NoJob(run_directory.to_owned()))
}

struct Followed<'a> {
    run_directory: &'a Path,
    folder: &'a JobFolder,
    entry: &'a JobEntry,
}

impl Followed<'_> {
    /// Follows one job to its end, and returns its exit code.
    fn to_its_end(&self, every: Duration) -> Result<ExitCode, FollowError> {
        let mut shown = String::new();
        let mut work = Work::new(self.run_directory, every);
        let mut next = Instant::now();
        let end = loop {
            if Instant::now() >= next {
                next = Instant::now() + every;
                let (line, end) = match commands::query_job(&self.entry.id) {
                    Ok(Some(status)) => self.assess(&status, &mut work),
                    Ok(None) => ("ended; PBS no longer knows the job".into(), Some(None)),
                    Err(error @ PbsError::NoCommand(_)) => {
                        return Err(FollowError::Pbs { job: self.entry.id.clone(), source: error });
                    }
                    Err(error) => (
                        format!(
                            "unknown, because PBS did not answer: {}; asking again",
                            crate::model::error::chain(&error)
                        ),
                        None,
                    ),
                };
                if line != shown {
                    print_line(&format!("{}: {line}", self.entry.id));
                    shown = line;
                }
                if let Some(end) = end {
                    break end;
                }
            }
            work.show();
            thread::sleep(LOOK.min(every));
        };
        work.finish();
        self.show_output()?;
        self.code(end)
    }

    /// The line that describes a job, and its exit status if it has ended.
    fn assess(&self, status: &JobStatus, work: &mut Work) -> (String, Option<Option<ExitStatus>>) {
        let words = status.state.words();
        work.going_on = status.state == JobState::Running;
        match (status.state, &status.exit, &status.comment, &self.entry.origin) {
            (JobState::Running | JobState::Exiting, ..) => (format!("{words} on {}", named(&status.hosts)), None),
            (JobState::Ended, Some(exit), ..) if self.gave_way(*exit) => {
                let why = "another job of this run is still running; this job did nothing";
                (format!("{words} with {}: {why}", exit.0), Some(Some(*exit)))
            }
            (JobState::Ended, Some(exit), ..) => (format!("{words} with {exit}"), Some(Some(*exit))),
            (JobState::Ended, None, comment, _) => {
                let comment = comment.as_deref().unwrap_or("PBS does not report how");
                (format!("{words}: {comment}"), Some(None))
            }
            (_, _, Some(comment), _) => (format!("{words}: {comment}"), None),
            (JobState::Held, _, None, Origin::After(job)) => (format!("{words} until {job} has ended"), None),
            _ => (words.into(), None),
        }
    }

    /// Whether the job ended because the run directory was in use. It then has the exit code of wrong usage.
    fn gave_way(&self, exit: ExitStatus) -> bool {
        let output = || last_lines(&self.folder.output(&self.entry.id)).unwrap_or_default();
        exit.code() == Some(ExitCode::WrongUsage) && output().contains(IN_USE)
    }

    /// Shows the end of the job's output.
    fn show_output(&self) -> Result<(), FollowError> {
        let path = self.folder.output(&self.entry.id);
        match last_lines(&path) {
            Ok(lines) => print_line(&format!("the end of {}:\n{lines}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                print_line(&format!("the job printed nothing into {}", path.display()))
            }
            Err(source) => return Err(FollowError::Read { path, source }),
        }
        Ok(())
    }

    /// The exit code of the job's script, or else that in the run's `finished.json`, if this job wrote it.
    fn code(&self, end: Option<ExitStatus>) -> Result<ExitCode, FollowError> {
        if let Some(code) = end.and_then(ExitStatus::code) {
            return Ok(code);
        }
        let path = self.run_directory.join(FINISHED_FILE);
        let failed = |source| FollowError::Read { path: path.clone(), source };
        let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        let account = Finished::read(self.run_directory).map_err(failed)?;
        let of_this_job = written.is_some_and(|written| written >= SystemTime::from(self.entry.submitted));
        Ok(match account.filter(|_| of_this_job) {
            Some(account) => account.exit_code,
            None if end.is_some_and(ExitStatus::is_cut_short) => ExitCode::StoppedEarly,
            None => ExitCode::Failure,
        })
    }
}

/// The progress of a running job.
struct Work<'a> {
    run_directory: &'a Path,
    /// Whether the job runs.
    going_on: bool,
    /// The last status that was read; at first the one that an earlier job left.
    known: Option<Status>,
    every: Duration,
    shown: Option<(Progress, Snapshot)>,
}

impl<'a> Work<'a> {
    fn new(run_directory: &'a Path, every: Duration) -> Self {
        Work { run_directory, going_on: false, known: read_status(run_directory), every, shown: None }
    }

    fn show(&mut self) {
        if !self.going_on {
            return;
        }
        let status = read_status(self.run_directory);
        if status == self.known {
            return;
        }
        self.known = status;
        if let Some(snapshot) = self.known.as_ref().and_then(|status| status.snapshot.clone()) {
            let progress = match self.shown.take() {
                Some((progress, _)) => Ok(progress),
                None => Progress::new(self.every),
            };
            // Without the display, the state of the job is still shown.
            if let Ok(progress) = progress {
                progress.show(&snapshot);
                self.shown = Some((progress, snapshot));
            }
        }
    }

    fn finish(self) {
        if let Some((progress, snapshot)) = self.shown {
            progress.finish(&snapshot);
        }
    }
}

/// Reads the status. An error is ignored: the file system may be unavailable for a moment, and the next read comes
/// soon.
fn read_status(run_directory: &Path) -> Option<Status> {
    Status::read(run_directory).ok().flatten()
}

fn named(hosts: &[String]) -> String {
    let more = hosts.len().saturating_sub(NAMED_HOSTS);
    let named = hosts[..hosts.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more hosts") } else { named }
}

fn last_lines(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"))
}

/// Prints a line. An error is ignored: if the reader is gone, the exit code of the run is still wanted.
fn print_line(line: &str) {
    let _ = write_stdout(&format!("{line}\n"));
}

fn leave_alone_on_interrupt(run_directory: &Path) -> Result<(), FollowError> {
    let line = format!("bocr: the job goes on; `bocr follow {}` shows it again", run_directory.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FollowError::Signals)?;
    let entered = runtime.enter();
    let mut interrupts = signal(SignalKind::interrupt()).map_err(FollowError::Signals)?;
    drop(entered);
    let waiting = move || {
        if runtime.block_on(interrupts.recv()).is_some() {
            write_stderr(&format!("\n{line}\n"));
            ExitCode::Interrupted.exit();
        }
    };
    thread::Builder::new().name("bocr-interrupt".into()).spawn(waiting).map_err(FollowError::Signals)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::PreparationError;

    #[test]
    fn the_last_lines_of_a_long_output_are_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
        fs::write(file.path(), lines.join("\n")).unwrap();
        let shown = last_lines(file.path()).unwrap();
        assert!(shown.starts_with("line 9980\n") && shown.ends_with("line 9999"), "{shown}");
    }

    #[test]
    fn a_run_says_so_where_its_directory_is_in_use() {
        let locked = PreparationError::Locked { directory: "run".into(), by: String::new() };
        assert!(locked.to_string().contains(IN_USE));
    }

    #[test]
    fn many_hosts_are_counted() {
        let hosts: Vec<String> = (1..=10).map(|number| format!("n{number}")).collect();
        assert_eq!(named(&hosts[..2]), "n1, n2");
        assert_eq!(named(&hosts), "n1, n2, n3, n4, n5, n6, n7, n8 and 2 more hosts");
    }
}
