//! The fault matrix: what may happen to a run, how it is done to it here, and what must hold afterwards.
//!
//! `matrix.md` is the table; every row names its test, and the first test holds the two together. Every row ends the same
//! way: the same command, given again until it is done, has settled every page once, `bocr verify` finds nothing, and
//! the text is that of a run without the fault.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod answers;
mod disks;
mod failing_servers;
mod hanging;
mod inputs;
mod processes;
mod row;
mod servers;
mod stopping;

use std::{fs, path::Path};

/// The table and the tests are the same rows.
#[test]
fn every_row_has_its_test_and_every_test_its_row() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let table = fs::read_to_string(folder.join("it/fault_matrix/matrix.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<String> = rows
        .map(|line| {
            let cell = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
            cell.trim().trim_matches('`').to_owned()
        })
        .collect();
    let sources: Vec<_> = fs::read_dir(folder.join("it/fault_matrix"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([folder.join("it/launch.rs")])
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for name in &named {
        assert!(sources.iter().any(|source| source.contains(&format!("fn {name}()"))), "no test for the row `{name}`");
    }
    let tests = sources.iter().flat_map(|source| {
        source
            .split("#[test]\n")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("fn ")?.1.split_once("()")?.0.to_owned()))
    });
    for test in tests.filter(|test| test.starts_with("row_")) {
        assert!(named.contains(&test), "no row in matrix.md for the test `{test}`");
    }
    assert!(named.len() >= 25, "{named:?}");
}
