//! Formats durations for the user.

use std::time::Duration;

/// `duration` in seconds, with one decimal if it has a fraction: "120 s", "0.5 s". Below 0.1 s in milliseconds.
pub fn seconds_text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else if seconds < 0.1 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_have_no_fraction_and_short_times_are_in_milliseconds() {
        let text = |milliseconds| seconds_text(Duration::from_millis(milliseconds));
        assert_eq!(
            [text(0), text(120_000), text(500), text(13_240), text(40)],
            ["0 s", "120 s", "0.5 s", "13.2 s", "40 ms"]
        );
    }
}
