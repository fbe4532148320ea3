//! The arguments of `bocr run` that the launcher understands.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use super::LaunchError;
use crate::sys::ProcessLimits;

/// Seconds that a run waits until an earlier attempt has released the run directory.
const EARLIER_ATTEMPT: u64 = 30;

/// The arguments of `bocr run`, as far as the launcher understands them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RunArguments {
    pub(super) run_directory: PathBuf,
    /// Seconds after which the run must have ended.
    pub(super) deadline: Option<u64>,
    has_walltime: bool,
    has_linger: bool,
    has_wait: bool,
}

impl RunArguments {
    /// Reads the words of a command line. If an option is repeated, the last one counts.
    ///
    /// # Errors
    /// They do not name the run directory, or their time limit does not suit several attempts.
    pub(super) fn read(words: &[OsString]) -> Result<RunArguments, LaunchError> {
        let mut found = RunArguments::default();
        let (mut deadline, mut walltime) = (None, None);
        let mut words = words.iter().map(|word| word.as_bytes());
        while let Some(word) = words.next() {
            let (option, value) = split_option(word);
            match option {
                b"-o" | b"--output" => found.run_directory = path(value.or_else(|| words.next())),
                b"--deadline" => deadline = value.or_else(|| words.next()),
                b"--walltime" => walltime = value.or_else(|| words.next()),
                b"--linger" => found.has_linger = true,
                b"--wait" => found.has_wait = true,
                _ => {}
            }
        }
        if found.run_directory.as_os_str().is_empty() {
            return Err(LaunchError::NoRunDirectory);
        }
        found.deadline = deadline.map(seconds).transpose()?;
        match walltime {
            Some(b"auto") => found.has_walltime = true,
            Some(_) => return Err(LaunchError::Walltime),
            None => {}
        }
        Ok(found)
    }

    /// The time limit of all attempts together: `time`, otherwise the deadline of the run.
    ///
    /// # Errors
    /// The walltime already limits the run.
    pub(super) fn time(&self, time: Option<u64>) -> Result<Option<u64>, LaunchError> {
        let time = time.or(self.deadline);
        if time.is_some() && self.has_walltime {
            return Err(LaunchError::TimeAndWalltime);
        }
        Ok(time)
    }

    /// Options that the launcher adds. `linger`, the orphan grace of the servers in seconds, counts if the user gave
    /// none. The ranks get these `limits`.
    pub(super) fn own_options(&self, linger: u64, limits: &ProcessLimits) -> Vec<OsString> {
        let linger = (!self.has_linger).then(|| ["--linger".to_owned(), linger.to_string()]);
        let wait = (!self.has_wait).then(|| ["--wait".to_owned(), EARLIER_ATTEMPT.to_string()]);
        let own = ["--code-in-file".to_owned(), "--process-limits".to_owned(), limits.to_string()];
        linger.into_iter().chain(wait).flatten().chain(own).map(OsString::from).collect()
    }
}

/// Splits an option from a value in the same word: `--output=x`, `-o=x`, `-ox`.
fn split_option(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    if word.starts_with(b"--") {
        return match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
    }
    match word.strip_prefix(b"-o") {
        Some(value) if !value.is_empty() => (b"-o", Some(value.strip_prefix(b"=").unwrap_or(value))),
        _ => (word, None),
    }
}

fn path(value: Option<&[u8]>) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(value.unwrap_or_default()))
}

fn seconds(value: &[u8]) -> Result<u64, LaunchError> {
    let text = String::from_utf8_lossy(value);
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| LaunchError::Deadline(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<RunArguments, LaunchError> {
        RunArguments::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_run_directory_is_found_in_each_way_to_write_it() {
        for line in ["-i in -o run", "--output run -i in", "--output=run", "-orun", "-o=run", "-o other -o run"] {
            assert_eq!(read(line).unwrap().run_directory, PathBuf::from("run"), "{line}");
        }
        for line in ["-i in", "-o", "--output=", ""] {
            assert!(matches!(read(line), Err(LaunchError::NoRunDirectory)), "{line}");
        }
    }

    #[test]
    fn the_deadline_of_the_run_limits_all_attempts_unless_a_time_is_given() {
        let arguments = read("-o run --deadline 50 --deadline=60").unwrap();
        assert_eq!((arguments.time(None).unwrap(), arguments.time(Some(90)).unwrap()), (Some(60), Some(90)));
        assert!(matches!(read("-o run --deadline soon"), Err(LaunchError::Deadline(text)) if text == "soon"));
    }

    #[test]
    fn a_walltime_is_left_to_the_scheduler_or_refused() {
        assert!(matches!(read("-o run --walltime 01:00:00"), Err(LaunchError::Walltime)));
        let auto = read("-o run --walltime auto").unwrap();
        assert_eq!(auto.time(None).unwrap(), None);
        assert!(matches!(auto.time(Some(1)), Err(LaunchError::TimeAndWalltime)));
    }

    #[test]
    fn options_of_the_user_win_over_those_of_the_launcher() {
        let limits = "umask=022,nofile=99".parse().unwrap();
        let own = |line: &str| read(line).unwrap().own_options(120, &limits).join(OsStr::new(" "));
        assert_eq!(own("-o run"), "--linger 120 --wait 30 --code-in-file --process-limits umask=022,nofile=99");
        assert_eq!(own("-o run --wait=5"), "--linger 120 --code-in-file --process-limits umask=022,nofile=99");
        assert_eq!(own("-o run --linger 7 --wait 1"), "--code-in-file --process-limits umask=022,nofile=99");
    }
}
