//! `bocr run --walltime auto` with a qstat of each test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{env, fs, os::unix::fs::PermissionsExt, process::Output};

use crate::run_support::{Bench, text};

/// The answer about a job that began ten minutes ago.
const ANSWER: &str = "printf 'Job Id: 7.pbs\\n    job_state = R\\n    Resource_List.walltime = 01:00:00\\n'";

/// A run in a PBS job, whose qstat does `first` at the first call, `second` at the second and `later` after that.
/// Gives its output and the number of calls.
fn run_with_qstat(bench: &Bench, [first, second, later]: [&str; 3]) -> (Output, usize) {
    let (folder, calls) = (bench.path("bin"), bench.path("calls"));
    fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\necho >>{0}\ncase $(wc -l <{0}) in 1) {first} ;; 2) {second} ;; *) {later} ;; esac\n",
        calls.display()
    );
    fs::write(folder.join("qstat"), script).unwrap();
    fs::set_permissions(folder.join("qstat"), PermissionsExt::from_mode(0o755)).unwrap();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let (run, configuration) = (bench.run_directory(), bench.instant_configuration(""));
    let mut command = bench.bocr(&["run", "--walltime", "auto", "-i", input.to_str().unwrap()]);
    command.args(["-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()]);
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    let output = command.env("PBS_JOBID", "7.pbs").env("PATH", path).output().unwrap();
    (output, fs::read_to_string(&calls).unwrap().lines().count())
}

#[test]
fn a_qstat_that_answers_in_the_third_try_is_enough() {
    let bench = Bench::new();
    let (output, calls) = run_with_qstat(&bench, ["echo busy >&2; exit 1", "echo cut", ANSWER]);
    assert_eq!((output.status.code(), calls), (Some(0), 3), "{}", text(&output));
}

#[test]
fn a_qstat_that_never_answers_stops_the_run_so_that_it_can_continue() {
    let bench = Bench::new();
    let (output, calls) = run_with_qstat(&bench, ["echo 'cannot connect' >&2; exit 1"; 3]);
    assert_eq!((output.status.code(), calls), (Some(75), 3), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("cannot connect") && said.contains("--walltime HH:MM:SS"), "{said}");
}
