//! `scripts/pbs-job` in a job of a small PBS that does what `docs/facts/pbs.md` says of OpenPBS: real mpirun, real
//! ranks, real stand-ins, on three hosts of this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use rustix::process::Signal;

use crate::launch_support::signal;
use crate::pbs_support::{JobScript, OPEN_FILES, Pbs, Site};
use crate::run_support::{Bench, text, until};

/// Every page once, and no process that outlived its job.
fn assert_whole(bench: &Bench, pages: usize) {
    bench.assert_verified();
    let reader = bench.reader();
    assert_eq!((reader.pages().count(), reader.superseded()), (pages, 0));
    assert_nothing_runs(bench);
}

/// On no host: the hosts themselves are still there.
fn assert_nothing_runs(bench: &Bench) {
    let run = bench.run_directory();
    let of_run = |line: &String| line.contains(env!("CARGO_BIN_EXE_bocr")) || line.contains(run.to_str().unwrap());
    until("every process of the run has ended", || !bench.processes().iter().any(of_run));
}

/// Shared memory that ranks have left on a host.
fn segments(pbs: &Pbs, host: &str) -> Vec<String> {
    let listed = pbs.hosts.command("enter").args([host, "ls", "/dev/shm"]).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    names.lines().filter(|name| name.contains("_segment.")).map(str::to_owned).collect()
}

/// No process and no shared memory on any host: servers would outlive their ranks for 120 s.
fn assert_nothing_left(bench: &Bench, pbs: &Pbs) {
    assert_nothing_runs(bench);
    for host in ["n1", "n2", "n3"] {
        until("the shared memory has gone", || segments(pbs, host).is_empty());
    }
}

#[test]
fn a_job_reads_with_all_ranks_of_its_hosts() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let inputs: Vec<String> = ["digital_fr", "digital_ar", "scan_fr", "scan_ar", "cover_fr"]
        .iter()
        .map(|name| format!("pages/{name}.pdf"))
        .collect();
    bench.inputs(&inputs.iter().map(String::as_str).collect::<Vec<_>>());
    let asked = "nodes = 3\ngpus = 0\nranks = 2\ncores = 2\nwalltime = \"00:10:00\"";
    // As many pages as ranks, and slow enough for each to get one.
    let job_file = pbs.job_file(asked, "0.3", "unit_pages = 1\n", "in_flight = 1\n");
    let followed = pbs.bocr(&["submit", job_file.to_str().unwrap(), "--follow"]);
    let jobs = pbs.file("jobs.tsv");
    let (job, rest) = jobs.split_once('\t').unwrap();
    assert!(followed.status.success() && text(&followed).starts_with(job), "{}{}", text(&followed), pbs.output(job));
    assert!(rest.ends_with("\tsubmitted\n") && rest.lines().count() == 1, "listed once: {jobs}");
    assert_eq!(pbs.end(job), 0, "{}", pbs.output(job));
    let log = bench.log(0);
    for (rank, (host, local)) in [("n1", 0), ("n1", 1), ("n2", 0), ("n2", 1), ("n3", 0), ("n3", 1)].iter().enumerate() {
        let joined = format!("joined rank=rank {rank} host=\"{host}\" local_rank={local} ");
        assert!(log.contains(&joined), "{joined}: {log}");
    }
    let names = fs::read_dir(bench.run_directory().join("store")).unwrap().map(|entry| entry.unwrap().file_name());
    let ranks: BTreeSet<_> = names.map(|name| name.to_string_lossy()[.."shard-00000".len()].to_owned()).collect();
    assert_eq!(ranks, (0..6).map(|rank| format!("shard-{rank:05}")).collect(), "a shard of each");
    let report = pbs.file(&format!("environment-{job}.txt"));
    for said in ["hosts: n1 (2 ranks) n2 (2 ranks) n3 (2 ranks)", "pbs_tmrsh", "walltime: 600 s", "host n2: "] {
        assert!(report.contains(said), "{said}: {report}");
    }
    // The job's TMPDIR is the first node's own, and another one on each.
    assert!(report.matches(&format!("TMPDIR /var/tmp/pbs.{job}")).count() == 3, "{report}");
    assert!(!report.contains("COOKIE"), "{report}");
    assert_whole(&bench, 6);
}

#[test]
fn a_job_that_runs_out_of_walltime_is_followed_by_the_next() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let script = JobScript { walltime: "00:00:48", options: "--reserve 24 --chain 1", ..JobScript::default() };
    let job = pbs.submit_stalling(&script);
    assert_eq!(pbs.end(&job), 75, "{}", pbs.output(&job));
    assert_eq!(pbs.events(&job), [""; 0], "it ended before PBS had to: {}", pbs.output(&job));
    let jobs = pbs.file("jobs.tsv");
    assert!(jobs.starts_with(&format!("{job}\t")), "a job submitted by hand is listed: {jobs}");
    let next = jobs.lines().last().unwrap().split('\t').next().unwrap().to_owned();
    assert!(jobs.ends_with(&format!("\tchain {job}\n")), "{jobs}");
    assert_eq!(pbs.end(&next), 0, "{}", pbs.output(&next));
    assert!(pbs.output(&next).contains("3 by an earlier start"), "{}", pbs.output(&next));
    assert!(!pbs.output(&job).contains("has been aborted"), "an end in order is none to mpirun: {}", pbs.output(&job));
    assert_eq!(pbs.file("jobs.tsv"), jobs, "and no other");
    assert_whole(&bench, 4);
}

#[test]
fn a_job_that_settles_no_page_is_not_followed() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    bench.inputs(&["pages/digital_fr.pdf"]);
    pbs.configure("0");
    // It speaks of an earlier job.
    fs::create_dir(bench.run_directory()).unwrap();
    fs::write(bench.run_directory().join("status.json"), "{\"settled\":3,\"restored\":0}").unwrap();
    let program = crate::launch_support::rank_program(&bench, "kill -KILL $$");
    let options = format!("--chain 3 --bocr {}", program.display());
    let job = pbs.submit(&JobScript { select: "1:ncpus=2", options: &options, ..JobScript::default() });
    assert_eq!(pbs.end(&job), 75, "{}", pbs.output(&job));
    assert!(pbs.output(&job).contains("no job follows: this one settled no page"), "{}", pbs.output(&job));
    assert!(!pbs.file("jobs.tsv").contains("chain"));
}

#[test]
fn qdel_lets_the_run_end_in_order_and_force_leaves_nothing_behind() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let script = JobScript { options: "--chain 1", ..JobScript::default() };
    let job = pbs.submit_stalling(&script);
    pbs.all_but_one_settled(&job);
    // What the script has exported is known to the ranks on all hosts.
    let is_rank = |line: &&String| line.starts_with(concat!(env!("CARGO_BIN_EXE_bocr"), " run "));
    assert_eq!(bench.processes().iter().filter(is_rank).count(), 3, "{:#?}", bench.processes());
    pbs.command("qdel", &[&job]);
    // The login shell above the script dies of the signal.
    assert_eq!(pbs.end(&job), 256 + 15);
    assert_eq!(pbs.events(&job), ["TERM"], "no kill was needed");
    let told = pbs.output(&job);
    assert!(told.contains("stopped early (asked to stop)") && told.contains("no job follows"), "{told}");
    assert_nothing_runs(&bench);

    // Its page is not read soon. Ranks have shared memory if there are two on a host.
    pbs.configure("1000");
    let select = "2:ncpus=2:mpiprocs=2";
    let job = pbs.submit(&JobScript { select, arguments: "--accept-config", ..script });
    let servers = || bench.processes().iter().filter(|line| line.contains(" stand-in --")).count();
    // Each has a guard, which names its command too.
    pbs.await_that(&job, "every rank of the next has a server", || servers() == 8);
    assert!(!segments(&pbs, "n2").is_empty());
    pbs.command("qdel", &["-W", "force", &job]);
    assert_eq!(pbs.end(&job), 256 + 9);
    assert_nothing_left(&bench, &pbs);
    assert!(!pbs.file("jobs.tsv").contains("chain"), "none follows a job that a person ended");

    // Its ranks start servers before rank 0 refuses the settings.
    pbs.configure("1");
    let job = pbs.submit(&JobScript::default());
    assert_eq!(pbs.end(&job), 2, "{}", pbs.output(&job));
    assert_nothing_left(&bench, &pbs);
}

#[test]
fn qdel_ends_the_run_in_order_before_pbs_kills_it_however_slow_its_pages_are() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up_at(&bench, &Site { kill_delay: 9, ..Site::default() }) else { return };
    let arguments = format!("--faults {}", pbs.stalling_inputs().display());
    pbs.configure_with_long_drain();
    let job = pbs.submit(&JobScript { arguments: &arguments, ..JobScript::default() });
    pbs.all_but_one_settled(&job);
    pbs.command("qdel", &[&job]);
    assert_eq!(pbs.end(&job), 256 + 15, "{}", pbs.output(&job));
    assert_eq!(pbs.events(&job), ["TERM"], "no kill was needed: {}", pbs.output(&job));
    let account = fs::read_to_string(bench.run_directory().join("finished.json")).unwrap();
    assert!(account.contains("requested"), "{account}");
    let verified = text(&bench.bocr(&["verify", bench.run_directory().to_str().unwrap()]).output().unwrap());
    assert!(verified.contains("\n3 read, ") && !verified.contains("not sealed"), "{verified}");
    assert_nothing_runs(&bench);
}

/// PBS kills the session of a task on another host when the daemon of mpirun ends there.
#[test]
fn the_servers_of_all_hosts_outlive_a_killed_rank_and_end_with_the_job() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let job = pbs.submit_stalling(&JobScript::default());
    pbs.all_but_one_settled(&job);
    let is_rank_on_n2 = |process: i32| {
        let variables = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == b"OMPI_COMM_WORLD_RANK=1")
    };
    let rank = |line: &str| line.starts_with(concat!(env!("CARGO_BIN_EXE_bocr"), " run "));
    let processes = bench.marked_processes();
    let (victim, _) = processes.iter().find(|(process, line)| rank(line) && is_rank_on_n2(*process)).unwrap();
    signal(*victim, Signal::KILL);
    assert_eq!(pbs.end(&job), 0, "{}", pbs.output(&job));
    assert!(pbs.output(&job).contains("attempt 2: 3 ranks on n1 n2 n3;"), "{}", pbs.output(&job));
    for rank in 0..3 {
        assert!(bench.log(rank).contains("adopted the server of an earlier attempt"), "{}", bench.log(rank));
    }
    assert_whole(&bench, 4);
    assert_nothing_left(&bench, &pbs);
}

#[test]
fn a_host_without_the_program_gets_no_ranks() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf"]);
    pbs.configure("0");
    fs::create_dir(bench.path("bin")).unwrap();
    let program = bench.write("bin/bocr", concat!("#!/bin/sh\nexec ", env!("CARGO_BIN_EXE_bocr"), " \"$@\"\n"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut hide = pbs.hosts.command("enter");
    hide.args(["n3", "mount", "-t", "tmpfs", "tmpfs"]).arg(bench.path("bin"));
    assert!(hide.status().unwrap().success());
    let options = format!("--chain 1 --bocr {}", program.display());
    let job = pbs.submit(&JobScript { options: &options, ..JobScript::default() });
    assert_eq!(pbs.end(&job), 0, "{}", pbs.output(&job));
    let told = pbs.output(&job);
    let without = "without n3 (the program of the ranks is missing)";
    assert!(told.contains(without) && told.contains("attempt 1: 2 ranks on n1 n2"), "{told}");
    assert_whole(&bench, 3);
}

#[test]
fn a_job_whose_walltime_a_person_made_shorter_is_followed_by_the_next() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let job = pbs.submit_stalling(&JobScript { options: "--chain 1", ..JobScript::default() });
    pbs.all_but_one_settled(&job);
    pbs.command("qalter", &["-l", "walltime=00:00:02", &job]);
    pbs.end(&job);
    let told = pbs.output(&job);
    assert!(told.contains("the walltime is over") && told.contains("pages are left: job "), "{told}");
    let jobs = pbs.file("jobs.tsv");
    let next = jobs.lines().last().unwrap().split('\t').next().unwrap().to_owned();
    assert_eq!(pbs.end(&next), 0, "{}", pbs.output(&next));
    assert_whole(&bench, 4);
}

#[test]
fn a_job_goes_on_without_a_host_that_lost_its_power() {
    let bench = Bench::new();
    // The launcher alone needs longer to find out that the host does not answer.
    let Some(pbs) = Pbs::up_at(&bench, &Site { max_poll_downtime: 2, ..Site::default() }) else { return };
    let arguments = ["--faults".into(), pbs.stalling_inputs().display().to_string()];
    let asked = format!("nodes = 3\ngpus = 0\nranks = 1\ncores = 2\narguments = {arguments:?}");
    let job = pbs.submit_file(&asked);
    pbs.all_but_one_settled(&job);
    pbs.hosts.off("n2");
    assert_eq!(pbs.end(&job), 0, "{}", pbs.output(&job));
    assert_eq!(pbs.attribute(&job, "run_count").as_deref(), Some("1"), "PBS did not end it: {}", pbs.output(&job));
    assert!(pbs.output(&job).contains("attempt 2: 2 ranks on n1 n3;"), "{}", pbs.output(&job));
    assert_whole(&bench, 4);
}

#[test]
fn a_job_of_a_user_of_csh_has_its_set_up_on_every_host() {
    const CSH: &str = "/bin/tcsh";
    if !Path::new(CSH).exists() {
        eprintln!("NOT RUN: csh as login shell: tcsh is not installed (scripts/setup --tests)");
        return;
    }
    let bench = Bench::new();
    let Some(pbs) = Pbs::up_at(&bench, &Site { login_shell: CSH, ..Site::default() }) else { return };
    let arguments = ["--faults".into(), pbs.stalling_inputs().display().to_string()];
    let job = pbs.submit_file(&format!("nodes = 3\ngpus = 0\nranks = 1\ncores = 2\narguments = {arguments:?}"));
    pbs.all_but_one_settled(&job);
    let is_rank = |line: &str| line.starts_with(concat!(env!("CARGO_BIN_EXE_bocr"), " run "));
    let ranks: Vec<_> = bench.marked_processes().into_iter().filter(|(_, line)| is_rank(line)).collect();
    assert_eq!(ranks.len(), 3, "{ranks:#?}");
    for (process, line) in ranks {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let files = limits.lines().find(|limit| limit.starts_with("Max open files")).unwrap();
        assert!(files.contains(&format!(" {OPEN_FILES} ")), "{line}: {files}");
    }
    pbs.command("qdel", &[&job]);
    pbs.end(&job);
    assert_nothing_runs(&bench);
}

#[test]
fn a_job_that_is_run_again_continues() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let job = pbs.submit_stalling(&JobScript::default());
    pbs.all_but_one_settled(&job);
    pbs.command("qrerun", &[&job]);
    assert_eq!(pbs.end(&job), 0, "{}", pbs.output(&job));
    let told = pbs.output(&job);
    assert!(told.contains("PBS runs this job again (run 2)") && told.contains("3 by an earlier start"), "{told}");
    assert_whole(&bench, 4);
}

#[test]
fn a_job_that_lost_its_first_host_starts_on_others_and_continues() {
    let bench = Bench::new();
    let Some(pbs) = Pbs::up(&bench) else { return };
    let job = pbs.submit_stalling(&JobScript { select: "2:ncpus=2:mpiprocs=1", ..JobScript::default() });
    pbs.all_but_one_settled(&job);
    pbs.hosts.off("n1");
    assert_eq!(pbs.end(&job), 0, "{}", pbs.output(&job));
    let told = pbs.output(&job);
    assert!(told.contains(&format!("job {job} on n2 n3: 2 ranks")) && told.contains("(run 2)"), "{told}");
    assert_eq!(pbs.attribute(&job, "run_count").as_deref(), Some("2"));
    assert_whole(&bench, 4);
}
