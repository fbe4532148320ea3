//! The files of the run directory that show the state of an attempt.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Account, FileIdentity, RunFiles};
use crate::{
    report::{FINISHED_FILE, STATUS_FILE},
    run::{STOP_FILE, StopRequest},
};

/// A run directory as the launcher uses it.
#[derive(Debug, Clone)]
pub(super) struct RunDirectory(pub(super) PathBuf);

impl RunDirectory {
    /// Path of the file that asks the run to stop.
    pub(super) fn stop_file(&self) -> PathBuf {
        self.0.join(STOP_FILE)
    }

    /// Reads the files as they are now. A file that cannot be read counts as missing.
    pub(super) fn read(&self) -> RunFiles {
        // A network file system may cache that a file does not exist, until the folder is read.
        let _ = fs::read_dir(&self.0).map(Iterator::count);
        RunFiles {
            account: read_account(&self.0.join(FINISHED_FILE)).ok(),
            status: fs::read(self.0.join(STATUS_FILE)).ok(),
            stop_requested: self.stop_file().exists(),
        }
    }

    /// Creates the stop file, if it does not exist. `time_left` is the time until the processes are killed.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub(super) fn ask_to_stop(&self, time_left: Option<Duration>) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        StopRequest { time_left }.write(&self.stop_file())
    }

    /// Removes the stop file.
    ///
    /// # Errors
    /// It exists and cannot be removed.
    pub(super) fn remove_stop_file(&self) -> io::Result<()> {
        remove(&self.stop_file())
    }

    /// Removes the account (`finished.json`).
    ///
    /// # Errors
    /// It exists and cannot be removed.
    pub(super) fn remove_account(&self) -> io::Result<()> {
        remove(&self.0.join(FINISHED_FILE))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Identity and content of one version of the file: a run replaces the file atomically.
fn read_account(path: &Path) -> io::Result<Account> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let identity = FileIdentity { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Account { identity, finished: serde_json::from_slice(&bytes).ok() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_account_is_distinguished_from_an_earlier_one_of_the_same_content() {
        let folder = tempfile::tempdir().unwrap();
        let directory = RunDirectory(folder.path().join("run"));
        assert_eq!(directory.read(), RunFiles::default());
        directory.ask_to_stop(None).unwrap();
        directory.ask_to_stop(Some(Duration::from_secs(8))).unwrap();
        assert!(directory.read().stop_requested);
        let path = directory.0.join(FINISHED_FILE);
        let text = r#"{"exit_code":75,"outcome":{"stopped":"deadline"},"again":false,"silent_hosts":[]}"#;
        fs::write(&path, text).unwrap();
        let first = directory.read().account.unwrap();
        assert_eq!(
            first.finished.as_ref().map(|finished| finished.exit_code),
            Some(crate::sys::ExitCode::StoppedEarly)
        );
        let other = path.with_extension("new");
        fs::write(&other, "{").unwrap();
        fs::rename(&other, &path).unwrap();
        let second = directory.read().account.unwrap();
        assert!(second.identity != first.identity && second.finished.is_none());
        directory.remove_account().unwrap();
        directory.remove_stop_file().unwrap();
        directory.remove_stop_file().unwrap();
        assert_eq!(directory.read(), RunFiles::default());
    }
}
