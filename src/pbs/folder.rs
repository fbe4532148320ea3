//! `RUNDIR/job`: the script of a run's jobs, their output, and the list of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::sys::replace_with_mode;

use super::JobId;

/// The job folder of a run directory.
#[derive(Debug, Clone)]
pub struct JobFolder(PathBuf);

impl JobFolder {
    /// The job folder of this run directory.
    pub fn of(run_directory: &Path) -> JobFolder {
        JobFolder(run_directory.join("job"))
    }

    /// The copy of the job file; the run reads its configuration from it.
    pub fn configuration(&self) -> PathBuf {
        self.0.join("job.toml")
    }

    /// The script for qsub.
    pub fn script(&self) -> PathBuf {
        self.0.join("job.pbs")
    }

    /// The list of jobs.
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs.tsv")
    }

    /// The folder for the output of jobs.
    pub fn outputs(&self) -> PathBuf {
        self.0.join("output")
    }

    /// The output of a job, written live: `ID.OU` (`docs/facts/pbs.md`, "Output").
    pub fn output(&self, job: &JobId) -> PathBuf {
        self.outputs().join(format!("{job}.OU"))
    }

    /// Whether `file` is a copy of a job file in some job folder.
    pub fn holds_copy(file: &Path) -> bool {
        file.parent().is_some_and(|folder| {
            let folder = JobFolder(folder.to_owned());
            folder.0.ends_with("job") && file == folder.configuration() && folder.script().exists()
        })
    }

    /// Makes the folder and the one for outputs.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.outputs())
    }

    /// Writes the copy of the job file, readable by this user only: it may contain passwords.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_configuration(&self, text: &str) -> io::Result<()> {
        replace_with_mode(&self.configuration(), text.as_bytes(), 0o600)
    }

    /// Writes the script.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_script(&self, text: &str) -> io::Result<()> {
        replace_with_mode(&self.script(), text.as_bytes(), 0o755)
    }
}
