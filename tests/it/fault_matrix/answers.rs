//! Answers that are not what they seem.

use super::row::{Corpus, Row, ended};

/// Three requests go wrong this way, each of another page.
fn thrice(name: &'static str, kind: &str) {
    let row = Row::with(name, Corpus::Small, "attempts = 8", &["--time-scale", "0.02"]);
    let faults: String =
        [3, 8, 12].map(|nth| format!("[[fault]]\nnth = {nth}\nkind = \"{kind}\"\nafter_tokens = 20\n")).concat();
    let mut run = row.start_with_faults(&faults);
    assert_eq!(ended(&mut run), Some(0), "{name}: {}", row.bench.log(0));
    row.check();
}

#[test]
fn row_slow_loris() {
    thrice("slow loris", "slow-loris");
}

#[test]
fn row_streams_cut() {
    thrice("streams cut without a word", "cut");
}

#[test]
fn row_streams_done_too_early() {
    thrice("streams done without a finish reason", "done-early");
}

#[test]
fn row_invalid_utf8() {
    thrice("invalid UTF-8", "garbage-utf8");
}

#[test]
fn row_invalid_json() {
    thrice("invalid JSON", "garbage-json");
}

#[test]
fn row_huge_answers() {
    thrice("answers of 10 MB", "huge-event");
}

#[test]
fn row_abort_with_200() {
    thrice("abort with HTTP 200", "abort");
}

#[test]
fn row_error_events() {
    thrice("error event within a stream", "error-event-other");
}
