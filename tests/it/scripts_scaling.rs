//! `scripts/scaling`: an experiment with synthetic servers through scripts/launch.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

fn scaling(out: &Path, arguments: &[&str]) -> Output {
    Command::new(format!("{PROJECT}/scripts/scaling"))
        .args(["--ranks", "2", "--rate", "20", "--bocr", env!("CARGO_BIN_EXE_bocr"), "--out"])
        .arg(out)
        .args(arguments)
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
        .output()
        .unwrap()
}

#[test]
fn a_curve_with_synthetic_servers_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["--", "--mode", "weak", "--pages", "20", "--repeats", "2", "--most-repeats", "2"];
    let output = scaling(folder.path(), &few);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = fs::read_to_string(folder.path().join("scaling.md")).unwrap();
    assert!(page.contains("| 1 | 2 | 20 |") && page.contains("| 2 | 2 | 40 |"), "{page}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&page));
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--rate", "0"][..], "is no number from 0.01 to 100"),
        (&["--mode", "weak"], "`--mode` is no option"),
        (&["--hosts"], "--hosts needs a value"),
        (&["--", "--mode", "both", "--ranks", "4"], "needs 4 ranks, but this job has 2"),
    ] {
        let output = scaling(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}
