//! What a run makes of a server that misbehaves. One engine alone or both, invented answers, real processes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{fs, process::Stdio};

use crate::run_support::{Bench, Killed, text, until};
use bulletin_ocr::model::{AttemptOutcome, Engine, FailureClass, MachineFault, PageRecord, Verdict};
use rustix::process::{Pid, Signal, kill_process};

/// Runs three pages with this fault script and roles; the exit code and the records.
fn run_with(bench: &Bench, roles: &str, faults: &str) -> (Option<i32>, Vec<PageRecord>) {
    run_over(bench, &["pages/digital_fr.pdf", "pages/scan_fr.pdf", "pages/digital_ar.pdf"], roles, faults)
}

fn run_over(bench: &Bench, files: &[&str], roles: &str, faults: &str) -> (Option<i32>, Vec<PageRecord>) {
    let input = bench.inputs(files);
    let configuration = bench.instant_configuration("");
    let faults = bench.write("faults.toml", faults);
    let run = bench.run_directory();
    let arguments = [
        "run",
        "-i",
        input.to_str().unwrap(),
        "-o",
        run.to_str().unwrap(),
        "-c",
        configuration.to_str().unwrap(),
        "--roles",
        roles,
        "--faults",
        faults.to_str().unwrap(),
    ];
    let output = bench.bocr(&arguments).output().unwrap();
    bench.assert_nothing_left();
    bench.assert_verified();
    let mut reader = bench.reader();
    let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
    let records = pages.into_iter().map(|page| reader.read(page).unwrap().unwrap()).collect();
    println!("{}", text(&output));
    (output.status.code(), records)
}

/// The exit code of a run that must end soon.
fn ended(run: &mut Killed) -> Option<i32> {
    let mut status = None;
    until("the run has ended", || {
        status = run.0.try_wait().unwrap();
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// The record of the page that the fault is for, and the outcomes of its attempts.
fn struck(records: &[PageRecord]) -> (&PageRecord, Vec<(Engine, AttemptOutcome)>) {
    let record = records.iter().max_by_key(|record| record.attempts.len()).unwrap();
    (record, record.attempts.iter().map(|attempt| (attempt.served_by.engine, attempt.outcome)).collect())
}

fn fault(kind: &str, more: &str) -> String {
    format!("[[fault]]\npage = \"digital_fr.p1\"\nengine = \"chandra\"\nkind = \"{kind}\"\n{more}\n")
}

const ACCEPTED: (Engine, AttemptOutcome) = (Engine::Chandra, AttemptOutcome::Accepted);

fn failed(class: FailureClass) -> (Engine, AttemptOutcome) {
    (Engine::Chandra, AttemptOutcome::Failed(class))
}

fn interrupted(fault: MachineFault) -> (Engine, AttemptOutcome) {
    (Engine::Chandra, AttemptOutcome::Interrupted(fault))
}

#[test]
fn answers_that_are_wrong_once_are_asked_for_again() {
    for (kind, class) in [
        ("loop", FailureClass::Loop),
        ("empty", FailureClass::Empty),
        ("500", FailureClass::ServerError),
        ("stall", FailureClass::Stalled),
    ] {
        let (code, records) = run_with(&Bench::new(), "chandra", &fault(kind, "times = 1"));
        let (record, attempts) = struck(&records);
        assert_eq!((code, record.verdict), (Some(0), Verdict::Read), "{kind}");
        assert_eq!(attempts, [failed(class), ACCEPTED], "{kind}");
    }
}

#[test]
fn a_refused_request_is_not_repeated_and_its_page_goes_to_the_other_engine() {
    let (code, records) = run_with(&Bench::new(), "chandra+deepseek", &fault("400", ""));
    let (record, attempts) = struck(&records);
    assert_eq!((code, record.verdict, record.engine), (Some(0), Verdict::Read, Some(Engine::DeepSeek)));
    assert_eq!(attempts, [failed(FailureClass::Rejected), (Engine::DeepSeek, AttemptOutcome::Accepted)]);
}

#[test]
fn an_overloaded_server_costs_the_page_nothing() {
    let (code, records) = run_with(&Bench::new(), "chandra", &fault("503", "times = 2"));
    let (record, attempts) = struck(&records);
    let overloaded = interrupted(MachineFault::Overloaded);
    assert_eq!((code, record.verdict), (Some(0), Verdict::Read));
    assert_eq!(attempts, [overloaded, overloaded, ACCEPTED]);
    assert_eq!(record.attempts[2].sampling, record.attempts[0].sampling, "the ladder is for the page's own failures");
}

#[test]
fn a_page_that_fails_for_good_keeps_its_class_and_its_best_text() {
    let (code, records) = run_with(&Bench::new(), "chandra", &fault("loop", "after_tokens = 40"));
    let (record, attempts) = struck(&records);
    assert_eq!((code, record.verdict), (Some(3), Verdict::Failed(FailureClass::Loop)));
    assert_eq!(attempts, [failed(FailureClass::Loop); 5], "every way of asking was tried");
    let visit = record.attempts[4].stage;
    let of_visit = record.attempts.iter().filter(|attempt| attempt.stage == visit);
    assert!(of_visit.clone().count() == 2 && of_visit.clone().all(|attempt| !attempt.answer.is_empty()));
    let temperatures: Vec<_> = record.attempts.iter().map(|attempt| attempt.sampling.temperature).collect();
    assert!(temperatures[..3].is_sorted() && temperatures[0] < temperatures[2], "{temperatures:?}");
}

#[test]
fn a_page_that_kills_its_server_is_found_and_read_by_the_other_engine() {
    let (code, records) = run_with(&Bench::new(), "chandra+deepseek", &fault("death", ""));
    let record = records.iter().find(|record| record.engine == Some(Engine::DeepSeek)).expect("the poison page");
    assert_eq!((code, record.verdict), (Some(0), Verdict::Read));
    assert!(
        records.iter().filter(|other| other.page != record.page).all(|other| other.engine == Some(Engine::Chandra))
    );
}

/// Each costs several deaths of the server: none of them is the server's fault.
#[test]
fn several_poison_pages_do_not_cost_a_rank_its_engine() {
    let files = ["gazettes/ar/BO_7412_Ar.pdf", "gazettes/fr/BO_7510_Fr.pdf", "pages/digital_fr.pdf"];
    let faults = "[[fault]]\npage = \"*.p2\"\nengine = \"chandra\"\nkind = \"death\"\n";
    let (code, records) = run_over(&Bench::new(), &files, "chandra", faults);
    let poison = Verdict::Failed(FailureClass::Poison);
    assert_eq!((code, records.iter().filter(|record| record.verdict == poison).count()), (Some(3), 3));
}

#[test]
fn a_rank_killed_outright_leaves_no_server_and_the_next_start_continues() {
    let bench = Bench::new();
    let input = bench.inputs(&["gazettes/fr/BO_7510_Fr.pdf", "gazettes/ar/BO_7412_Ar.pdf"]);
    let run = bench.run_directory();
    let more = "[store]\nsync_interval = \"50ms\"\nsync_records = 1\n";
    let configuration = bench.one_engine_configuration("in_flight = 1", "0.3", more);
    let arguments =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    let child = bench.bocr(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = Killed(child);
    let settled = || -> u64 {
        let status = fs::read(run.join("status.json")).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&status)
            .ok()
            .and_then(|value| value["settled"].as_u64())
            .unwrap_or(0)
    };
    until("two pages are settled", || settled() >= 2);
    let second = bench.bocr(&arguments).output().unwrap();
    assert_eq!(second.status.code(), Some(2), "two runs in one directory: {}", text(&second));
    assert!(text(&second).contains("another bocr run is working in"), "{}", text(&second));

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    bench.assert_nothing_left();

    let output = bench.bocr(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("by an earlier start"), "{}", text(&output));
    bench.assert_verified();
    assert_eq!(bench.reader().superseded(), 0, "nothing durable is read twice");
}

#[test]
fn the_stop_file_ends_a_run_with_75_and_the_same_command_continues() {
    let bench = Bench::new();
    let input = bench.inputs(&["gazettes/fr/BO_7510_Fr.pdf"]);
    let run = bench.run_directory();
    let faults = bench.write("faults.toml", "[[fault]]\nnth = 2\nkind = \"hang\"\n");
    let configuration = bench.one_engine_configuration("", "0", "[schedule]\ndrain = \"100ms\"\n");
    let plain =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    let mut arguments = plain.to_vec();
    arguments.extend(["--faults", faults.to_str().unwrap()]);
    let mut child = Killed(bench.bocr(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the run has begun", || bench.log(0).contains("the server is ready"));
    fs::write(run.join("stop"), "").unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(75));
    bench.assert_nothing_left();

    let refused = bench.bocr(&plain).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("engines.chandra.server.faults: was"), "{}", text(&refused));
    let output = bench.bocr(&[&plain[..], &["--accept-config"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    bench.assert_verified();
}

#[test]
fn a_server_given_by_url_is_used_and_left_running() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let serve = ["stand-in", "--speak", "chandra", "--mode", "synthetic", "--time-scale", "0", "--port", &socket];
    let mut server = Killed(bench.bocr(&serve).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let url = format!("http://127.0.0.1:{socket}");
    until("the server listens", || std::net::TcpStream::connect(format!("127.0.0.1:{socket}")).is_ok());
    let run = bench.run_directory();
    let arguments = ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "--chandra-url", &url];
    let output = bench.bocr(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(server.0.try_wait().unwrap().is_none(), "the server is somebody else's: it must run on");
    bench.assert_verified();
}

/// A crash of the server's process shows only as a cut connection. Its page goes back as one that saw a death, and the
/// restarted server reads it.
#[test]
fn a_server_process_killed_under_a_page_is_started_again_and_all_pages_are_read() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf"]);
    let store = "[store]\nsync_interval = \"50ms\"\nsync_records = 1\n";
    let configuration = bench.one_engine_configuration("", "0", store);
    // The first page with the first lease never gets its answer; under its next lease it does.
    let faults = bench.write("faults.toml", "[[fault]]\npage = \"p1.l1\"\nkind = \"stall\"\n");
    let run = bench.run_directory();
    let mut arguments =
        vec!["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    arguments.extend(["--roles", "chandra", "--faults", faults.to_str().unwrap()]);
    let mut child = Killed(bench.bocr(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let settled = || -> Option<u64> {
        let status: serde_json::Value = serde_json::from_slice(&fs::read(run.join("status.json")).ok()?).ok()?;
        status["settled"].as_u64()
    };
    until("the other two pages are settled", || settled() == Some(2));
    let is_server = |line: &String| line.contains(" stand-in ") && !line.contains(" guard ");
    let (server, _) = bench.marked_processes().into_iter().find(|(_, line)| is_server(line)).expect("the server");
    kill_process(Pid::from_raw(server).unwrap(), Signal::KILL).unwrap();
    assert_eq!(ended(&mut child), Some(0), "{}", bench.log(0));
    bench.assert_nothing_left();
    bench.assert_verified();
    let mut reader = bench.reader();
    let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
    let records: Vec<_> = pages.into_iter().map(|page| reader.read(page).unwrap().unwrap()).collect();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.verdict == Verdict::Read));
    let (record, attempts) = struck(&records);
    assert_eq!(attempts, [interrupted(MachineFault::ServerDied), ACCEPTED], "its history goes with the page");
    let others = records.iter().filter(|other| other.page != record.page);
    assert!(others.into_iter().all(|other| struck(std::slice::from_ref(other)).1 == [ACCEPTED]));
    let log = bench.log(0);
    assert!(log.contains(&format!("{}: ", MachineFault::ServerDied)), "{log}");
}

#[test]
fn a_server_given_by_url_that_goes_away_ends_the_run_with_75_and_fails_no_page() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let faults = bench.write("faults.toml", "[[fault]]\npage = \"*.p1\"\nkind = \"stall\"\n");
    let mut serve = vec!["stand-in", "--speak", "chandra", "--mode", "synthetic", "--time-scale", "0"];
    serve.extend(["--port", &port, "--faults", faults.to_str().unwrap()]);
    let mut server = Killed(bench.bocr(&serve).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the server listens", || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    let (run, url) = (bench.run_directory(), format!("http://127.0.0.1:{port}"));
    let mut arguments = vec!["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap()];
    let configuration = bench.write("configuration.toml", "[engines.chandra]\nstart_limit = \"2s\"\n");
    arguments.extend(["--roles", "chandra", "--chandra-url", &url, "-c", configuration.to_str().unwrap()]);
    let mut child = Killed(bench.bocr(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the run has begun", || bench.log(0).contains("the server is ready"));
    server.0.kill().unwrap();
    server.0.wait().unwrap();
    let code = ended(&mut child);
    let log = bench.log(0);
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("no server answers at http://127.0.0.1"), "{log}");
    assert_eq!(bench.reader().pages().count(), 0, "no page was read, and none is counted as failed");
}

#[test]
fn a_server_program_that_is_missing_is_named_and_leaves_no_folder() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let configuration =
        "[engines.chandra.server]\nkind = \"launch\"\ncommand = [\"no-such-vllm\", \"--uds\", \"{socket}\"]\n";
    let configuration = bench.write("configuration.toml", configuration);
    let (run, temporary) = (bench.run_directory(), bench.path("t"));
    fs::create_dir(&temporary).unwrap();
    let mut arguments =
        vec!["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    arguments.extend(["--roles", "chandra"]);
    let output = bench.bocr(&arguments).env("TMPDIR", &temporary).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output));
    let log = bench.log(0);
    assert!(log.contains("cannot start the server's program `no-such-vllm`"), "{log}");
    bench.assert_nothing_left();
    // What servers compile is kept for the next start.
    let left = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| name.ends_with("-caches")));
}
