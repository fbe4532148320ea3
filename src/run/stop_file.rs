//! The file that asks a run to stop. A thread checks for it, because a slow disk must not delay the main thread.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Name of the file in the run directory.
pub(crate) const STOP_FILE: &str = "stop";

const INTERVAL: Duration = Duration::from_millis(500);

/// Whether the file was seen. The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct StopFile(Arc<AtomicBool>);

impl StopFile {
    pub(super) fn watch(run_directory: &Path) -> io::Result<StopFile> {
        let seen = Arc::new(AtomicBool::new(false));
        let (path, weak) = (run_directory.join(STOP_FILE), Arc::downgrade(&seen));
        let look = move || {
            while let Some(seen) = Weak::upgrade(&weak) {
                seen.fetch_or(path.exists(), Ordering::Relaxed);
                drop(seen);
                std::thread::sleep(INTERVAL);
            }
        };
        std::thread::Builder::new().name("bocr-stop".into()).spawn(look)?;
        Ok(StopFile(seen))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
