//! Runs that are told to stop, at bad moments too.

use std::fs;

use rustix::process::Signal;

use crate::{
    fault_matrix::row::{Corpus, Row, ended, signal},
    run_support::until,
};

#[test]
fn row_sigterm_while_sealing() {
    let row = Row::with("SIGTERM during sealing", Corpus::Large, "", &["--time-scale", "0.15"]);
    let mut run = row.start(&["--shard", "40KiB"]);
    let sealing = || {
        let store = fs::read_dir(row.bench.run_directory().join("store")).into_iter().flatten().flatten();
        store.filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp")).count() > 0
    };
    until("a shard is being written", sealing);
    signal(run.0.id() as i32, Signal::TERM);
    assert_eq!(ended(&mut run), Some(75), "{}", row.bench.log(0));
    row.bench.assert_nothing_left();
    let store = row.bench.run_directory().join("store").read_dir().unwrap();
    let left: Vec<_> = store.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".h5")), "all is sealed: {left:?}");
    row.finish(&["--shard", "40KiB"]);
}

#[test]
fn row_stopped_twice() {
    let row = Row::with("SIGINT twice", Corpus::Small, "", &["--time-scale", "1.5"]);
    let mut run = row.start(&[]);
    row.until_settled(2);
    let process = run.0.id() as i32;
    signal(process, Signal::INT);
    until("the first was heard", || row.bench.log(0).contains("received a stop signal"));
    signal(process, Signal::INT);
    assert_eq!(ended(&mut run), Some(75));
    row.finish(&[]);
}

#[test]
fn row_deadline() {
    let row = Row::with("deadline", Corpus::Small, "", &["--time-scale", "1.5"]);
    let mut run = row.start(&["--deadline", "6"]);
    assert_eq!(ended(&mut run), Some(75), "{}", row.bench.log(0));
    // By the run's own account: a loaded machine may take long to start and to end a process.
    let report = fs::read(row.bench.run_directory().join("report.json")).unwrap();
    let seconds = serde_json::from_slice::<serde_json::Value>(&report).unwrap()["seconds"].as_f64().unwrap();
    assert!(seconds < 6.0, "it took {seconds} s");
    assert!(
        !row.bench
            .run_directory()
            .join("store")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().ends_with(".journal") }),
        "all is sealed"
    );
    assert!(row.bench.pages().values().all(|(verdict, _)| verdict.class().is_none()), "no page fails for lack of time");
    row.finish(&["--deadline", "60"]);
}
