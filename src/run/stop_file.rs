//! The file that asks a run to stop. A thread checks for it, because a slow disk must not delay the main thread.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use crate::sys::replace;

/// Name of the file in the run directory.
pub(crate) const STOP_FILE: &str = "stop";

const INTERVAL: Duration = Duration::from_millis(500);

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopRequest {
    /// Time until the processes of the run are killed; `None` if nothing kills them. The file has it as a number of
    /// seconds. An empty file, as a person makes it, has none.
    pub(crate) time_left: Option<Duration>,
}

impl StopRequest {
    /// Writes the stop file. Does nothing if it is there and says as much.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub(crate) fn write(self, path: &Path) -> io::Result<()> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() > 0 || self.time_left.is_none() => Ok(()),
            _ => {
                replace(path, self.time_left.map(|left| left.as_secs_f64().to_string()).unwrap_or_default().as_bytes())
            }
        }
    }

    /// Reads the stop file; `None` without one. A content that is no number of seconds says nothing.
    fn read(path: &Path) -> Option<StopRequest> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.unwrap_or_default(),
        };
        let seconds = text.trim().parse().ok();
        Some(StopRequest { time_left: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) })
    }
}

/// The request that was read last. The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct StopFile(Arc<Mutex<Option<StopRequest>>>);

impl StopFile {
    pub(super) fn watch(run_directory: &Path) -> io::Result<StopFile> {
        let seen = Arc::new(Mutex::new(None));
        let (path, weak) = (run_directory.join(STOP_FILE), Arc::downgrade(&seen));
        let look = move || {
            while let Some(seen) = Weak::upgrade(&weak) {
                if let Some(request) = StopRequest::read(&path) {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
                }
                drop(seen);
                std::thread::sleep(INTERVAL);
            }
        };
        std::thread::Builder::new().name("bocr-stop".into()).spawn(look)?;
        Ok(StopFile(seen))
    }

    pub(super) fn request(&self) -> Option<StopRequest> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_added_to_the_file_of_a_person() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STOP_FILE);
        let (asked, hurried) =
            (StopRequest { time_left: None }, StopRequest { time_left: Some(Duration::from_millis(7500)) });
        assert_eq!(StopRequest::read(&path), None);
        for (written, read) in [(asked, asked), (asked, asked), (hurried, hurried), (asked, hurried)] {
            written.write(&path).unwrap();
            assert_eq!(StopRequest::read(&path), Some(read));
        }
        fs::write(&path, "please").unwrap();
        assert_eq!(StopRequest::read(&path), Some(asked));
    }
}
