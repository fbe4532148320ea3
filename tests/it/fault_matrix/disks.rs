//! Output directories that fail, in a mount namespace of the test's own; and a clock that jumps.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::row::{Corpus, Row, ended};

/// Runs `bocr run` on a small file system that `trouble` is done to; `disk.sh` says how. The run must end with 75 and name
/// the directory; the same command on the mended file system must end with 0.
fn on_a_bad_disk(name: &'static str, trouble: &str) {
    let Some(propagation) = propagation() else {
        eprintln!("NOT RUN: {name}: mounting a file system needs root and mount namespaces");
        return;
    };
    let row = Row::with(name, Corpus::Large, "", &["--time-scale", "0.15"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fault_matrix/disk.sh");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", propagation, "bash", script.to_str().unwrap(), trouble]);
    command.arg(row.bench.run_directory()).arg(row.bench.path("out")).arg(env!("CARGO_BIN_EXE_bocr"));
    command.args(row.arguments(&[])).env(row.bench.mark().0, row.bench.mark().1);
    let mut script = row.spawn(command);
    let code = ended(&mut script);
    let said = fs::read_to_string(row.bench.path("out")).unwrap();
    assert_eq!(code, Some(0), "{name}: {said}");
    row.check();
}

/// How mounts are kept from the outer world. Below a chroot, whose root is no mount, only as it is there.
fn propagation() -> Option<&'static str> {
    let can = |propagation: &&str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", propagation, "true"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["private", "unchanged"].into_iter().find(can)
}

#[test]
fn row_disk_full() {
    on_a_bad_disk("disk full", "full");
}

#[test]
fn row_run_directory_read_only() {
    on_a_bad_disk("run directory read-only", "read-only");
}

#[test]
fn row_run_directory_gone() {
    on_a_bad_disk("run directory gone", "gone");
}

/// The clock goes back an hour, then ahead two, under all processes of a run. Nothing is measured by it.
#[test]
fn row_clock_stepped() {
    let row = Row::with("clock stepped", Corpus::Large, "", &["--time-scale", "0.6"]);
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let Some(library) = libraries.find(|library| library.exists()) else {
        eprintln!("NOT RUN: clock stepped: faketime is not installed (scripts/setup --tests)");
        return;
    };
    let clock = row.bench.write("clock", "+0");
    let mut command = row.command(&[]);
    command.envs([("LD_PRELOAD", &library), ("FAKETIME_TIMESTAMP_FILE", &clock)]);
    command.envs([("FAKETIME_NO_CACHE", "1"), ("DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    let mut run = row.spawn(command);
    for (settled, step) in [(5, "-3600"), (15, "+7200"), (25, "+0")] {
        row.until_settled(settled);
        fs::write(&clock, step).unwrap();
    }
    assert_eq!(ended(&mut run), Some(0), "{}", row.bench.log(0));
    row.check();
}
