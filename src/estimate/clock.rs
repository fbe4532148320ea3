//! Durations in the format of PBS.

use std::{fmt::Write, time::Duration};

/// A duration as HH:MM:SS, the format of a PBS walltime.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let mut text = String::new();
    let _ = write!(text, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    text
}
