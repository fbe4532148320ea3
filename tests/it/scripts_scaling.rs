//! `scripts/scaling`: its arithmetic, and an experiment of two small runs.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

fn scaling(out: &Path, arguments: &[&str]) -> Output {
    Command::new(format!("{PROJECT}/scripts/scaling"))
        .args(["--ranks", "1,2", "--mode", "weak", "--repeats", "1", "--rate", "20", "--no-plots"])
        .args(["--bocr", env!("CARGO_BIN_EXE_bocr"), "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

#[test]
fn speed_up_and_serial_fraction_are_right() {
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "tests/python/test_scaling.py"])
        .env("PYTHONPATH", "scripts/lib")
        .current_dir(PROJECT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_experiment_of_two_runs_is_measured_and_not_run_twice() {
    let folder = tempfile::tempdir().unwrap();
    let output = scaling(folder.path(), &["--pages", "40"]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));

    let table = fs::read_to_string(folder.path().join("runs.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let number = |row: &[&str], name: &str| -> f64 {
        let place = rows[0].iter().position(|field| *field == name).unwrap();
        row[place].parse().unwrap_or_else(|_| panic!("{name} of {row:?}"))
    };
    assert_eq!(rows.len(), 3);
    for (row, ranks) in rows[1..].iter().zip([1.0, 2.0]) {
        assert_eq!((row[0], number(row, "ranks"), number(row, "pages")), ("weak", ranks, 40.0 * ranks));
        let phases = ["start_seconds", "reading_seconds", "end_seconds"].map(|name| number(row, name));
        assert!(phases.iter().all(|seconds| *seconds > 0.0), "{table}");
        assert!((phases.iter().sum::<f64>() - number(row, "seconds")).abs() < 0.01, "{table}");
        let parts = ["busy", "idle_rendering", "idle_no_pages", "starting", "down", "draining", "outside"];
        let parts: f64 = parts.iter().map(|name| number(row, name)).sum();
        assert!((parts - ranks * number(row, "seconds")).abs() < 0.01, "{table}");
        assert!(number(row, "busy") > 0.0 && number(row, "outside") > 0.0, "{table}");
        assert!(number(row, "first_page_seconds") > number(row, "start_seconds"), "{table}");
        assert!(number(row, "cpu_seconds") > 0.0, "{table}");
    }
    let page = fs::read_to_string(folder.path().join("scaling.md")).unwrap();
    assert!(page.contains("| 1 | 1 | 40 |") && page.contains("| 2 | 1 | 80 |"), "{page}");

    assert_eq!(code(&scaling(folder.path(), &["--pages", "40"])), 0);
    assert_eq!(fs::read_to_string(folder.path().join("runs.csv")).unwrap(), table);
    let other = scaling(folder.path(), &["--pages", "20"]);
    assert_eq!(code(&other), 2);
    assert!(String::from_utf8_lossy(&other.stderr).contains("with other pages"), "{other:?}");
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--ranks", "0,2"][..], "`0` is no whole number from 1"),
        (&["--config", "Cargo.toml"], "--config needs --pages"),
        (&["--per-host", "2"], "--per-host needs --hosts"),
        (&["--report-only"], "holds no run"),
    ] {
        let output = scaling(folder.path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}
