//! Turns of ranks from one engine to the other.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// How often ranks turned from one engine to the other, and how long that took: from rank 0's word until the other engine
/// was ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Turns {
    /// How often.
    pub number: u64,
    /// Seconds of all together.
    pub seconds: f64,
    /// Seconds of the longest.
    pub longest: f64,
}

impl Turns {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        self.number += 1;
        self.seconds += took.as_secs_f64();
        self.longest = self.longest.max(took.as_secs_f64());
    }
}

/// `3 turns from one engine to the other, 1.2 s on the mean, 2.0 s the longest`.
impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turns = if self.number == 1 { "turn" } else { "turns" };
        let mean = self.seconds / self.number.max(1) as f64;
        write!(
            f,
            "{} {turns} from one engine to the other, {mean:.1} s on the mean, {:.1} s the longest",
            self.number, self.longest
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_told_by_their_mean_and_the_longest() {
        let mut turns = Turns::default();
        turns.add(Duration::from_secs(1));
        assert_eq!(turns.to_string(), "1 turn from one engine to the other, 1.0 s on the mean, 1.0 s the longest");
        turns.add(Duration::from_secs(2));
        assert_eq!(turns.to_string(), "2 turns from one engine to the other, 1.5 s on the mean, 2.0 s the longest");
    }
}
