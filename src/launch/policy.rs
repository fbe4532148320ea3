//! Limits of the launcher.

use std::{path::PathBuf, time::Duration};

/// Between looks at the files of the run.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// For mpirun to end by itself once the run has given its account.
pub(super) const ACCOUNT_GRACE: Duration = Duration::from_secs(10);

/// The same where a rank was lost, or a signal asked for the end: PBS may not leave more time.
pub(super) const SHORT_ACCOUNT_GRACE: Duration = Duration::from_secs(2);

/// For mpirun to end once it has got a signal.
pub(super) const SIGNAL_GRACE: Duration = Duration::from_secs(3);

/// With less time left no attempt begins.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_secs(5);

/// After the end of the time, until mpirun is killed.
pub(super) const OVERTIME: Duration = Duration::from_secs(10);

/// Longest pause between attempts that settle no page.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a user decides about the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in a row that settle no page, after which the launcher gives up; at least 1.
    pub attempts: u32,
    /// Since the launcher's beginning: when all attempts must have ended. `None` without a limit.
    pub time: Option<Duration>,
    /// mpirun is ended when the status file of the run does not change for so long.
    pub silence: Duration,
    /// The file in the run directory that asks the run to stop; for messages.
    pub stop_file: PathBuf,
}

/// The pause before the next attempt. The first new attempt comes at once; one that settles nothing may meet a trouble
/// that passes.
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
