//! Checks the files that a job file names, before the job waits in a queue.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    engine::{Profile, check_engines},
    model::{configuration::ServerSource, error::chain},
    sys::is_program,
};

use super::{JobFile, JobFileError};

/// Checks the programs, the profiles, the prompts, PDFium and the fault scripts that `job` names. Relative paths begin at
/// the job file's folder, because the job changes there.
///
/// # Errors
/// A file cannot be read or used, or its path begins with `~`, which the job does not expand.
pub(crate) fn check(job: &JobFile) -> Result<(), JobFileError> {
    // A bare name of mpirun is searched in the job's `PATH`.
    let mpirun = job.mpirun.as_ref().map(Path::new).filter(|mpirun| mpirun.is_absolute());
    for (key, program) in [("[job] bocr", job.bocr.as_deref()), ("[job] mpirun", mpirun)] {
        if let Some(program) = program.filter(|program| !is_program(program)) {
            let problem = format!("{} is not a program that this user can run: correct the path", program.display());
            return Err(job.wrong(key, problem));
        }
    }
    let configuration = &job.configuration;
    if let Some(pdfium) = &configuration.pdfium {
        job.find("pdfium", pdfium)?;
    }
    let unknown = |error| job.wrong("stages, roles or [engines]", chain(&error));
    check_engines(&configuration.engines).map_err(unknown)?;
    for engine in configuration.engines.all() {
        let settings = configuration.engines.of(engine);
        let key = |name: &str| format!("[engines.{}] {name}", configuration.engines.name(engine));
        if let ServerSource::StandIn { faults: Some(faults), .. } = &settings.server {
            job.find(&key("server.faults"), faults)?;
        }
        let profile = configuration.engines.profile(engine);
        let profile = if Profile::built_in().any(|name| name == profile) {
            profile.to_owned()
        } else {
            job.resolve(&key("profile"), Path::new(profile))?.to_string_lossy().into_owned()
        };
        let wrong = |name: &str, error| job.wrong(&key(name), chain(&error));
        Profile::load(&profile, None).map_err(|error| wrong("profile", error))?;
        if let Some(prompt) = &settings.prompt_file {
            let prompt = job.resolve(&key("prompt_file"), prompt)?;
            Profile::load(&profile, Some(&prompt)).map_err(|error| wrong("prompt_file", error))?;
        }
    }
    Ok(())
}

impl JobFile {
    fn wrong(&self, key: &str, problem: String) -> JobFileError {
        JobFileError::Configured { path: self.path.clone(), key: key.to_owned(), problem }
    }

    fn resolve(&self, key: &str, named: &Path) -> Result<PathBuf, JobFileError> {
        if named.to_string_lossy().starts_with('~') {
            Err(self.wrong(key, format!("{}: ~ is not expanded here; give the whole path", named.display())))
        } else {
            Ok(self.folder.join(named))
        }
    }

    fn find(&self, key: &str, named: &Path) -> Result<(), JobFileError> {
        let path = self.resolve(key, named)?;
        match fs::metadata(&path) {
            Ok(_) => Ok(()),
            Err(error) => {
                let remedy = "put it there, or correct the path, which begins at the folder of the job file";
                Err(self.wrong(key, format!("cannot read {}: {error}; {remedy}", path.display())))
            }
        }
    }
}
