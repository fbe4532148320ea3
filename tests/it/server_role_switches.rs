//! Two services on one GPU with real processes: they take turns, or start one after the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::run_support::{Bench, both_awake, until};
use bulletin_ocr::{
    engine::Profile,
    model::{
        Engine, MachineFault, RankId, Role,
        configuration::{EngineSettings, Secret, ServerSource},
        node::NodeSettings,
    },
    node::{NodePreparation, Place},
    server::{DesiredState, GpuPermits, MemoryShare, Ready, Service, ServicePlan, Share},
};
use rustix::process::{Pid, Signal, kill_process};

use engines::{CHANDRA as Chandra, DEEPSEEK as DeepSeek};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bocr");

/// A rank that serves both engines.
struct Rank<'b> {
    bench: &'b Bench,
    services: BTreeMap<Engine, Service>,
}

/// What the shell does before it becomes the stand-in, and the stand-in's further arguments.
type Command<'c> = (&'c str, &'c str);

impl<'b> Rank<'b> {
    fn start(bench: &'b Bench, role: Role, commands: [Command<'_>; 2]) -> Rank<'b> {
        Rank::start_with(bench, role, commands, |_| None)
    }

    fn start_with(
        bench: &'b Bench,
        role: Role,
        commands: [Command<'_>; 2],
        preparation: impl Fn(Engine) -> Option<NodePreparation>,
    ) -> Rank<'b> {
        std::fs::create_dir_all(bench.run_directory()).unwrap();
        let gpu_permits = GpuPermits::default();
        let begin = |(engine, (before, arguments)): (Engine, Command<'_>)| {
            let desired_state = if role.first().contains(engine) { DesiredState::Serve } else { DesiredState::Rest };
            let profile = if engine == Chandra { "chandra-2" } else { "deepseek-ocr" };
            let plan = ServicePlan {
                rank: RankId::COORDINATOR,
                local_rank: 0,
                engine: engines::name(engine),
                rank_engines: role.engines().iter().map(engines::name).collect(),
                profile: Arc::new(Profile::load(profile, None).unwrap()),
                memory_share: MemoryShare { role, memory: 0.4 },
                gpu_permits: gpu_permits.clone(),
                desired_state,
                settings: settings(bench, engine, before, arguments),
                share: Share {
                    program: PROGRAM.into(),
                    cores: 1,
                    gpu: None,
                    preparation: preparation(engine).map(Arc::new),
                },
                run_directory: bench.run_directory(),
                logs: bench.path(""),
                linger: Duration::from_secs(300),
            };
            (engine, Service::start(plan, |_| {}))
        };
        let mut both: Vec<_> = engines::ALL.into_iter().zip(commands).collect();
        both.sort_by_key(|(engine, _)| role.first().contains(*engine));
        Rank { bench, services: both.into_iter().map(begin).collect() }
    }

    /// Switches to the engine, and waits until it serves.
    async fn turn(&self, engine: Engine) -> Ready {
        let other = if engine == Chandra { DeepSeek } else { Chandra };
        self.services[&other].desired_state().set(DesiredState::Rest);
        self.services[&engine].desired_state().set(DesiredState::Serve);
        self.serving(engine).await
    }

    async fn serving(&self, engine: Engine) -> Ready {
        let since = Instant::now();
        loop {
            if let Some(ready) = self.services[&engine].life().ready() {
                return ready;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "{engine:?} never serves: {:?}", self.bench.processes());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn stop(self) {
        for service in self.services.into_values() {
            service.stop().await;
        }
        self.bench.assert_nothing_left();
    }
}

fn settings(bench: &Bench, engine: Engine, before: &str, arguments: &str) -> EngineSettings {
    let name = engines::name(engine);
    let script = format!(
        "{before} exec {PROGRAM} stand-in --speak {name} --mode synthetic --time-scale 0 --uds {{socket}} \
         --served-name {{served_name}} {arguments}"
    );
    let (name, value) = bench.mark();
    let server = ServerSource::Launch {
        command: Some(["sh", "-c", &script].map(str::to_owned).into()),
        prefix: Vec::new(),
        activate: None,
        environment: BTreeMap::from([(name.to_owned(), Secret(value.to_owned()))]),
    };
    let hang_limit = Duration::from_millis(500);
    EngineSettings { server, hang_limit, start_limit: Duration::from_secs(60), ..EngineSettings::default() }
}

/// The process of an engine's server, which is there once.
fn server_of(bench: &Bench, engine: Engine) -> i32 {
    let all = servers_of(bench, engine);
    assert_eq!(all.len(), 1, "{engine:?}: {:?}", bench.processes());
    all[0]
}

fn servers_of(bench: &Bench, engine: Engine) -> Vec<i32> {
    let speaks = format!(" stand-in --speak {} ", engines::name(engine));
    let is = |line: &str| line.contains(&speaks) && !line.contains(" guard ") && !line.starts_with("sh ");
    bench.marked_processes().into_iter().filter(|(_, line)| is(line)).map(|(id, _)| id).collect()
}

/// Keeps the log of a test on one thread, until this is dropped.
fn logging(bench: &Bench) -> tracing::subscriber::DefaultGuard {
    let file = std::fs::File::create(bench.path("log")).unwrap();
    tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(file).with_ansi(false).finish())
}

fn logged(bench: &Bench) -> String {
    std::fs::read_to_string(bench.path("log")).unwrap()
}

async fn is_sleeping(ready: &Ready) -> bool {
    ready.reader.client().is_sleeping().await.unwrap()
}

/// Does what it is told to, while somebody looks that the two servers are never awake together.
async fn with_one_awake(bench: &Bench, story: impl Future<Output = ()>) {
    let found = AtomicU32::new(0);
    tokio::select! {
        () = both_awake(bench, &found) => {}
        () = story => {}
    }
    assert_eq!(found.load(Ordering::SeqCst), 0, "both servers were awake");
}

const SLEEPS: Command<'static> = ("", "--enable-sleep-mode --sleep-time 0.05 --wake-time 0.05");

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_sleep_mode_take_turns_and_are_started_once() {
    let bench = Bench::new();
    let story = async {
        let rank = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [SLEEPS, SLEEPS]);
        let chandra = rank.serving(Chandra).await;
        assert!(servers_of(&bench, DeepSeek).is_empty(), "before its turn it has not been started");
        assert_eq!(rank.services[&DeepSeek].ready().await.unwrap_err(), MachineFault::ConnectionLost);
        let deepseek = rank.turn(DeepSeek).await;
        let ids = [Chandra, DeepSeek].map(|engine| server_of(&bench, engine));
        assert!(is_sleeping(&chandra).await && !is_sleeping(&deepseek).await);
        for engine in [Chandra, DeepSeek, Chandra] {
            let since = Instant::now();
            let ready = rank.turn(engine).await;
            println!("{engine:?} is woken up after {:?}", since.elapsed());
            assert!(ready.reader.client().answers_canary(&ready.reader.server().model).await);
        }
        assert!(!is_sleeping(&chandra).await && is_sleeping(&deepseek).await);
        assert_eq!([Chandra, DeepSeek].map(|engine| server_of(&bench, engine)), ids);
        rank.stop().await;
    };
    with_one_awake(&bench, story).await;
}

/// The lock stands for the memory of the GPU: it is free only when every process that holds it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sleep_mode_is_gone_before_the_other_starts() {
    let bench = Bench::new();
    let collision = bench.path("collision");
    let lock = format!("exec 9>{}; flock -n 9 || touch {};", bench.path("lock").display(), collision.display());
    let rank = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [(&lock, ""), (&lock, "")]);
    rank.serving(Chandra).await;
    let id = server_of(&bench, Chandra);
    for engine in [DeepSeek, Chandra] {
        rank.turn(engine).await;
    }
    assert!(servers_of(&bench, DeepSeek).is_empty());
    assert_ne!(server_of(&bench, Chandra), id);
    assert!(!collision.exists(), "two servers at one time");
    rank.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_fall_asleep_or_wake_up_is_started_anew() {
    for fault in ["sleep-fails", "wake-fails", "wake-hangs"] {
        let bench = Bench::new();
        let script = bench.write("faults.toml", &format!("[[fault]]\nkind = \"{fault}\"\n"));
        let arguments = format!("{} --faults {}", SLEEPS.1, script.display());
        let story = async {
            let rank = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [("", &arguments), SLEEPS]);
            rank.serving(Chandra).await;
            let id = server_of(&bench, Chandra);
            rank.turn(DeepSeek).await;
            assert_eq!(servers_of(&bench, Chandra).is_empty(), fault == "sleep-fails", "{fault}");
            rank.turn(Chandra).await;
            assert_ne!(server_of(&bench, Chandra), id, "{fault}");
            rank.stop().await;
        };
        with_one_awake(&bench, story).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_its_sleep_is_started_at_its_turn() {
    let bench = Bench::new();
    let rank = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [SLEEPS, SLEEPS]);
    rank.serving(Chandra).await;
    rank.turn(DeepSeek).await;
    kill_process(Pid::from_raw(server_of(&bench, Chandra)).unwrap(), Signal::KILL).unwrap();
    until("its guard is gone too", || !bench.servers().contains_key("chandra-0"));
    rank.turn(Chandra).await;
    server_of(&bench, Chandra);
    rank.stop().await;
}

#[tokio::test]
async fn the_turn_may_come_while_the_server_is_still_starting() {
    let bench = Bench::new();
    let _logging = logging(&bench);
    let loaded = bench.path("loaded");
    let loads = format!("until [ -e {} ]; do sleep 0.02; done;", loaded.display());
    let rank = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [(&loads, SLEEPS.1), SLEEPS]);
    while !bench.servers().contains_key("chandra-0") {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    rank.turn(DeepSeek).await;
    let logged = logged(&bench);
    assert!(logged.contains("it was still starting") && !logged.contains("WARN"), "{logged}");
    assert!(!bench.servers().contains_key("chandra-0"));
    std::fs::write(&loaded, "").unwrap();
    rank.turn(Chandra).await;
    rank.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_of_the_engine_that_waits_is_copied_before_its_turn() {
    let bench = Bench::new();
    for engine in engines::ALL {
        let name = engines::name(engine);
        std::fs::create_dir(bench.path(name.as_str())).unwrap();
        bench.write(&format!("{name}/weights"), name.as_str());
    }
    let disk = bench.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let preparation = |engine: Engine| {
        let settings = NodeSettings { stage: Some(disk.clone()), cache: Some(disk.clone()), ..NodeSettings::default() };
        let place = Place { rank: RankId::COORDINATOR, local_rank: 0, local_size: 1, cores: 1, gpu: None };
        let name = engines::name(engine);
        Some(NodePreparation::new(name.clone(), bench.path(name.as_str()).to_str().unwrap(), &settings, place))
    };
    let copies = || {
        let paths = walkdir::WalkDir::new(&disk).into_iter().map(|entry| entry.unwrap().into_path());
        paths.filter(|path| path.ends_with("deepseek/weights")).collect::<Vec<_>>()
    };
    let serves = format!("[ -e {{model}}/weights ] || exit 3; echo {{model}} >{};", bench.path("served").display());
    let rank = Rank::start_with(&bench, Role::OneAtATime(engines::BOTH), [SLEEPS, (&serves, SLEEPS.1)], preparation);
    rank.serving(Chandra).await;
    let whole = |path: &std::path::PathBuf| !path.ancestors().any(|folder| folder.extension().is_some());
    until("it is copied", || copies().iter().any(whole));
    assert!(servers_of(&bench, DeepSeek).is_empty());
    rank.turn(DeepSeek).await;
    assert_eq!(
        std::fs::read_to_string(bench.path("served")).unwrap().trim(),
        copies()[0].parent().unwrap().to_str().unwrap()
    );
    rank.stop().await;
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_of_before_its_turn() {
    let bench = Bench::new();
    let _logging = logging(&bench);
    let preparation = |engine: Engine| {
        let settings = NodeSettings { cache: Some(bench.path("")), ..NodeSettings::default() };
        let place = Place { rank: RankId::COORDINATOR, local_rank: 0, local_size: 1, cores: 1, gpu: None };
        (engine == DeepSeek).then(|| NodePreparation::new(engines::name(engine), "/nowhere/model", &settings, place))
    };
    let rank = Rank::start_with(&bench, Role::OneAtATime(engines::BOTH), [SLEEPS, SLEEPS], preparation);
    rank.serving(Chandra).await;
    let logged = logged(&bench);
    assert!(logged.contains("WILL NOT FIND ITS MODEL") && logged.contains("/nowhere/model"), "{logged}");
    rank.stop().await;
}

/// The rank dies while the second engine serves: the next attempt begins with the first, and starts nothing anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_wakes_up_what_slept_and_puts_to_sleep_what_served() {
    let bench = Bench::new();
    let story = async {
        let first = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [SLEEPS, SLEEPS]);
        first.serving(Chandra).await;
        let deepseek = first.turn(DeepSeek).await;
        let ids = [Chandra, DeepSeek].map(|engine| server_of(&bench, engine));
        drop(first);
        let second = Rank::start(&bench, Role::OneAtATime(engines::BOTH), [SLEEPS, SLEEPS]);
        second.serving(Chandra).await;
        assert!(is_sleeping(&deepseek).await);
        assert_eq!([Chandra, DeepSeek].map(|engine| server_of(&bench, engine)), ids);
        second.turn(DeepSeek).await;
        assert_eq!(server_of(&bench, DeepSeek), ids[1]);
        second.stop().await;
    };
    with_one_awake(&bench, story).await;
}

/// vLLM takes what is free when it starts for what it may have.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_share_a_gpu_the_second_starts_when_the_first_is_ready() {
    let bench = Bench::new();
    let (loaded, collision) = (bench.path("loaded"), bench.path("collision"));
    let loads = format!("sleep 0.5; touch {};", loaded.display());
    let looks = format!("[ -e {} ] || touch {};", loaded.display(), collision.display());
    let rank = Rank::start(&bench, Role::Together(engines::BOTH), [(&loads, ""), (&looks, "")]);
    for engine in engines::ALL {
        rank.serving(engine).await;
    }
    assert!(loaded.exists() && !collision.exists(), "the second did not wait for the first");
    for engine in engines::ALL {
        assert!(rank.services[&engine].life().ready().is_some());
    }
    rank.stop().await;
}
