//! A rank whose main thread goes on while the threads of its tasks hang.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::run_support::{Bench, Killed, until};
use bulletin_ocr::report::Status;

/// The threads that run the tasks of a rank.
const THREADS: &str = "bocr-tasks";

/// The process of a rank of a run under Open MPI.
fn rank(bench: &Bench, rank: u32) -> Option<i32> {
    let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
    let is_rank = |process: i32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let runs = |line: &str| line.starts_with(env!("CARGO_BIN_EXE_bocr")) && line.contains(" run ");
    bench.marked_processes().into_iter().find(|(process, line)| runs(line) && is_rank(*process)).map(|(id, _)| id)
}

#[test]
fn a_rank_whose_tasks_hang_is_lost_although_it_sends_signs_of_life() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf", "pages/digital_ar.pdf"]);
    let configuration = bench.instant_configuration("in_flight = 1");
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{text}[schedule]\nsilence_limit = \"3s\"\ndrain = \"1s\"\n")).unwrap();
    // No page is settled while the tasks are stopped.
    let faults = bench.write("faults.toml", "[[fault]]\nkind = \"stall\"\n");
    let run = bench.run_directory();
    let arguments =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    let mut command = bench.mpirun(2, &arguments);
    command.args(["--roles", "chandra", "--faults", faults.to_str().unwrap()]);
    let said = || fs::read_to_string(bench.path("said")).unwrap();
    let mut run =
        Killed(command.stdout(Stdio::null()).stderr(File::create(bench.path("said")).unwrap()).spawn().unwrap());
    let in_flight = || Some(Status::read(&bench.run_directory()).ok()??.snapshot?.in_flight);
    until("pages are in flight", || in_flight().is_some_and(|pages| pages > 0));

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/run_support/freeze_threads.py");
    let mut command = Command::new("python3");
    command.arg(script).args([&rank(&bench, 1).unwrap().to_string(), THREADS]);
    let mut freezer = Killed(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(freezer.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if line.trim() != "frozen" {
        println!("NOT RUN: this user may not stop single threads");
        return;
    }
    let mut status = None;
    until("the run has ended", || {
        status = run.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(75), "{}", said());
    assert!(said().contains("rank 1 sends signs of life, but its tasks make no progress"), "{}", said());
}
