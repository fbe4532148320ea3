//! `scripts/launch`: what a lost rank, a lost mpirun and a lost host cost a run. Real processes, real mpirun; three hosts
//! are network namespaces of this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, sync::LazyLock};

use crate::launch_support::{self, Hosts, Launch, PAGES, signal};
use crate::run_support::{self, Bench, Killed, Pages, until};
use bulletin_ocr::model::Verdict;
use rustix::process::Signal;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/launch");

/// What a run without any fault reads.
static REFERENCE: LazyLock<Pages> = LazyLock::new(|| {
    let bench = Bench::new();
    let mut run = Launch::new(&bench, "").without_fault().start();
    assert_eq!(run.end(), Some(0), "{}", run.stderr());
    bench.pages()
});

/// Nothing is lost, nothing durable is read twice, and the text is that of a run without the fault.
fn assert_whole(bench: &Bench) {
    bench.assert_verified();
    let reader = bench.reader();
    assert_eq!((reader.pages().count() as u64, reader.superseded()), (PAGES, 0));
    assert_eq!(bench.pages(), *REFERENCE);
    let thread = std::thread::current();
    let row = thread.name().unwrap_or_default().replace('_', " ");
    let pages = reader.pages().count() as u64;
    println!("| {row} | {pages} pages | {} lost | {} read twice |", PAGES - pages, reader.superseded());
}

#[test]
fn a_run_without_trouble_has_the_exit_code_and_the_output_of_bocr() {
    let bench = Bench::new();
    let mut run = Launch::new(&bench, "").without_fault().options(&["--ranks", "2"]).start();
    assert_eq!(run.end(), Some(0), "{}", run.stderr());
    let (said, told) = (run.stdout(), run.stderr());
    assert!(said.starts_with("4 pages of 3 documents on 2 ranks"), "{said}");
    assert_eq!(told.lines().filter(|line| line.starts_with("launch:")).count(), 1, "{told}");
    assert_whole(&bench);
    bench.assert_nothing_left();
}

#[test]
fn wrong_usage_of_bocr_is_final() {
    let bench = Bench::new();
    let launch = Launch::new(&bench, "").options(&["--ranks", "2"]);
    fs::write(bench.path("configuration.toml"), "[no-such-part]\n").unwrap();
    let mut run = launch.start();
    assert_eq!(run.end(), Some(2), "{}", run.stderr());
    assert!(!run.stderr().contains("attempt 2"), "{}", run.stderr());
}

#[test]
fn without_pdfium_no_start_is_tried_again() {
    let bench = Bench::new();
    let launch = Launch::new(&bench, "").options(&["--ranks", "2"]);
    let configuration = fs::read_to_string(bench.path("configuration.toml")).unwrap();
    bench.write("configuration.toml", &format!("pdfium = \"/no/such/libpdfium.so\"\n{configuration}"));
    let mut run = launch.start();
    assert_eq!(run.end(), Some(2), "{}", run.stderr());
    let said = run.stderr();
    assert!(said.contains("/no/such/libpdfium.so") && !said.contains("attempt 2"), "{said}");
}

#[test]
fn usage_errors_name_the_remedy() {
    let launch = |arguments: &[&str]| {
        let bocr = ["--bocr", env!("CARGO_BIN_EXE_bocr")];
        let output = Command::new(SCRIPT).args(bocr).args(arguments).output().unwrap();
        (output.status.code(), run_support::text(&output))
    };
    for (arguments, said) in [
        (&["--ranks", "2", "--", "-i", "x"][..], "--output RUNDIR"),
        (&["--ranks", "two", "--", "-o", "x"], "`two`"),
        (&["--rank", "2", "--", "-o", "x"], "--help"),
        (&["--per-host", "2", "--", "-o", "x"], "--hosts"),
        (&["--hosts", "/no/such", "--", "-o", "x"], "/no/such"),
        (&["--mpirun", "/bin/true", "--", "-o", "x"], "neither of Open MPI nor of MPICH"),
        (&["--", "-o", "x", "--walltime", "01:00:00"], "--time"),
        (&["--ranks", "2", "--hosts", "x", "--", "-o", "x"], "with --hosts say --per-host"),
        (&["--ranks", "0", "--", "-o", "x"], "a whole number from 1"),
    ] {
        let (code, text) = launch(arguments);
        assert!(code == Some(2) && text.contains(said), "{arguments:?}: {code:?} {text}");
    }
    let (code, line) = launch(&["--ranks", "3", "--dry-run", "--time", "90", "--", "-o", "x", "--deadline", "50"]);
    assert!(code == Some(0) && line.trim_end().ends_with("-o x --deadline 50 --deadline 90"), "{line}");
    assert!(line.contains("--bind-to none"), "{line}");
    let options = ["--ranks", "9", "--ranks", "1", "--mpirun-options", "-x  HOME --mca a b", "--dry-run", "--dry-run"];
    let (code, line) = launch(&[&options[..], &["--", "-orun"]].concat());
    assert!(code == Some(0) && line.contains(" localhost:1 -n 1 ") && line.contains(" -x HOME --mca a b "), "{line}");
}

/// An Open MPI that knows PBS, and a PBS whose commands are in its own folder, not on the `PATH`; no host but n1 answers.
fn launch_in_job(folder: &Path, options: &[&str]) -> (Option<i32>, String) {
    let program = |name: &str, lines: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/bash\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let mpirun = program("mpirun", "case $1 in --version) echo 'mpirun (Open MPI) 4.1.4' ;; *) exit 1 ;; esac");
    // More than a pipe holds: nobody may stop listening.
    program("ompi_info", "echo 'mca:plm:tm:version:\"mca:2.1.0\"'; printf 'mca:%0100d\\n' {1..2000}");
    program("pbs/bin/pbs_tmrsh", "[[ $1 == n1 ]] || exit 254");
    fs::write(folder.join("pbs.conf"), format!("PBS_EXEC={}\n", folder.join("pbs").display())).unwrap();
    fs::write(folder.join("nodes"), "n1\nn1\nn2\nn2\n").unwrap();
    let mut command = Command::new(SCRIPT);
    command.arg("--bocr").arg(env!("CARGO_BIN_EXE_bocr")).arg("--mpirun").arg(&mpirun);
    command.arg("--hosts").arg(folder.join("nodes")).args(options).arg("--").arg("-o").arg(folder.join("run"));
    let output = command.env("PBS_JOBID", "1.pbs").env("PBS_CONF_FILE", folder.join("pbs.conf")).output().unwrap();
    (output.status.code(), run_support::text(&output))
}

#[test]
fn an_mpirun_that_knows_pbs_gets_no_agent_and_hosts_are_asked_through_pbs() {
    let folder = tempfile::tempdir().unwrap();
    let (code, line) = launch_in_job(folder.path(), &["--dry-run"]);
    assert_eq!(code, Some(0), "{line}");
    for wanted in ["--host n1:2\\,n2:2", "--map-by ppr:2:node", "--oversubscribe"] {
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
    assert!(!line.contains("agent") && !line.contains("--leave-session-attached"), "{line}");
    let (code, text) = launch_in_job(folder.path(), &["--attempts", "2"]);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("without n2 (no answer)") && text.contains("attempt 1: 2 ranks on n1\n"), "{text}");
}

#[test]
fn the_agent_says_that_there_is_no_pbs() {
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/tmrsh-agent");
    let mut command = Command::new("timeout");
    let status = command.args(["10", agent, "--find"]).env("PBS_CONF_FILE", "/no/such").status().unwrap();
    assert_eq!(status.code(), Some(1));
}

/// Kills something of a run under way; the next attempt ends it.
fn survives(what: &str, victim: impl FnOnce(&launch_support::Launched) -> i32) {
    let bench = Bench::new();
    // A rank inherits open files of its launcher, as from MPICH's.
    let script = concat!("exec 9<\"$0\"; exec ", env!("CARGO_BIN_EXE_bocr"), " \"$@\"");
    let program = launch_support::rank_program(&bench, script);
    let mut run = Launch::new(&bench, "").options(&["--ranks", "2"]).bocr(&program).start();
    run.all_but_one_settled();
    for (process, line) in bench.marked_processes().iter().filter(|(_, line)| line.contains(" guard ")) {
        let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
        let mut files = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        assert!(!files.any(|file| file == program), "the launcher would wait for {line}");
    }
    let moment = signal(victim(&run), Signal::KILL);
    let next = run.attempt(2) - moment.instant;
    let code = run.end_after_death(what, moment, next);
    assert_eq!(code, Some(0), "{}", run.stderr());
    assert!(!run.stderr().contains("attempt 3"), "{}", run.stderr());
    for rank in 0..2 {
        assert!(bench.log(rank).contains("adopted the server of an earlier attempt"), "{}", bench.log(rank));
    }
    assert_whole(&bench);
    bench.assert_nothing_left();
}

#[test]
fn a_killed_rank_costs_one_more_attempt() {
    survives("rank 1 killed", |run| run.rank(1));
}

#[test]
fn a_killed_rank_0_costs_one_more_attempt() {
    survives("rank 0 killed", |run| run.rank(0));
}

#[test]
fn a_killed_mpirun_costs_one_more_attempt() {
    survives("mpirun killed", |run| run.mpirun());
}

#[test]
fn a_rank_0_that_stands_still_is_noticed_by_its_status() {
    let bench = Bench::new();
    let mut run = Launch::new(&bench, "").options(&["--ranks", "2", "--silence", "8"]).start();
    run.all_but_one_settled();
    let moment = signal(run.rank(0), Signal::STOP);
    let next = run.attempt(2) - moment.instant;
    let code = run.end_after_death("rank 0 stopped, silence 8 s", moment, next);
    assert_eq!(code, Some(0), "{}", run.stderr());
    assert!(run.stderr().contains("did not change for 8 s"), "{}", run.stderr());
    assert_whole(&bench);
    bench.assert_nothing_left();
}

#[test]
fn a_signal_asks_for_an_orderly_end_and_the_same_command_continues() {
    let bench = Bench::new();
    let launch = Launch::new(&bench, "[schedule]\ndrain = \"1s\"\n").options(&["--ranks", "2"]);
    let mut run = launch.start();
    run.all_but_one_settled();
    signal(run.child.0.id() as i32, Signal::TERM);
    assert_eq!(run.end(), Some(75), "{}", run.stderr());
    assert!(run.stdout().contains("stopped early"), "an orderly end: {}{}", run.stdout(), run.stderr());
    bench.assert_nothing_left();
    assert!(!bench.run_directory().join("stop").exists());

    let mut run = launch.start();
    assert_eq!(run.end(), Some(0), "{}", run.stderr());
    assert_whole(&bench);
    bench.assert_nothing_left();
}

#[test]
fn a_second_signal_ends_a_run_that_does_not_obey_the_first() {
    let bench = Bench::new();
    let mut run = Launch::new(&bench, "").options(&["--ranks", "2", "--linger", "1"]).start();
    run.all_but_one_settled();
    signal(run.rank(0), Signal::STOP);
    let launcher = run.child.0.id() as i32;
    signal(launcher, Signal::TERM);
    let stop = bench.run_directory().join("stop");
    run.poll("the stop file is there", |_| stop.exists().then_some(()));
    signal(launcher, Signal::TERM);
    assert_eq!(run.end(), Some(75), "{}", run.stderr());
    assert!(run.stderr().contains("a second signal came"), "{}", run.stderr());
    bench.assert_nothing_left();
}

#[test]
fn ranks_that_outlive_their_mpirun_are_killed() {
    let bench = Bench::new();
    let stays = launch_support::rank_program(&bench, "kill -KILL $PPID; exec sleep 100");
    let mut run = Launch::new(&bench, "").options(&["--ranks", "2", "--attempts", "2"]).bocr(&stays).start();
    assert_eq!(run.end(), Some(75), "{}", run.stderr());
    assert!(run.stderr().contains("2 starts in a row settled no page"), "{}", run.stderr());
    bench.assert_nothing_left();
}

/// A launcher on this host with an mpirun that does this, and its run directory `run`.
fn launch_with_mpirun(bench: &Bench, script: &str) -> Command {
    let run = bench.run_directory();
    let text = format!(
        "#!/bin/sh\nrun={}\ncase $1 in --version) echo 'mpirun (Open MPI) 4.1.4' && exit ;; esac\n{script}\n",
        run.display()
    );
    let mpirun = bench.write("mpirun", &text);
    fs::set_permissions(&mpirun, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(&run).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(SCRIPT).arg("--bocr").arg(env!("CARGO_BIN_EXE_bocr"));
    command.arg("--mpirun").arg(mpirun).args(["--attempts", "1", "--", "-o"]).arg(run);
    command
}

#[test]
fn a_launcher_under_nohup_outlives_its_terminal() {
    let bench = Bench::new();
    let mpirun = "touch $run/begun; until [ -e $run/go ]; do sleep 0.02; done; exit 1";
    let mut launcher = launch_with_mpirun(&bench, mpirun);
    let mut launcher = Killed(launcher.stderr(fs::File::create(bench.path("stderr")).unwrap()).spawn().unwrap());
    until("the attempt has begun", || bench.run_directory().join("begun").exists());
    signal(launcher.0.id() as i32, Signal::HUP);
    fs::write(bench.run_directory().join("go"), "").unwrap();
    assert_eq!(launcher.0.wait().unwrap().code(), Some(75));
    let told = fs::read_to_string(bench.path("stderr")).unwrap();
    assert!(told.contains("1 starts in a row settled no page"), "the signal counts for nothing: {told}");
}

#[test]
fn a_launcher_whose_run_directory_cannot_be_written_ends_its_mpirun() {
    let bench = Bench::new();
    // A signal is asked for by a file, and the run directory is one.
    let mpirun = "rm -r $run; touch $run; touch $run.begun; exec sleep 100";
    let mut launcher = launch_with_mpirun(&bench, mpirun);
    let mut launcher = Killed(launcher.stderr(fs::File::create(bench.path("stderr")).unwrap()).spawn().unwrap());
    let begun = bench.path("run.begun");
    until("the attempt has begun", || begun.exists());
    signal(launcher.0.id() as i32, Signal::TERM);
    assert_eq!(launcher.0.wait().unwrap().code(), Some(75));
    let told = fs::read_to_string(bench.path("stderr")).unwrap();
    assert!(told.contains("run/stop could not be written"), "{told}");
}

#[test]
fn three_hosts_read_together() {
    let bench = Bench::new();
    let Some(hosts) = Hosts::up(&bench) else { return };
    let mut run = Launch::new(&bench, "").without_fault().on(&hosts).start();
    assert_eq!(run.end(), Some(0), "{}", run.stderr());
    assert!(run.stdout().contains("on 3 ranks"), "{}", run.stdout());
    let log = bench.log(0);
    for host in ["n1", "n2", "n3"] {
        assert!(log.contains(&format!("host=\"{host}\"")), "{host}: {log}");
    }
    assert_whole(&bench);
    drop(hosts);
    bench.assert_nothing_left();
}

/// Loses a host in the middle of a run; the others end it.
fn survives_the_loss(
    what: &str,
    options: &[&str],
    schedule: &str,
    lose: impl FnOnce(&Hosts) -> launch_support::Moment,
) {
    let bench = Bench::new();
    let Some(hosts) = Hosts::up(&bench) else { return };
    let mut run = Launch::new(&bench, schedule).on(&hosts).options(options).start();
    run.all_but_one_settled();
    let moment = lose(&hosts);
    let next = run.attempt(2) - moment.instant;
    let code = run.end_after_death(what, moment, next);
    let told = run.stderr();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("without n2 ("), "{told}");
    assert!(told.contains("attempt 2: 2 ranks on n1 n3;"), "{told}");
    assert_whole(&bench);
    drop(hosts);
    bench.assert_nothing_left();
}

#[test]
fn a_host_that_loses_power_is_left_out() {
    survives_the_loss("a host off", &[], "", |hosts| hosts.off("n2"));
}

#[test]
fn a_host_that_is_cut_off_is_noticed_by_its_silence() {
    survives_the_loss("a host cut off", &[], "[schedule]\nsilence_limit = \"6s\"\ndrain = \"1s\"\n", |hosts| {
        hosts.cut("n2")
    });
}

/// Loses a host while a page is out on the second engine; that reads it all the same, on the hosts that are left.
fn keeps_the_second_engine(roles: &str, then: &str) {
    let bench = Bench::new();
    let Some(hosts) = Hosts::up(&bench) else { return };
    let mut run = Launch::new(&bench, "").with_second(roles).on(&hosts).start();
    run.all_but_one_settled();
    let is_out = "goes to deepseek";
    run.poll(is_out, |_| bench.log(0).contains(is_out).then_some(()));
    bench.write("faults.toml", launch_support::REFUSED);
    hosts.off("n2");
    assert_eq!(run.end(), Some(0), "{}", run.stderr());
    assert!(run.stderr().contains("attempt 2: 2 ranks on n1 n3;"), "{}", run.stderr());
    let log = bench.log(0);
    let joined = log.lines().rfind(|line| line.contains("host=\"n3\"") && line.contains("joined"));
    assert!(joined.is_some_and(|line| line.contains(&format!("role={then} "))), "{joined:?}");
    let mut reader = bench.reader();
    let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
    let records: Vec<_> = pages.into_iter().map(|page| reader.read(page).unwrap().unwrap()).collect();
    assert_eq!(records.iter().filter(|record| record.verdict == Verdict::Read).count() as u64, PAGES);
    assert_eq!(records.iter().filter(|record| record.engine == Some(engines::DEEPSEEK)).count(), 1);
    bench.assert_verified();
    drop(hosts);
    bench.assert_nothing_left();
}

#[test]
fn a_lost_host_does_not_take_the_second_engine_with_it() {
    keeps_the_second_engine("2*chandra,deepseek", "chandra/deepseek");
}

#[test]
fn ranks_that_take_turns_survive_the_loss_of_a_host() {
    keeps_the_second_engine("chandra/deepseek", "chandra/deepseek");
}
