//! The guard between a rank and its server, with real processes: whatever happens, nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{DirBuilder, File},
    io::{Read, Write},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::run_support::{Bench, Killed, text, until};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, getsid, kill_process},
};

/// A server that ignores SIGTERM, and so do its children, one of them a grandchild.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & sh -c 'sleep 1001 & wait' & wait";

/// A guard over `sh -c script`, with its folder.
fn guard(bench: &Bench, script: &str) -> (Killed, PathBuf) {
    lingering_guard(bench, 0, script)
}

fn lingering_guard(bench: &Bench, linger: u32, script: &str) -> (Killed, PathBuf) {
    let folder = bench.path("guards/chandra-0");
    let (folder_text, linger) = (folder.to_str().unwrap(), linger.to_string());
    let arguments = ["guard", "--grace", "100", "--linger", &linger, "--folder", folder_text, "--", "sh", "-c", script];
    let mut command = bench.bocr(&arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (Killed(child), folder)
}

/// The end of a guard. Its word is taken: once it is gone, all it guarded is gone.
fn ended(bench: &Bench, guard: &mut Killed, folder: PathBuf) -> ExitStatus {
    let status = status(guard);
    assert_eq!(bench.processes(), Vec::<String>::new());
    assert!(!folder.exists() && !folder.parent().unwrap().exists());
    status
}

fn status(guard: &mut Killed) -> ExitStatus {
    let mut status = None;
    until("the guard has ended", || {
        status = guard.0.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Connects to the guard until it answers this.
fn ask_until(folder: &Path, answer: &[u8; 1]) -> UnixStream {
    let mut connected = None;
    until("the guard answers so", || {
        let Ok(mut stream) = UnixStream::connect(folder.join("control.sock")) else { return false };
        let mut said = [0];
        let right = stream.read_exact(&mut said).is_ok() && said == *answer;
        connected = right.then_some(stream);
        right
    });
    connected.unwrap()
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
    let folder = bench.path("guards/chandra-0");
    let arguments = ["guard", "--folder", folder.to_str().unwrap(), "--", "no-such-vllm", "serve"];
    let output = bench.bocr(&arguments).stdin(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("cannot start the server's program `no-such-vllm`") && said.contains("PATH"), "{said}");
    assert!(!folder.exists());
}

/// As at the end of a PBS job, whose `TMPDIR` has the folder. Until then nothing that ends the rank's session ends it.
#[test]
fn a_guard_has_its_own_session_and_ends_when_its_folder_is_removed() {
    let bench = Bench::new();
    let (mut guard, folder) = lingering_guard(&bench, 1000, STUBBORN);
    until_all_run(&bench);
    let process = Pid::from_child(&guard.0);
    assert_eq!(getsid(Some(process)).unwrap(), process);
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0));
}

#[test]
fn a_goodbye_ends_the_server_however_long_it_may_linger() {
    for word in [b"q", b"k"] {
        let bench = Bench::new();
        let (mut guard, folder) = lingering_guard(&bench, 1000, STUBBORN);
        until_all_run(&bench);
        guard.0.stdin.as_mut().unwrap().write_all(word).unwrap();
        assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0));
    }
}

#[test]
fn a_server_whose_holder_died_is_taken_over_by_one_and_only_one() {
    let bench = Bench::new();
    let (mut guard, folder) = lingering_guard(&bench, 1000, STUBBORN);
    until_all_run(&bench);
    drop(ask_until(&folder, b"b"));
    drop(guard.0.stdin.take());
    let second = ask_until(&folder, b"h");
    drop(ask_until(&folder, b"b"));
    drop(second);
    let mut third = ask_until(&folder, b"h");
    until_all_run(&bench);
    third.write_all(b"q").unwrap();
    assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0));
    assert_eq!(third.read(&mut [0]).unwrap_or(0), 0, "told by the end of the connection");
}

#[test]
fn a_server_that_nobody_takes_over_ends_after_its_linger_time() {
    let bench = Bench::new();
    let (mut guard, folder) = lingering_guard(&bench, 1, STUBBORN);
    until_all_run(&bench);
    let start = Instant::now();
    drop(guard.0.stdin.take());
    assert_eq!(ended(&bench, &mut guard, folder).code(), Some(0));
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_second_guard_of_the_same_folder_does_nothing() {
    let bench = Bench::new();
    let (mut first, folder) = guard(&bench, STUBBORN);
    until_all_run(&bench);
    let arguments = ["guard", "--folder", folder.to_str().unwrap(), "--", "touch", "never"];
    let mut second = bench.bocr(&arguments);
    second.current_dir(bench.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    // Nobody would hear what a guard without a holder says.
    let holder = second.stdin.take();
    let second = second.wait_with_output().unwrap();
    drop(holder);
    assert!(!second.status.success() && text(&second).contains("another guard is at work"), "{}", text(&second));
    assert!(!bench.path("never").exists());
    until_all_run(&bench);
    drop(first.0.stdin.take());
    ended(&bench, &mut first, folder);
}

#[test]
fn what_a_killed_guard_leaves_is_gone_before_the_next_server_starts() {
    let bench = Bench::new();
    let lock = bench.path("lock");
    let holding = format!("exec 9>{}; flock -n 9 || touch {0}-taken; {STUBBORN}", lock.display());
    let (mut first, folder) = guard(&bench, &holding);
    until_all_run(&bench);
    first.0.kill().unwrap();
    status(&mut first);
    until_all_run(&bench);
    assert!(folder.exists());
    let old = bench.marked_processes();
    let (mut second, folder) = guard(&bench, &holding);
    until("the old processes are gone", || bench.marked_processes().iter().all(|process| !old.contains(process)));
    until_all_run(&bench);
    assert!(!bench.path("lock-taken").exists(), "two servers at one time");
    drop(second.0.stdin.take());
    ended(&bench, &mut second, folder);
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let bench = Bench::new();
    let folder = bench.path("guards/chandra-0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["guard", "--folder", folder.to_str().unwrap(), "--", "true"];
    let output = bench.bocr(&arguments).stdin(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && text(&output).contains("only this user can enter"), "{}", text(&output));
}

#[test]
fn a_folder_whose_place_is_missing_is_named_at_once() {
    let bench = Bench::new();
    let folder = bench.path("missing/guards/chandra-0");
    let arguments = ["guard", "--folder", folder.to_str().unwrap(), "--", "true"];
    let mut guard = bench.bocr(&arguments);
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut guard = Killed(guard.spawn().unwrap());
    assert_eq!(status(&mut guard).code(), Some(1));
    let mut said = String::new();
    guard.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains(folder.to_str().unwrap()) && said.contains("set TMPDIR"), "{said}");
}

/// Whatever it waits for, here a folder that somebody else has: it needs not do what is not wanted any more.
#[test]
fn a_guard_that_is_still_starting_hears_its_holder_and_signals() {
    for signal in [false, true] {
        let bench = Bench::new();
        let run = bench.path("guards");
        DirBuilder::new().mode(0o700).create(&run).unwrap();
        DirBuilder::new().mode(0o700).create(run.join("chandra-0")).unwrap();
        let lock = File::create(run.join("chandra-0/lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let (mut guard, _) = guard(&bench, "touch started");
        if signal {
            // It has its signals from its first act on; before that, one would kill it.
            let handled = |id| {
                let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
                let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap_or_default();
                u64::from_str_radix(caught, 16).unwrap_or_default() & (1 << 14) != 0
            };
            until("it catches SIGTERM", || handled(guard.0.id()));
            kill_process(Pid::from_child(&guard.0), Signal::TERM).unwrap();
        } else {
            drop(guard.0.stdin.take());
        }
        assert_eq!(status(&mut guard).code(), Some(0), "told in order, not refused the folder");
    }
}
