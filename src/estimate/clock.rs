//! Times as PBS writes them.

use std::{fmt::Write, time::Duration};

/// HH:MM:SS, as PBS reads it.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let mut text = String::new();
    let _ = write!(text, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    text
}
