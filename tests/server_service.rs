//! A service with real processes under real guards: a death counts once, and one server is gone before the next comes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod run_support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use bulletin_ocr::{
    engine::Profile,
    model::{
        Engine, RankId,
        configuration::{EngineSettings, Secret, ServerSource},
    },
    server::{Service, ServiceEvent, ServicePlan, Share},
};
use run_support::{Bench, until};

/// A service whose processes carry the bench's mark, and what it tells.
fn start(bench: &Bench, command: &[&str], start_limit: Duration) -> (Service, Receiver<ServiceEvent>) {
    let (name, value) = bench.mark();
    let server = ServerSource::Launch {
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        prefix: Vec::new(),
        environment: BTreeMap::from([(name.to_owned(), Secret(value.to_owned()))]),
    };
    let plan = ServicePlan {
        rank: RankId::COORDINATOR,
        local_rank: 0,
        profile: Arc::new(Profile::load("chandra-2", None).unwrap()),
        settings: EngineSettings { server, start_limit, ..EngineSettings::default() },
        share: Share { program: env!("CARGO_BIN_EXE_bocr").into(), cores: 1, gpu: None },
        logs: bench.path(""),
    };
    let (events, heard) = channel();
    (Service::start(plan, move |event| drop(events.send(event))), heard)
}

fn stand_in(bench: &Bench) -> (Service, Receiver<ServiceEvent>) {
    let program = env!("CARGO_BIN_EXE_bocr");
    let served = ["--speak", "chandra", "--mode", "synthetic", "--uds", "{socket}", "--served-name", "{served_name}"];
    start(bench, &[&[program, "stand-in"], &served[..]].concat(), Duration::from_secs(60))
}

/// Folders of the sockets that running guards will remove.
fn folders(bench: &Bench) -> Vec<PathBuf> {
    let after_flag = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        let flag = words.iter().position(|word| *word == "--remove")?;
        words.get(flag + 1).map(PathBuf::from)
    };
    bench.processes().into_iter().filter_map(after_flag).collect()
}

fn assert_gone(bench: &Bench, folders: &[PathBuf]) {
    assert_eq!(bench.processes(), Vec::<String>::new());
    assert!(!folders.is_empty() && !folders.iter().any(|folder| Path::exists(folder)), "{folders:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_many_pages_report_is_one_death() {
    let bench = Bench::new();
    let (service, heard) = stand_in(&bench);
    assert_eq!(service.ready().await.unwrap().start, 1);
    for _ in 0..20 {
        service.report_death(1);
    }
    // At once, although the old process is still there.
    assert_eq!(service.ready().await.unwrap().start, 2);
    service.report_death(1);
    assert_eq!(service.ready().await.unwrap().start, 2, "late reports are about a start that is long gone");
    assert_eq!(folders(&bench).len(), 1, "the first server was gone before the second came");
    let folders = folders(&bench);
    service.stop().await;
    assert_gone(&bench, &folders);
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), vec![ServiceEvent::Ready(Engine::Chandra); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_server_starts_waits_until_it_is_gone() {
    let bench = Bench::new();
    let silent = ["sh", "-c", "trap '' TERM; sleep 1000 & wait; : {socket}"];
    let (service, heard) = start(&bench, &silent, Duration::from_secs(600));
    until("the server runs", || bench.processes().iter().any(|process| process.starts_with("sleep 1000")));
    let folders = folders(&bench);
    service.stop().await;
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
