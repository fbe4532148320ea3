//! A service with real processes under real guards: a death counts once, and one server is gone before the next comes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Cursor, Read},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use crate::run_support::{self, Bench, Killed, until};
use bulletin_ocr::{
    engine::{Asking, Expectation, PageImage, Profile, ServerAddress},
    model::{
        AttemptOutcome, BBox, Engine, FailureClass, MachineFault, PixelSize, RankId, Role, Shown, Stage,
        configuration::{EngineSettings, Secret, ServerSource},
    },
    server::{DesiredState, GpuPermits, MemoryShare, Ready, ReportedDeath, Service, ServiceEvent, ServicePlan, Share},
};
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};

/// Settings of a server whose processes carry the bench's mark.
fn settings(bench: &Bench, command: &[&str]) -> EngineSettings {
    let (name, value) = bench.mark();
    let server = ServerSource::Launch {
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        prefix: Vec::new(),
        activate: None,
        environment: BTreeMap::from([(name.to_owned(), Secret(value.to_owned()))]),
    };
    EngineSettings { server, start_limit: Duration::from_secs(60), ..EngineSettings::default() }
}

fn plan(bench: &Bench, settings: EngineSettings, linger: u64) -> ServicePlan {
    // Everything of the run is in its directory.
    std::fs::create_dir_all(bench.run_directory()).unwrap();
    ServicePlan {
        rank: RankId::COORDINATOR,
        local_rank: 0,
        engine: engines::name(engines::CHANDRA),
        rank_engines: vec![engines::name(engines::CHANDRA)],
        profile: Arc::new(Profile::load("chandra-2", None).unwrap()),
        memory_share: alone(),
        gpu_permits: GpuPermits::default(),
        desired_state: DesiredState::Serve,
        settings,
        share: Share { program: env!("CARGO_BIN_EXE_bocr").into(), cores: 1, gpu: None, preparation: None },
        run_directory: bench.run_directory(),
        logs: bench.path(""),
        linger: Duration::from_secs(linger),
    }
}

fn alone() -> MemoryShare {
    MemoryShare { role: Role::One(engines::CHANDRA), memory: 0.85 }
}

fn begin(plan: ServicePlan) -> (Service, Receiver<ServiceEvent>) {
    let (events, heard) = channel();
    (Service::start(plan, move |event| drop(events.send(event))), heard)
}

fn start_with(bench: &Bench, settings: EngineSettings, linger: u64) -> (Service, Receiver<ServiceEvent>) {
    begin(plan(bench, settings, linger))
}

fn start(bench: &Bench, command: &[&str], start_limit: Duration) -> (Service, Receiver<ServiceEvent>) {
    start_with(bench, EngineSettings { start_limit, ..settings(bench, command) }, 0)
}

/// Longer than any test.
const LINGER: u64 = 300;

const STAND_IN: [&str; 12] = [
    env!("CARGO_BIN_EXE_bocr"),
    "stand-in",
    "--speak",
    "chandra",
    "--mode",
    "synthetic",
    "--time-scale",
    "0",
    "--uds",
    "{socket}",
    "--served-name",
    "{served_name}",
];

fn stand_in(bench: &Bench) -> (Service, Receiver<ServiceEvent>) {
    start(bench, &STAND_IN, Duration::from_secs(60))
}

/// A stand-in with a fault script, watched closely.
fn faulty(bench: &Bench, faults: &str) -> EngineSettings {
    let faults = bench.write("faults.toml", faults);
    let command = [&STAND_IN[..], &["--faults", faults.to_str().unwrap()]].concat();
    EngineSettings { hang_limit: Duration::from_millis(400), ..settings(bench, &command) }
}

const HANG: &str = "[[fault]]\npage = \"hangs.p1\"\nkind = \"hang\"\n";

async fn attempt(ready: &Ready, request: &str) -> AttemptOutcome {
    let mut png = Cursor::new(Vec::new());
    image::GrayImage::new(800, 1120).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let png = Bytes::from(png.into_inner());
    let size = PixelSize { width: 800, height: 1120 };
    let shown = Shown::whole(size);
    let asking = Asking { request_id: request, stage: Stage::FIRST, step: 0 };
    ready
        .reader
        .attempt(&PageImage { png, shown, place: BBox::PAGE, expects: Expectation::NONE }, asking)
        .await
        .attempt
        .outcome
}

/// The one process of the bench whose command line is of this kind.
fn one(bench: &Bench, is: fn(&str) -> bool) -> i32 {
    let all: Vec<i32> = bench.marked_processes().into_iter().filter(|(_, line)| is(line)).map(|(id, _)| id).collect();
    assert_eq!(all.len(), 1, "{:?}", bench.processes());
    all[0]
}

fn server_of(bench: &Bench) -> i32 {
    one(bench, |line| line.contains(" stand-in ") && !line.contains(" guard "))
}

fn guard_of(bench: &Bench) -> i32 {
    one(bench, |line| line.contains(" guard "))
}

/// The server after the first.
async fn restarted(service: &Service) -> Ready {
    loop {
        let ready = service.ready().await.unwrap();
        if ready.start > 1 {
            return ready;
        }
        tokio::task::yield_now().await;
    }
}

fn kill(id: i32) {
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
}

fn is_there(bench: &Bench, id: i32) -> bool {
    bench.marked_processes().iter().any(|(other, _)| *other == id)
}

/// What a guard answers whoever asks for its server.
fn answer(control: &Path) -> Option<u8> {
    let mut answer = [0];
    UnixStream::connect(control).and_then(|mut guard| guard.read_exact(&mut answer)).ok().map(|()| answer[0])
}

/// Folders of running guards.
fn folders(bench: &Bench) -> Vec<PathBuf> {
    let after_flag = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        let flag = words.iter().position(|word| *word == "--folder")?;
        words.get(flag + 1).map(PathBuf::from)
    };
    bench.processes().into_iter().filter_map(after_flag).collect()
}

fn assert_gone(bench: &Bench, folders: &[PathBuf]) {
    assert_eq!(bench.processes(), Vec::<String>::new());
    assert!(!folders.is_empty() && !folders.iter().any(|folder| Path::exists(folder)), "{folders:?}");
}

fn is_ready(event: &ServiceEvent) -> bool {
    matches!(event, ServiceEvent::Ready(server) if server.model == "chandra")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_many_pages_report_is_one_death() {
    let bench = Bench::new();
    let (service, heard) = stand_in(&bench);
    assert_eq!(service.ready().await.unwrap().start, 1);
    for _ in 0..20 {
        service.report_death(1, ReportedDeath::EngineDead);
    }
    // At once, although the old process is still there.
    assert_eq!(service.ready().await.unwrap().start, 2);
    service.report_death(1, ReportedDeath::EngineDead);
    assert_eq!(service.ready().await.unwrap().start, 2, "late reports are about a start that is long gone");
    assert_eq!(folders(&bench).len(), 1, "the first server was gone before the second came");
    let folders = folders(&bench);
    service.stop().await;
    assert_gone(&bench, &folders);
    let heard: Vec<_> = heard.into_iter().collect();
    assert!(heard.len() == 2 && heard.iter().all(is_ready), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_server_starts_waits_until_it_is_gone() {
    let bench = Bench::new();
    let silent = ["sh", "-c", "trap '' TERM; sleep 1000 & wait; : {socket}"];
    let (service, heard) = start(&bench, &silent, Duration::from_secs(600));
    until("the server runs", || bench.processes().iter().any(|process| process.starts_with("sleep 1000")));
    let folders = folders(&bench);
    let since = Instant::now();
    service.stop().await;
    assert!(since.elapsed() < Duration::from_secs(4), "a grace of 2 s, then its end: {:?}", since.elapsed());
    assert_gone(&bench, &folders);
    assert!(heard.into_iter().next().is_none());
}

/// The lock stands for the memory of the GPU: it is free only when every process that holds it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_in_time_is_gone_before_the_next_start() {
    let bench = Bench::new();
    let (lock, starts, collision) = (bench.path("lock"), bench.path("starts"), bench.path("collision"));
    let script = format!(
        "trap '' TERM; exec 9>{}; flock -n 9 || touch {}; echo >> {}; sleep 1000 & wait; : {{socket}}",
        lock.display(),
        collision.display(),
        starts.display(),
    );
    let (service, _heard) = start(&bench, &["sh", "-c", &script], Duration::from_millis(300));
    until("it was started again", || std::fs::read(&starts).unwrap_or_default().len() >= 2);
    assert!(!collision.exists(), "two servers at one time");
    service.stop().await;
    assert_eq!(bench.processes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_adopts_the_server_of_a_rank_that_died() {
    let bench = Bench::new();
    let (first, _) = start_with(&bench, settings(&bench, &STAND_IN), LINGER);
    first.ready().await.unwrap();
    let (id, folders) = (server_of(&bench), folders(&bench));
    // The first still holds the server when the second comes.
    let (second, _heard) = start_with(&bench, settings(&bench, &STAND_IN), LINGER);
    drop(first);
    let ready = second.ready().await.unwrap();
    assert_eq!((server_of(&bench), ready.start), (id, 1));
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    // It is watched as if it had been launched here.
    kill(id);
    assert_eq!((restarted(&second).await.start, server_of(&bench) == id), (2, false));
    second.stop().await;
    assert_gone(&bench, &folders);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_still_starting_is_waited_for_by_the_next_attempt() {
    let bench = Bench::new();
    let loaded = bench.path("loaded");
    let script = format!("until [ -e {} ]; do sleep 0.05; done; exec {}", loaded.display(), STAND_IN.join(" "));
    let command = ["sh", "-c", &script];
    let (first, _) = start_with(&bench, settings(&bench, &command), LINGER);
    until("the guard listens", || folders(&bench).first().is_some_and(|folder| folder.join("control.sock").exists()));
    let (guard, control) = (guard_of(&bench), folders(&bench)[0].join("control.sock"));
    drop(first);
    until("nobody holds the server", || answer(&control) == Some(b'h'));
    let (second, _heard) = start_with(&bench, settings(&bench, &command), 0);
    until("the second holds it", || answer(&control) == Some(b'b'));
    std::fs::write(loaded, "").unwrap();
    second.ready().await.unwrap();
    assert_eq!(guard_of(&bench), guard);
    second.stop().await;
    bench.assert_nothing_left();
}

/// The server of an engine that this rank served before has the memory that the next one needs.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_attempt_with_other_roles_left_on_the_gpu_is_ended_before_the_next_starts() {
    let bench = Bench::new();
    let on = |gpu: &str, roles: &[Engine], profile: &str, command: &[&str], linger| {
        let plan = plan(&bench, settings(&bench, command), linger);
        let share = Share { gpu: Some(gpu.into()), ..plan.share };
        let profile = Arc::new(Profile::load(profile, None).unwrap());
        let rank_engines: Vec<_> = roles.iter().map(|engine| engines::name(*engine)).collect();
        begin(ServicePlan { engine: rank_engines[0].clone(), rank_engines, profile, share, ..plan })
    };
    let silent = ["sh", "-c", "sleep 1000 & wait; : {socket}"];
    let (elder, _) = on("GPU-7", &[engines::DEEPSEEK], "deepseek-ocr", &silent, LINGER);
    until("the guard listens", || folders(&bench).first().is_some_and(|folder| folder.join("control.sock").exists()));
    let (guard, control) = (guard_of(&bench), folders(&bench)[0].join("control.sock"));

    // Not while it is held, nor for another GPU, nor where the rank serves that engine too.
    let (held, _heard) = on("GPU-7", &[engines::CHANDRA], "chandra-2", &STAND_IN, 0);
    held.ready().await.unwrap();
    held.stop().await;
    drop(elder);
    until("nobody holds the server", || answer(&control) == Some(b'h'));
    for (gpu, roles) in [("GPU-8", &[engines::CHANDRA][..]), ("GPU-7", &engines::ALL)] {
        let (service, _heard) = on(gpu, roles, "chandra-2", &STAND_IN, 0);
        service.ready().await.unwrap();
        service.stop().await;
    }
    assert_eq!(guard_of(&bench), guard);

    let (service, _heard) = on("GPU-7", &[engines::CHANDRA], "chandra-2", &STAND_IN, 0);
    service.ready().await.unwrap();
    assert_ne!(guard_of(&bench), guard, "one server on the GPU");
    service.stop().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_temporary_folder_works_elsewhere_and_says_so() {
    let bench = Bench::new();
    let (input, run) = (bench.inputs(&["pages/digital_fr.pdf"]), bench.run_directory());
    let (configuration, temporary) = (bench.instant_configuration(""), bench.path("missing/t"));
    let mut arguments = vec!["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap()];
    arguments.extend(["-c", configuration.to_str().unwrap(), "--roles", "chandra"]);
    let output = bench.bocr(&arguments).env("TMPDIR", &temporary).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", run_support::text(&output));
    let log = bench.log(0);
    assert!(log.contains("the server's folder is /tmp/") && log.contains(temporary.to_str().unwrap()), "{log}");
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_launched_otherwise_is_ended_before_the_next_starts() {
    let bench = Bench::new();
    let (first, _) = start_with(&bench, settings(&bench, &STAND_IN), LINGER);
    first.ready().await.unwrap();
    let id = server_of(&bench);
    drop(first);
    let other = [&STAND_IN[..], &["--seed", "7"]].concat();
    let (second, _heard) = start_with(&bench, settings(&bench, &other), 0);
    second.ready().await.unwrap();
    assert_ne!(server_of(&bench), id);
    second.stop().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_engine_hangs_is_not_adopted() {
    let bench = Bench::new();
    let slow = EngineSettings { hang_limit: Duration::from_secs(600), ..faulty(&bench, HANG) };
    let (first, _) = start_with(&bench, slow, LINGER);
    let ready = first.ready().await.unwrap();
    let id = server_of(&bench);
    let asked = tokio::spawn(async move { attempt(&ready, "hangs.p1").await });
    let log = bench.path("server-0000-chandra-1.log");
    until("it hangs", || std::fs::read_to_string(&log).unwrap_or_default().contains("FAULT INJECTED"));
    asked.abort();
    drop(first);
    let (second, _heard) = start_with(&bench, faulty(&bench, HANG), 0);
    assert_eq!(attempt(&second.ready().await.unwrap(), "page.p1").await, AttemptOutcome::Accepted);
    assert_ne!(server_of(&bench), id);
    second.stop().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_guard_or_rank_is_ended_before_the_next_starts() {
    let bench = Bench::new();
    let (first, _) = start_with(&bench, settings(&bench, &STAND_IN), LINGER);
    first.ready().await.unwrap();
    let (id, guard) = (server_of(&bench), guard_of(&bench));
    // The owner of the service goes first, so that nobody is there to clean up.
    let control = folders(&bench)[0].join("control.sock");
    drop(first);
    until("nobody holds the server", || answer(&control) == Some(b'h'));
    kill(guard);
    until("the guard is gone", || !is_there(&bench, guard));
    assert!(is_there(&bench, id), "an orphan");
    let (second, _heard) = start_with(&bench, settings(&bench, &STAND_IN), 0);
    second.ready().await.unwrap();
    assert_ne!(server_of(&bench), id);
    second.stop().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_killed_under_its_rank_takes_the_server_along() {
    let bench = Bench::new();
    let (service, _heard) = start_with(&bench, settings(&bench, &STAND_IN), LINGER);
    service.ready().await.unwrap();
    let id = server_of(&bench);
    let folders = folders(&bench);
    kill(guard_of(&bench));
    until("the server of the killed guard is gone", || !is_there(&bench, id));
    let ready = restarted(&service).await;
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    service.stop().await;
    assert_gone(&bench, &folders);
}

/// `/health` stays 200 all the time. Nobody but the watch finds out: the page may wait for longer than the engine.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_is_found_out_and_its_pages_are_not_blamed() {
    let bench = Bench::new();
    let (service, _heard) = start_with(&bench, faulty(&bench, HANG), 0);
    let ready = service.ready().await.unwrap();
    let since = Instant::now();
    assert_eq!(attempt(&ready, "hangs.p1").await, AttemptOutcome::Interrupted(MachineFault::ServerDied));
    let ready = restarted(&service).await;
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    println!("a hung engine with a limit of 400 ms: the next answer after {:?}", since.elapsed());
    service.stop().await;
    bench.assert_nothing_left();
}

/// The page's own limit passes first: it asks the engine for itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_stalls_is_blamed_only_if_the_engine_answers_others() {
    let bench = Bench::new();
    let faults = format!("{HANG}[[fault]]\npage = \"stalls.p1\"\nkind = \"stall\"\n");
    let settings = EngineSettings {
        token_gap_limit: Duration::from_millis(100),
        first_token_limit: Duration::from_secs(1),
        hang_limit: Duration::from_secs(2),
        ..faulty(&bench, &faults)
    };
    let (service, _heard) = start_with(&bench, settings, 0);
    let ready = service.ready().await.unwrap();
    assert_eq!(attempt(&ready, "stalls.p1").await, AttemptOutcome::Failed(FailureClass::Stalled));
    assert_eq!(attempt(&ready, "hangs.p1").await, AttemptOutcome::Interrupted(MachineFault::ServerDied));
    service.stop().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_death_the_next_answer_comes_soon() {
    let bench = Bench::new();
    let (service, _heard) = stand_in(&bench);
    let ready = service.ready().await.unwrap();
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    let since = Instant::now();
    kill(server_of(&bench));
    let ready = restarted(&service).await;
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    println!("a killed server: the next answer after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    service.stop().await;
    bench.assert_nothing_left();
}

/// The stand-in on a port, with what it makes of its key.
fn on_a_port(key: &str) -> String {
    let [program, stand_in, speak, chandra, ..] = STAND_IN;
    format!(
        "{key} {program} {stand_in} {speak} {chandra} --mode synthetic --time-scale 0 --port {{port}} \
         --served-name {{served_name}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_a_port_answers_nobody_without_the_runs_key() {
    let bench = Bench::new();
    let script = on_a_port("exec") + " --api-key \"$VLLM_API_KEY\"";
    let (first, _) = start_with(&bench, settings(&bench, &["sh", "-c", &script]), LINGER);
    let ready = first.ready().await.unwrap();
    let client = ready.reader.client();
    assert!(matches!(client.address(), ServerAddress::Tcp(_)));
    assert!(client.requires_key().await.unwrap());
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    let id = server_of(&bench);
    drop(first);
    let (second, _heard) = start_with(&bench, settings(&bench, &["sh", "-c", &script]), 0);
    let ready = second.ready().await.unwrap();
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted, "whoever adopts it knows its key");
    assert_eq!(server_of(&bench), id);
    second.stop().await;
    bench.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_needs_no_key_is_not_ours_and_another_port_is_tried() {
    let bench = Bench::new();
    let ports = bench.path("ports");
    let first_without = format!(
        "echo {{port}} >> {0}; [ $(wc -l < {0}) -gt 1 ] || {1}; {2} --api-key \"$VLLM_API_KEY\"",
        ports.display(),
        on_a_port("exec env -u VLLM_API_KEY"),
        on_a_port("exec"),
    );
    let (service, _heard) = start_with(&bench, settings(&bench, &["sh", "-c", &first_without]), 0);
    assert_eq!(service.ready().await.unwrap().start, 2);
    let ports = std::fs::read_to_string(ports).unwrap();
    let ports: Vec<&str> = ports.lines().collect();
    assert!(ports.len() == 2 && ports[0] != ports[1], "{ports:?}");
    service.stop().await;
    bench.assert_nothing_left();
}

/// A stand-in that no service has launched, with its URL.
fn elsewhere(bench: &Bench, port: &str, more: &[&str]) -> (Killed, String) {
    let arguments = ["stand-in", "--speak", "chandra", "--mode", "synthetic", "--time-scale", "0", "--port", port];
    let mut command = bench.bocr(&[&arguments, more].concat());
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().trim_start_matches("listening on ").to_owned();
    (child, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ours_is_waited_for_and_given_up_after_the_start_limit() {
    let bench = Bench::new();
    let (mut child, url) = elsewhere(&bench, "0", &[]);
    let port = url.rsplit(':').next().unwrap().to_owned();
    let settings = |start_limit| {
        let server = ServerSource::Url { urls: vec![url.clone()] };
        EngineSettings { server, start_limit, ..EngineSettings::default() }
    };
    let (service, heard) = start_with(&bench, settings(Duration::from_secs(60)), 0);
    service.ready().await.unwrap();
    assert!(is_ready(&heard.recv().unwrap()));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    // Longer than five starts that fail at once.
    let heard = tokio::task::spawn_blocking(move || (heard.recv_timeout(Duration::from_secs(10)), heard));
    let (nothing, heard) = heard.await.unwrap();
    assert!(nothing.is_err(), "{nothing:?}");
    let (mut child, _) = elsewhere(&bench, &port, &[]);
    assert_eq!(restarted(&service).await.start, 2);
    service.stop().await;
    drop(heard);

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let (_service, heard) = start_with(&bench, settings(Duration::from_millis(300)), 0);
    let events: Vec<_> = tokio::task::spawn_blocking(|| heard.into_iter().collect()).await.unwrap();
    let [ServiceEvent::Lost(reason)] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("no server answers") && reason.contains("start_limit"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ours_is_given_up_when_it_hangs_but_never_killed() {
    let bench = Bench::new();
    let script = bench.write("faults.toml", HANG);
    let (mut child, url) = elsewhere(&bench, "0", &["--faults", script.to_str().unwrap()]);
    let server = ServerSource::Url { urls: vec![url] };
    let hang_limit = Duration::from_millis(200);
    let (service, heard) = start_with(&bench, EngineSettings { server, hang_limit, ..EngineSettings::default() }, 0);
    let ready = service.ready().await.unwrap();
    assert_eq!(attempt(&ready, "page.p1").await, AttemptOutcome::Accepted);
    let hanging = tokio::spawn(async move { attempt(&ready, "hangs.p1").await });
    let events: Vec<ServiceEvent> = tokio::task::spawn_blocking(|| heard.into_iter().collect()).await.unwrap();
    assert!(is_ready(&events[0]), "{events:?}");
    let ServiceEvent::Lost(reason) = &events[1] else { panic!("{events:?}") };
    assert!(reason.contains("did not answer a request of one token"), "{reason}");
    assert!(child.0.try_wait().unwrap().is_none(), "it is not ours to kill");
    hanging.abort();
}
