//! The guard between a rank and its server, with real processes: whatever happens, nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod run_support;

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use run_support::{Bench, Killed, text, until};
use rustix::process::{Pid, Signal, kill_process};

/// A server that ignores SIGTERM, and so do its children, one of them a grandchild.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & sh -c 'sleep 1001 & wait' & wait";

/// A guard over `sh -c script`, with a folder to remove.
fn guard(bench: &Bench, script: &str) -> (Killed, PathBuf) {
    let folder = bench.path("socket");
    std::fs::create_dir(&folder).unwrap();
    let folder_text = folder.to_str().unwrap();
    let mut command = bench.bocr(&["guard", "--grace", "100", "--remove", folder_text, "--", "sh", "-c", script]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (Killed(child), folder)
}

/// The end of a guard. Its word is taken: once it is gone, all it guarded is gone.
fn ended(bench: &Bench, guard: &mut Killed, folder: PathBuf) -> ExitStatus {
    let mut status = None;
    until("the guard has ended", || {
        status = guard.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(bench.processes(), Vec::<String>::new());
    assert!(!folder.exists());
    status.unwrap()
}

fn until_all_run(bench: &Bench) {
    until("server, child and grandchild run", || {
        let processes = bench.processes();
        ["sleep 1000", "sleep 1001"].iter().all(|name| processes.iter().any(|process| process.starts_with(name)))
    });
}

#[test]
fn a_closed_pipe_ends_the_whole_group() {
    let bench = Bench::new();
    let (mut guard, folder) = guard(&bench, STUBBORN);
    until_all_run(&bench);
    drop(guard.0.stdin.take());
    assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0));
}

#[test]
fn a_signal_to_the_guard_ends_the_whole_group() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let bench = Bench::new();
        let (mut guard, folder) = guard(&bench, STUBBORN);
        until_all_run(&bench);
        kill_process(Pid::from_child(&guard.0), signal).unwrap();
        assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0), "{signal:?}");
    }
}

/// The server's first act is to signal its guard: there is no moment at which that would kill the guard alone.
#[test]
fn a_signal_right_after_the_start_is_not_too_early() {
    let bench = Bench::new();
    let (mut guard, folder) = guard(&bench, "kill -TERM $PPID; sleep 1000");
    assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0));
}

#[test]
fn what_a_server_leaves_behind_ends_with_it_and_its_exit_code_is_passed_on() {
    for (end, code) in [("exit 7", 7), ("exit 0", 0), ("kill -KILL $$", 137)] {
        let bench = Bench::new();
        let (mut guard, folder) = guard(&bench, &format!("trap '' TERM; (sleep 1000 & sleep 1001) & {end}"));
        assert_eq!(ended(&bench, &mut guard, folder).code(), Some(code), "{end}");
    }
}

#[test]
fn a_missing_program_is_named_and_the_folder_goes() {
    let bench = Bench::new();
    let folder = bench.path("socket");
    std::fs::create_dir(&folder).unwrap();
    let arguments = ["guard", "--remove", folder.to_str().unwrap(), "--", "no-such-vllm", "serve"];
    let output = bench.bocr(&arguments).stdin(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("cannot start the server's program `no-such-vllm`") && said.contains("PATH"), "{said}");
    assert!(!folder.exists());
}
