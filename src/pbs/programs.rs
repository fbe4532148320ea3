//! The programs that a job runs: this one, and the script that runs it inside a PBS job.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::{JobFile, ScriptError};

/// Variable with the project's folder, for a program that does not lie below it.
const HOME_VARIABLE: &str = "BOCR_HOME";

/// The script in the project's folder that runs `bocr run` inside a PBS job.
const PBS_JOB: &str = "scripts/pbs-job";

/// Absolute paths of a job's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Path of `bocr`.
    pub bocr: PathBuf,
    /// Path of `scripts/pbs-job`.
    pub pbs_job: PathBuf,
}

impl Programs {
    /// The programs of `job`: the `bocr` that it names, or else this program; and `scripts/pbs-job` in `BOCR_HOME`, or
    /// else in a folder above this program, as in `target/release/../..`.
    ///
    /// # Errors
    /// There is no `scripts/pbs-job`.
    pub fn of(job: &JobFile) -> Result<Programs, ScriptError> {
        let this = env::current_exe().and_then(|this| this.canonicalize()).map_err(ScriptError::NoProgram)?;
        let pbs_job = match env::var_os(HOME_VARIABLE) {
            Some(home) => at_home(Path::new(&home))?,
            None => above(&this)?,
        };
        Ok(Programs { bocr: job.bocr.clone().unwrap_or(this), pbs_job })
    }
}

fn at_home(home: &Path) -> Result<PathBuf, ScriptError> {
    let found = std::path::absolute(home.join(PBS_JOB)).ok().filter(|path| path.is_file());
    found.ok_or_else(|| ScriptError::NoScriptsAtHome(home.to_owned()))
}

fn above(program: &Path) -> Result<PathBuf, ScriptError> {
    let mut candidates = program.ancestors().skip(1).map(|folder| folder.join(PBS_JOB));
    candidates.find(|path| path.is_file()).ok_or_else(|| ScriptError::NoScripts(program.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_above_the_program_or_the_remedy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("target/release/bocr");
        assert!(above(&program).unwrap_err().to_string().contains("BOCR_HOME"));
        std::fs::create_dir(folder.path().join("scripts")).unwrap();
        std::fs::write(folder.path().join(PBS_JOB), "").unwrap();
        assert_eq!(above(&program).unwrap(), folder.path().join(PBS_JOB));
        assert_eq!(at_home(folder.path()).unwrap(), folder.path().join(PBS_JOB));
        assert!(at_home(&folder.path().join("none")).is_err());
    }
}
