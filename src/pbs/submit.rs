//! Submits a job.

use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    model::{configuration::Configuration, error::chain},
    report::{FINISHED_FILE, Finished},
    run,
    sys::{ExitCode, write_stderr},
};

use super::{
    JobFile, JobFileError, JobFolder, JobId, PbsError, Programs, ScriptError, SubmitError, commands, configured,
    jobs::{JobEntry, JobList, Origin, jobs},
    script::{LostNodes, script},
    state::JobState,
    values::{Overrides, PbsOption},
};

/// Longest wait for the lock on the list of jobs, which a job of the run takes while it adds itself or its successor.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The job to submit, and how.
#[derive(Debug, Clone)]
pub struct SubmitRequest {
    /// Path of the job file.
    pub job_file: PathBuf,
    /// Values that replace those of the job file.
    pub overrides: Overrides,
    /// Jobs that must end before this one starts; `None`: refuse while any has not ended.
    pub after: Option<After>,
    /// Whether to submit although the run has finished.
    pub again: bool,
    /// Reads the arguments of `bocr run`.
    pub read_settings: ReadSettings,
}

/// Gives the settings of `bocr run` with these arguments, or what is wrong with the arguments. Relative paths begin at
/// the current folder.
pub type ReadSettings = fn(&[&OsStr]) -> Result<RunSettings, String>;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The effective configuration.
    pub configuration: Configuration,
    /// Whether it may differ from that of earlier starts.
    pub accept_config: bool,
}

/// Jobs that must end before another starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// All jobs of the run.
    OfRun,
    /// All jobs of the run, and this one.
    Job(JobId),
}

/// The result of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A job was submitted.
    Job {
        /// Id of the job.
        id: JobId,
        /// The run directory.
        run: PathBuf,
        /// Jobs that it waits for.
        after: Vec<JobId>,
    },
    /// The run has finished: no job was submitted.
    Finished {
        /// The run directory.
        run: PathBuf,
        /// Exit code of the run.
        exit_code: ExitCode,
    },
}

impl fmt::Display for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Submitted::Job { id, run, after } => {
                writeln!(f, "{id}")?;
                let names: Vec<_> = after.iter().map(JobId::to_string).collect();
                if !names.is_empty() {
                    writeln!(f, "  begins when {} has ended", names.join(" and "))?;
                }
                write!(f, "  `bocr follow {}` shows it", run.display())
            }
            Submitted::Finished { run, exit_code: ExitCode::Success } => {
                write!(
                    f,
                    "nothing is left to do in {}: every page is read or blank; --again submits a job that looks for \
                     new inputs",
                    run.display()
                )
            }
            Submitted::Finished { run, .. } => write!(
                f,
                "nothing is left to do in {}: all is settled, though some pages or documents failed; to read those \
                 again, add --retry, failed to `arguments` and give --again",
                run.display()
            ),
        }
    }
}

/// The script that a submit would hand to PBS. Writes nothing.
///
/// # Errors
/// The job file is wrong, or a path in it cannot be written into a script.
pub fn preview(request: &SubmitRequest) -> Result<String, SubmitError> {
    Ok(script_of(&read(request)?)?)
}

/// Writes `RUNDIR/job` and submits the job to PBS.
///
/// # Errors
/// The job file or the inputs are wrong; a job of the run is queued or running and `after` does not say to wait for it;
/// PBS does not take the job.
pub fn submit(request: &SubmitRequest) -> Result<Submitted, SubmitError> {
    let job = read(request)?;
    let script = script_of(&job)?;
    for path in job.input.iter().chain(&job.list) {
        fs::metadata(path).map_err(|source| SubmitError::Input { path: path.clone(), source })?;
    }
    configured::check(&job)?;
    check_settings(request, &job)?;
    if let Some(exit_code) = finished(&job.run)?.filter(|_| !request.again) {
        return Ok(Submitted::Finished { run: job.run, exit_code });
    }
    let folder = JobFolder::of(&job.run);
    folder.create().map_err(cannot_write(&job.run))?;
    // Held until the new job is in the list, so that no other submit runs between qsub and the entry.
    let mut list = JobList::take(&folder, LOCK_WAIT)?;
    let entries = jobs(&folder)?;
    let busy = unfinished_jobs(&entries)?;
    let after = predecessors(request, &job, &entries, &busy)?;
    if let Some((id, _)) = busy.first() {
        keeps_configuration(&job, &folder, id)?;
    }
    folder.write_configuration(&job.text).map_err(cannot_write(&folder.configuration()))?;
    folder.write_script(&script).map_err(cannot_write(&folder.script()))?;
    let id = commands::submit(&folder.script(), &after).map_err(|error| match error {
        PbsError::Answer { said, .. } => SubmitError::Unnamed { said },
        refused @ PbsError::Refused { .. } => SubmitError::Refused(refused),
        source => SubmitError::NotSubmitted { script: folder.script(), source },
    })?;
    let origin = after.last().map_or(Origin::Submitted, |job| Origin::After(job.clone()));
    let entry = JobEntry { id: id.clone(), submitted: Timestamp::now(), origin };
    list.append(&entry).map_err(|source| SubmitError::NotNoted { job: id.clone(), source })?;
    Ok(Submitted::Job { id, run: job.run, after })
}

fn script_of(job: &JobFile) -> Result<String, ScriptError> {
    script(job, &Programs::of(job)?, lost_nodes(job))
}

/// What PBS does with this job when one of its nodes is lost.
fn lost_nodes(job: &JobFile) -> LostNodes {
    if job.select.nodes.get() == 1 || job.options.iter().any(PbsOption::says_what_lost_nodes_mean) {
        return LostNodes::AsPbsDecides;
    }
    match commands::version() {
        Ok(version) if version.can_tolerate_lost_nodes() => LostNodes::Tolerated,
        Ok(_) => LostNodes::AsPbsDecides,
        Err(error) => {
            write_stderr(&format!(
                "bocr: the version of PBS is unknown ({}), so the script leaves out -W tolerate_node_failures=all: if a \
                 node is lost, PBS ends the job some minutes later; on PBS 18.2 and later, add this option to \
                 `options` in the job file\n",
                chain(&error)
            ));
            LostNodes::AsPbsDecides
        }
    }
}

fn read(request: &SubmitRequest) -> Result<JobFile, SubmitError> {
    let job = JobFile::read(&request.job_file)?;
    if JobFolder::holds_copy(&job.path) {
        return Err(JobFileError::Copy(job.path).into());
    }
    Ok(job.with(&request.overrides)?)
}

/// Checks that the run accepts the arguments and the settings of the job.
fn check_settings(request: &SubmitRequest, job: &JobFile) -> Result<(), SubmitError> {
    // As the script does: relative paths of the configuration begin there.
    std::env::set_current_dir(&job.folder).map_err(cannot_write(&job.folder))?;
    let kind = job.kind.words().iter().map(OsStr::new);
    let own = [OsStr::new("--output"), job.run.as_os_str(), OsStr::new("--config"), job.path.as_os_str()];
    let words: Vec<_> = kind.chain(own).chain(job.arguments.iter().map(OsStr::new)).collect();
    let RunSettings { configuration, accept_config } = (request.read_settings)(&words)
        .map_err(|problem| SubmitError::Arguments { path: job.path.clone(), problem })?;
    run::check_settings(&job.run, &configuration, accept_config).map_err(|error| SubmitError::Settings(Box::new(error)))
}

/// The exit code of a run that has settled all pages.
fn finished(run: &Path) -> Result<Option<ExitCode>, SubmitError> {
    let finished = Finished::read(run).map_err(cannot_write(&run.join(FINISHED_FILE)))?;
    Ok(finished.filter(Finished::is_settled).map(|finished| finished.exit_code))
}

/// Jobs of the run that have not ended, with their states.
fn unfinished_jobs(entries: &[JobEntry]) -> Result<Vec<(JobId, JobState)>, SubmitError> {
    let mut busy = Vec::new();
    for entry in entries {
        busy.extend(state(&entry.id)?.map(|state| (entry.id.clone(), state)));
    }
    Ok(busy)
}

/// The state of a job that has not ended; `None` for one that has, or that PBS no longer knows.
fn state(job: &JobId) -> Result<Option<JobState>, SubmitError> {
    let status = commands::query_job(job).map_err(|source| SubmitError::Unknown { job: job.clone(), source })?;
    Ok(status.map(|status| status.state).filter(|state| *state != JobState::Ended))
}

/// The jobs to wait for: all of the run that have not ended, and last the one that `after` names. Ended jobs are left
/// out, because PBS would refuse them.
fn predecessors(
    request: &SubmitRequest,
    job: &JobFile,
    entries: &[JobEntry],
    busy: &[(JobId, JobState)],
) -> Result<Vec<JobId>, SubmitError> {
    let mut after: Vec<JobId> = busy.iter().map(|(id, _)| id.clone()).collect();
    match (&request.after, busy.first()) {
        (None, Some((id, state))) => {
            Err(SubmitError::Busy { job: id.clone(), state: state.words(), run: job.run.clone() })
        }
        (Some(After::OfRun), _) if entries.is_empty() => Err(SubmitError::NothingBefore),
        (Some(After::Job(id)), _) if !after.contains(id) => {
            after.extend(state(id)?.map(|_| id.clone()));
            Ok(after)
        }
        _ => Ok(after),
    }
}

/// Refuses another configuration while a job uses the present one: it reads the copy of the job file whenever a rank
/// starts, and its run would refuse other settings.
fn keeps_configuration(job: &JobFile, folder: &JobFolder, busy: &JobId) -> Result<(), SubmitError> {
    let path = folder.configuration();
    let kept = fs::read_to_string(&path).ok().and_then(|text| Configuration::from_toml(&text).ok());
    match kept {
        Some(kept) if kept != job.configuration => Err(SubmitError::InUse { job: busy.clone(), configuration: path }),
        _ => Ok(()),
    }
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> SubmitError {
    let path = path.to_owned();
    move |source| SubmitError::Write { path, source }
}
