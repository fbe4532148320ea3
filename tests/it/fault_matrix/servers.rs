//! Servers that misbehave as processes: hang, storm, cut lines.

use std::fs;

use crate::{
    fault_matrix::row::{Corpus, Row, ended},
    run_support::until,
};

/// The fault happens once: its script is emptied as soon as a server's log tells of it.
fn once(name: &'static str, fault: &str, log_word: &str) {
    let row = Row::new(name);
    let mut run = row.start_with_faults(fault);
    let told = || {
        let logs = fs::read_dir(row.bench.run_directory().join("logs")).into_iter().flatten().flatten();
        logs.filter_map(|entry| fs::read_to_string(entry.path()).ok()).any(|log| log.contains(log_word))
    };
    until("the fault has happened", told);
    fs::write(row.bench.path("faults.toml"), "").unwrap();
    assert_eq!(ended(&mut run), Some(0), "{name}: {}", row.bench.log(0));
    row.check();
}

#[test]
fn row_server_hangs() {
    once("hung engine, /health stays 200", "[[fault]]\nnth = 9\nkind = \"hang\"\n", "hang");
}

#[test]
fn row_engine_dies() {
    once("engine dies under its requests", "[[fault]]\nnth = 9\nkind = \"death\"\n", "death");
}

#[test]
fn row_engine_says_that_it_dies() {
    once("engine says that it dies", "[[fault]]\nnth = 9\nkind = \"error-event\"\n", "fault error-event");
}

/// A fault that passes by itself.
fn passing(name: &'static str, faults: &str) {
    let row = Row::with(name, Corpus::Small, "attempts = 8", &["--time-scale", "0.02"]);
    let mut run = row.start_with_faults(faults);
    assert_eq!(ended(&mut run), Some(0), "{name}: {}", row.bench.log(0));
    row.check();
}

#[test]
fn row_storm_of_500() {
    passing("storm of HTTP 500", "[[fault]]\nkind = \"500\"\nprobability = 0.3\n");
}

#[test]
fn row_storm_of_503() {
    passing("storm of HTTP 503", "[[fault]]\nkind = \"503\"\nprobability = 0.3\n");
}

#[test]
fn row_connections_reset() {
    passing("connections reset", "[[fault]]\nkind = \"reset\"\nprobability = 0.3\n");
}
