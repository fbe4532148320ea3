//! Shared memory that killed ranks have left on this node.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::getuid;

use super::RunningProcess;

const FOLDER: &str = "/dev/shm";

/// Names of the segments of Open MPI 4 and 5 (`docs/facts/mpi.md`, "Shared memory").
const PREFIXES: [&str; 2] = ["vader_segment.", "sm_segment."];

/// Removes the segments of Open MPI that belong to this user and that no process uses. Returns their number.
///
/// # Errors
/// The processes of this user cannot be listed, or a segment cannot be removed.
pub fn remove_dead_segments() -> io::Result<usize> {
    remove_dead_in(Path::new(FOLDER))
}

fn remove_dead_in(folder: &Path) -> io::Result<usize> {
    let segments = segments_of_this_user(folder);
    if segments.is_empty() {
        return Ok(0);
    }
    // Listed after the segments, so that the process of each segment is among them.
    let processes = RunningProcess::all_of_this_user()?;
    let is_dead = |segment: &&PathBuf| !processes.iter().any(|process| process.uses_file_named(segment));
    let dead: Vec<_> = segments.iter().filter(is_dead).collect();
    for segment in &dead {
        match fs::remove_file(segment) {
            // Another process of this user may have removed it.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(dead.len())
}

/// Without the folder there are none.
fn segments_of_this_user(folder: &Path) -> Vec<PathBuf> {
    let user = getuid().as_raw();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let segments = entries.filter(|entry| {
        let name = entry.file_name();
        PREFIXES.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
            && entry.metadata().is_ok_and(|metadata| metadata.uid() == user)
    });
    segments.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use super::*;

    #[test]
    fn only_segments_that_no_process_uses_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (dead, open, mapped) = (path("vader_segment.n1.1"), path("sm_segment.n1.2"), path("sm_segment.n1.3"));
        for name in [&dead, &path("other")] {
            fs::write(name, "").unwrap();
        }
        let held = File::create(&open).unwrap();
        // A process maps the file of its program.
        fs::copy("/bin/sleep", &mapped).unwrap();
        let mut sleep = Command::new(&mapped).arg("1000").spawn().unwrap();
        assert_eq!(remove_dead_in(folder.path()).unwrap(), 1);
        assert!(!dead.exists() && open.exists() && mapped.exists() && path("other").exists());
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        drop(held);
        assert_eq!(remove_dead_in(folder.path()).unwrap(), 2);
        assert_eq!(remove_dead_in(&path("missing")).unwrap(), 0);
    }
}
