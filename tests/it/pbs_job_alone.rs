//! `scripts/pbs-job` in a job on this host alone, without ranks: its chain, its usage, and its exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{fs, io::Write, process::Command};

use crate::pbs_support::alone::{Alone, JOB, NEXT, SETTLES_A_PAGE};
use crate::run_support::{Killed, text, until};

#[test]
fn a_job_that_was_deleted_does_not_stop_the_chain_and_one_that_waits_does() {
    let job = Alone::new(SETTLES_A_PAGE);
    let listed = format!("{JOB}\t2026-01-02T03:04:05Z\tsubmitted\n2.pbs\t2026-01-02T03:04:06Z\tafter {JOB}\n");
    job.write("run/job/jobs.tsv", &listed);
    let (code, said) = job.run(&["--chain", "08", "--reserve", "080"]);
    assert!(code == Some(75) && said.contains("time limit of the run: none"), "{said}");
    let script = job.path("run/job/job.pbs");
    assert_eq!(
        job.read("submitted"),
        format!("-W depend=afterany:{JOB} -v BOCR_CHAIN=7 {}\n", script.display()),
        "{said}"
    );
    let listed = job.read("run/job/jobs.tsv");
    let last = listed.lines().last().unwrap();
    assert!(last.starts_with(NEXT) && last.ends_with(&format!("\tchain {JOB}")), "{listed}");

    fs::remove_file(job.path("submitted")).unwrap();
    job.qstat("2.pbs", "job_state = H");
    let (code, said) = job.run(&["--chain", "1"]);
    assert!(code == Some(75) && said.contains("job 2.pbs of this run is in the queue already"), "{said}");
    assert!(!job.path("submitted").exists());
}

#[test]
fn a_job_that_begins_before_its_submit_has_listed_it_is_listed_once() {
    let job = Alone::new(SETTLES_A_PAGE);
    let path = job.path("run/job/jobs.tsv");
    let mut list = fs::File::options().append(true).create(true).open(&path).unwrap();
    list.lock().unwrap();
    let mut child = Killed(job.start(&[]));
    let children = |id: u32| fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let waits = |id: u32| {
        children(id)
            .split(' ')
            .any(|child| fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "flock\n"))
    };
    until("it waits for the list", || waits(child.0.id()) || child.0.try_wait().unwrap().is_some());
    writeln!(list, "{JOB}\t2026-01-02T03:04:05Z\tsubmitted").unwrap();
    drop(list);
    child.0.wait().unwrap();
    assert_eq!(job.read("run/job/jobs.tsv").matches(JOB).count(), 1, "{}", job.read("output"));
}

#[test]
fn the_script_of_the_next_job_is_kept_at_the_start() {
    let job = Alone::new(SETTLES_A_PAGE);
    fs::remove_file(job.path("run/job/job.pbs")).unwrap();
    let (code, said) = job.run(&["--chain", "1"]);
    assert!(
        code == Some(2) && said.contains("cannot read the script of the next job") && said.contains("--script"),
        "{said}"
    );
    assert!(!job.path("run/status.json").exists(), "the run has not begun");
    // PBS's own copy, which is gone when the job ends.
    job.write("spool.SC", "#!/bin/bash\n");
    let (code, said) = job.run(&["--chain", "1", "--script", job.path("spool.SC").to_str().unwrap()]);
    assert_eq!(code, Some(75), "{said}");
    assert!(job.read("submitted").ends_with(&format!(" {}\n", job.path("run/job/chain.pbs").display())), "{said}");
    assert_eq!(job.read("run/job/chain.pbs"), "#!/bin/bash\n");
}

#[test]
fn the_next_job_is_submitted_though_qsub_fails_at_first() {
    let job = Alone::new(SETTLES_A_PAGE);
    let fails_once = format!("echo try >>$folder/tries; [[ $(wc -l <$folder/tries) -gt 1 ]] || exit 1; echo {NEXT}");
    job.program("bin/qsub", &fails_once);
    let (code, said) = job.run(&["--chain", "1"]);
    assert!(code == Some(75) && said.contains(&format!("job {NEXT} follows")), "{said}");
}

#[test]
fn the_commands_of_pbs_are_found_where_the_path_lacks_them() {
    let job = Alone::new(SETTLES_A_PAGE);
    fs::create_dir_all(job.path("exec/bin")).unwrap();
    for name in ["qsub", "qstat"] {
        fs::rename(job.path("bin").join(name), job.path("exec/bin").join(name)).unwrap();
    }
    job.write("pbs.conf", &format!("PBS_SERVER=pbs\nPBS_EXEC={}\n", job.path("exec").display()));
    job.qstat(JOB, "Resource_List.walltime = 00:10:00");
    let (code, said) = job.run(&["--chain", "1", "--reserve", "100"]);
    assert!(code == Some(75) && !said.contains("NO deadline") && said.contains("time limit of the run: "), "{said}");
    assert!(said.contains(&format!("job {NEXT} follows")), "{said}");
}

#[test]
fn a_full_disk_under_the_output_does_not_change_how_the_job_ends() {
    let job = Alone::new(SETTLES_A_PAGE);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(job.start_with(&["--chain", "1"], full()).wait().unwrap().code(), Some(75));
    assert!(job.path("submitted").exists());
}

#[test]
fn a_job_whose_run_hung_until_its_time_was_over_is_followed() {
    let hangs = r#"
end() {
    echo '{"exit_code":75,"outcome":{"stopped":"requested"},"again":false,"silent_hosts":[]}' >"$folder/run/finished.json"
    exit 75
}
trap end TERM
echo '{"settled":1,"restored":0}' >"$folder/run/status.json"
while :; do sleep 0.1; done"#;
    let job = Alone::new(hangs);
    job.qstat(JOB, "Resource_List.walltime = 00:00:08");
    let (code, said) = job.run(&["--chain", "1", "--reserve", "1"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("it did not end in time") && said.contains(&format!("job {NEXT} follows")), "{said}");
    assert!(!job.path("run/finished.json").exists(), "nobody asked for that end");
}

#[test]
fn usage_errors_name_the_remedy() {
    let nodes = tempfile::NamedTempFile::new().unwrap();
    fs::write(&nodes, "n1\n").unwrap();
    let run = tempfile::tempdir().unwrap();
    let output = format!("--output={}", run.path().display());
    let call = |job: Option<&str>, arguments: &[&str]| {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/pbs-job"));
        command.env_remove("PBS_JOBID").envs(job.map(|job| ("PBS_JOBID", job))).env("PBS_NODEFILE", nodes.path());
        let output = command.args(arguments).output().unwrap();
        (output.status.code(), text(&output))
    };
    for (job, arguments, said) in [
        (None, &["--", &*output][..], "use scripts/launch"),
        (Some("1.pbs"), &["--", "-i", "x"], "--output RUNDIR"),
        (Some("1.pbs"), &["--chain", "two", "--", &output], "`two`"),
        (Some("1.pbs"), &["--walltime", "1h", "--", &output], "HH:MM:SS"),
        (Some("1.pbs"), &["--", &output, "--deadline", "9"], "--reserve"),
        (Some("1.pbs"), &["--hosts", "x", "--", &output], "--help"),
    ] {
        let (code, text) = call(job, arguments);
        assert!(code == Some(2) && text.contains(said), "{arguments:?}: {code:?} {text}");
    }
}
