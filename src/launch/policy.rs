//! Limits of the launcher.

use std::{path::PathBuf, time::Duration};

/// Interval between checks of the run's files.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Time for mpirun to end by itself after the run gave its account.
pub(super) const ACCOUNT_GRACE: Duration = Duration::from_secs(10);

/// The same if a rank was lost or a signal arrived: PBS may not leave more time.
pub(super) const SHORT_ACCOUNT_GRACE: Duration = Duration::from_secs(2);

/// Time for mpirun to end after a signal.
pub(super) const SIGNAL_GRACE: Duration = Duration::from_secs(3);

/// Time that mpirun needs to end after the run, before the processes are killed.
pub(super) const KILL_RESERVE: Duration = Duration::from_secs(2);

/// With less time left no attempt starts.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_secs(5);

/// Time after the end of the time limit until mpirun is ended.
pub(super) const OVERTIME: Duration = Duration::from_secs(10);

/// Longest pause between attempts that settle no page.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The user's settings for the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Number of consecutive attempts without a settled page after which the launcher gives up; at least 1.
    pub attempts: u32,
    /// Time from the launcher's start by which all attempts must have ended; `None` without a limit.
    pub time: Option<Duration>,
    /// mpirun is ended if the status file of the run does not change for this long.
    pub silence: Duration,
    /// After a signal, all processes are killed in this time; `None` if nothing kills them.
    pub kill_delay: Option<Duration>,
    /// Path of the stop file in the run directory, for messages.
    pub stop_file: PathBuf,
}

/// The pause before the next attempt. The first new attempt starts at once. Attempts that settle nothing may meet a
/// fault that passes, so the pause doubles.
pub(super) fn pause_after(fruitless: u32) -> Duration {
    let exponent = match fruitless {
        0 | 1 => return Duration::ZERO,
        more => more - 2,
    };
    2u64.checked_pow(exponent).map_or(LONGEST_PAUSE, |seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pauses = [0, 1, 2, 3, 6, 7, 66, 1000].map(|fruitless| pause_after(fruitless).as_secs());
        assert_eq!(pauses, [0, 0, 1, 2, 16, 30, 30, 30]);
    }
}
