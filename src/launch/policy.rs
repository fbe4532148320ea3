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

/// Time from the start of an attempt to the first check of the hosts that are left out. It doubles from check to check.
pub(super) const FIRST_HOST_CHECK: Duration = Duration::from_secs(60);

/// Longest time between two such checks.
pub(super) const LONGEST_HOST_CHECK: Duration = Duration::from_secs(600);

/// What the end of an attempt costs each rank that works: the start of the next one, and the pages in flight, which are
/// read again.
const RESTART_COST: Duration = Duration::from_secs(120);

/// Time until a host that returns reads pages: its servers load their models.
const HOST_START: Duration = Duration::from_secs(180);

/// The gain of a restart must be this many times its cost.
const GAIN_FACTOR: u32 = 2;

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

/// Whether an attempt on `working` ranks with this time left is to be ended, so that the next one has `returned` ranks
/// more. Without an estimate of the time left it is not.
pub(super) fn is_restart_worthwhile(working: u32, returned: u32, left: Option<Duration>) -> bool {
    let gain = left.unwrap_or_default().saturating_sub(HOST_START).saturating_mul(returned);
    returned > 0 && gain >= RESTART_COST.saturating_mul(working).saturating_mul(GAIN_FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_worthwhile_if_the_returned_ranks_read_more_than_it_costs() {
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        assert!(!is_restart_worthwhile(4, 2, minutes(10)) && is_restart_worthwhile(4, 2, minutes(11)));
        assert!(!is_restart_worthwhile(63, 1, minutes(254)) && is_restart_worthwhile(63, 1, minutes(255)));
        assert!(!is_restart_worthwhile(4, 4, None) && !is_restart_worthwhile(0, 0, minutes(60)));
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pauses = [0, 1, 2, 3, 6, 7, 66, 1000].map(|fruitless| pause_after(fruitless).as_secs());
        assert_eq!(pauses, [0, 0, 1, 2, 16, 30, 30, 30]);
    }
}
