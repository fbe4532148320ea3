//! Number and duration of role switches.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Number and duration of role switches: from rank 0's order until the next engine was ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleSwitchTimes {
    /// Number of role switches.
    #[serde(rename = "count", alias = "number")]
    pub number: u64,
    /// Seconds of all switches together.
    pub seconds: f64,
    /// Seconds of the longest switch.
    #[serde(rename = "longest_seconds", alias = "longest")]
    pub longest: f64,
}

impl RoleSwitchTimes {
    /// Adds a switch.
    pub fn add(&mut self, took: Duration) {
        self.number += 1;
        self.seconds += took.as_secs_f64();
        self.longest = self.longest.max(took.as_secs_f64());
    }
}

/// `3 switches from one engine to the other, mean 1.2 s, longest 2.0 s`.
impl fmt::Display for RoleSwitchTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switches = if self.number == 1 { "switch" } else { "switches" };
        let mean = self.seconds / self.number.max(1) as f64;
        write!(
            f,
            "{} {switches} from one engine to the other, mean {mean:.1} s, longest {:.1} s",
            self.number, self.longest
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_switches_are_shown_by_their_mean_and_the_longest() {
        let mut turns = RoleSwitchTimes::default();
        turns.add(Duration::from_secs(1));
        assert_eq!(turns.to_string(), "1 switch from one engine to the other, mean 1.0 s, longest 1.0 s");
        turns.add(Duration::from_secs(2));
        assert_eq!(turns.to_string(), "2 switches from one engine to the other, mean 1.5 s, longest 2.0 s");
    }
}
