//! Processes of this machine, from `/proc`.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::process::{getpid, getuid};

/// A process that runs and is not a zombie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningProcess {
    /// Process id.
    pub id: i32,
    /// Process group id.
    pub group: i32,
    /// When it started, in clock ticks since boot. Together with the boot id it distinguishes the process from a later
    /// process with the same id.
    pub started: u64,
}

impl RunningProcess {
    /// The process with this id; `None` where it has ended or is a zombie.
    pub fn of(id: i32) -> Option<RunningProcess> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        RunningProcess::from_stat(id, &stat)
    }

    /// This process.
    pub fn this() -> Option<RunningProcess> {
        RunningProcess::of(getpid().as_raw_nonzero().get())
    }

    /// All processes of this user.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn all_of_this_user() -> io::Result<Vec<RunningProcess>> {
        let user = getuid().as_raw();
        // A process may end at any moment, so an entry that cannot be read is no error.
        let entries = fs::read_dir("/proc")?.flatten();
        let owned = entries.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user));
        Ok(owned.filter_map(|entry| RunningProcess::of(entry.file_name().to_str()?.parse().ok()?)).collect())
    }

    /// Parses `/proc/ID/stat`. Fields are numbered as in proc(5): after the name, which may contain any character, come
    /// the state (3), the parent (4), the group (5) and, at 22, the start time.
    fn from_stat(id: i32, stat: &str) -> Option<RunningProcess> {
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        let group = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(16)?.parse().ok()?;
        Some(RunningProcess { id, group, started })
    }

    /// Whether the environment that it was started with has this variable with this value.
    pub fn has_variable(&self, name: &str, value: &OsStr) -> bool {
        let variables = fs::read(format!("/proc/{}/environ", self.id)).unwrap_or_default();
        let wanted = [name.as_bytes(), b"=", value.as_bytes()].concat();
        variables.split(|byte| *byte == 0).any(|variable| variable == wanted)
    }

    /// Whether it has a file of this name, in any folder, open or mapped. A process that cannot be looked at uses none.
    pub fn uses_file_named(&self, path: &Path) -> bool {
        let Some(name) = path.file_name() else { return false };
        let is_named = |target: &Path| target.file_name() == Some(name);
        // Open files before maps: a process that creates a segment opens it, maps it, and then closes it.
        let open = fs::read_dir(format!("/proc/{}/fd", self.id)).into_iter().flatten().flatten();
        if open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| is_named(&target)) {
            return true;
        }
        let maps = fs::read(format!("/proc/{}/maps", self.id)).unwrap_or_default();
        maps.split(|byte| *byte == b'\n').any(|line| is_named(Path::new(OsStr::from_bytes(line))))
    }

    /// Target of an open file descriptor: a path, or a name such as `pipe:[7]`.
    pub fn open_file(&self, descriptor: u32) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{descriptor}", self.id)).ok()
    }
}

/// The largest address space that this process has had so far, in bytes; `None` where the kernel does not report it.
///
/// # Errors
/// `/proc` cannot be read.
pub fn peak_address_space() -> io::Result<Option<u64>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")?.trim().strip_suffix(" kB"));
    Ok(peak.and_then(|kibibytes| kibibytes.parse::<u64>().ok()).map(|kibibytes| kibibytes * 1024))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_seen_with_its_variables_until_it_has_ended() {
        let mut child = Command::new("sleep").arg("1000").env("BOCR_TEST", "a=b").spawn().unwrap();
        let id = child.id() as i32;
        // Until `exec`, the child has the environment of this process.
        let has = |value: &str| {
            let process = RunningProcess::of(id).unwrap();
            process.has_variable("BOCR_TEST", OsStr::new(value))
        };
        while !has("a=b") {
            std::thread::yield_now();
        }
        assert!(!has("a") && !has("a=bc"));
        let seen = RunningProcess::of(id).unwrap();
        assert!(seen.started >= RunningProcess::this().unwrap().started);
        let all = RunningProcess::all_of_this_user().unwrap();
        assert!(all.iter().any(|process| (process.id, process.started) == (id, seen.started)));
        child.kill().unwrap();
        while RunningProcess::of(id).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn the_name_of_a_process_may_hold_anything_and_a_zombie_does_not_run() {
        let stat = |state: char| format!("7 (a) b (c) {state} 1 5 5 0 -1 4194304 9 0 0 0 1 2 3 4 20 0 1 0 4711 8192 1");
        assert_eq!(RunningProcess::from_stat(7, &stat('S')), Some(RunningProcess { id: 7, group: 5, started: 4711 }));
        assert_eq!(RunningProcess::from_stat(7, &stat('Z')), None);
    }

    #[test]
    fn the_peak_of_this_process_is_told() {
        assert!(peak_address_space().unwrap().is_some_and(|bytes| bytes > 1 << 20));
    }
}
