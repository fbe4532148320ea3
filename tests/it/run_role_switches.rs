//! Runs whose ranks read with one engine at a time, on one GPU: real processes, invented answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::run_support::{Bench, Killed, both_awake, is_sleeping, text, until};
use bulletin_ocr::model::{Engine, PageRecord, Verdict};

/// One page, which the faults are for.
const PAGE: &str = "pages/digital_fr.pdf";

/// Two more.
const OTHERS: &str = "pages/digital_ar.pdf";

/// Chandra fails this page for good, without another try.
const REFUSED: &str = "[[fault]]\npage = \"digital_fr.p1\"\nengine = \"chandra\"\nkind = \"400\"\n";

/// DeepSeek fails it too; Chandra reads it when it comes back, in halves.
const FAILED_BY_BOTH: &str = "\
    [[fault]]\npage = \"digital_fr.p1*.whole\"\nengine = \"chandra\"\nkind = \"loop\"\n\
    [[fault]]\npage = \"digital_fr.p1*.reduced\"\nengine = \"chandra\"\nkind = \"loop\"\n\
    [[fault]]\npage = \"digital_fr.p1\"\nengine = \"deepseek\"\nkind = \"loop\"\n";

fn arguments(bench: &Bench, inputs: &[&str], configuration: PathBuf, faults: &str) -> Vec<String> {
    let input = bench.inputs(inputs);
    let mut arguments: Vec<String> = ["run", "--roles", "chandra/deepseek", "-i"].map(str::to_owned).into();
    arguments.extend([input.display().to_string(), "-o".into(), bench.run_directory().display().to_string()]);
    arguments.extend(["-c".into(), configuration.display().to_string()]);
    if !faults.is_empty() {
        arguments.extend(["--faults".into(), bench.write("faults.toml", faults).display().to_string()]);
    }
    arguments
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Runs on so many ranks, while somebody looks that no GPU ever has two servers that are awake. Returns the records, and
/// how often a rank turned.
async fn run(bench: &Bench, ranks: u32, arguments: &[String]) -> (Vec<PageRecord>, u64) {
    let arguments = words(arguments);
    let mut command = match ranks {
        1 => bench.bocr(&arguments),
        _ => bench.mpirun(ranks, &arguments),
    };
    let found = AtomicU32::new(0);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::select! {
        output = ended => output.unwrap(),
        () = both_awake(bench, &found) => return Default::default(),
    };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(found.load(Ordering::SeqCst), 0, "both servers of a GPU were awake");
    bench.assert_nothing_left();
    bench.assert_verified();
    let mut reader = bench.reader();
    let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
    let records: Vec<_> = pages.into_iter().map(|page| reader.read(page).unwrap().unwrap()).collect();
    assert!(records.iter().all(|record| record.verdict == Verdict::Read));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.run_directory().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["pages"], records.len());
    let turns = report["role_switches"]["count"].as_u64().unwrap();
    assert_eq!(text(&output).contains("from one engine to the other"), turns > 0, "{}", text(&output));
    (records, turns)
}

/// Pages that DeepSeek read.
fn recovered(records: &[PageRecord]) -> usize {
    records.iter().filter(|record| record.engine == Some(Engine::DeepSeek)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rank_turns_for_a_page_that_chandra_fails() {
    let bench = Bench::new();
    let (records, turns) =
        run(&bench, 1, &arguments(&bench, &[PAGE, OTHERS], bench.instant_configuration(""), REFUSED)).await;
    assert_eq!((recovered(&records), turns), (1, 1));
    assert!(bench.log(0).contains("the server sleeps"), "{}", bench.log(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_ranks_one_is_enough() {
    let bench = Bench::new();
    let (records, turns) =
        run(&bench, 2, &arguments(&bench, &[PAGE, OTHERS], bench.instant_configuration(""), REFUSED)).await;
    assert_eq!((recovered(&records), turns), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_wake_up_is_started_again_and_its_page_is_read() {
    let bench = Bench::new();
    let faults = format!("{FAILED_BY_BOTH}[[fault]]\nengine = \"chandra\"\nkind = \"wake-fails\"\n");
    let (records, turns) = run(&bench, 1, &arguments(&bench, &[PAGE], bench.instant_configuration(""), &faults)).await;
    assert_eq!((recovered(&records), turns), (0, 2));
    assert!(bench.log(0).contains("a server that does not wake up"), "{}", bench.log(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_sleep_mode_are_started_again_at_each_turn() {
    let bench = Bench::new();
    let faults = bench.write("server-faults.toml", FAILED_BY_BOTH);
    let stand_in = |engine: Engine| {
        let profile = bench.small_profile(engine);
        format!(
            "[engines.{engine}]\nprofile = {profile:?}\n\
             [engines.{engine}.server]\nkind = \"launch\"\ncommand = [\"{}\", \"stand-in\", \"--speak\", \"{engine}\", \
             \"--mode\", \"synthetic\", \"--time-scale\", \"0\", \"--uds\", \"{{socket}}\", \"--served-name\", \
             \"{{served_name}}\", \"--faults\", \"{}\"]\n",
            env!("CARGO_BIN_EXE_bocr"),
            faults.display()
        )
    };
    let configuration = bench.write("configuration.toml", &(stand_in(Engine::Chandra) + &stand_in(Engine::DeepSeek)));
    let (_, turns) = run(&bench, 1, &arguments(&bench, &[PAGE], configuration, "")).await;
    assert_eq!(turns, 2);
    assert_eq!(bench.log(0).matches("it has no sleep mode").count(), 2, "{}", bench.log(0));
    assert!(bench.run_directory().join("logs/server-0000-chandra-2.log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_killed_while_one_server_sleeps_goes_on_with_both() {
    let bench = Bench::new();
    let stalls = "[[fault]]\nengine = \"deepseek\"\nkind = \"stall\"\ntimes = 1\n";
    let mut arguments = arguments(&bench, &[PAGE], bench.instant_configuration(""), &format!("{REFUSED}{stalls}"));
    arguments.extend(["--linger".into(), "60".into()]);
    let mut command = bench.bocr(&words(&arguments));
    let mut first = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let sleeping = async |name: &str| match bench.servers().get(name) {
        Some(address) => is_sleeping(address).await,
        None => None,
    };
    while (sleeping("chandra-0").await, sleeping("deepseek-0").await) != (Some(true), Some(false)) {
        assert!(first.0.try_wait().unwrap().is_none(), "{}", bench.log(0));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    until("the guards have both servers", || bench.servers().len() == 2);
    let (records, _) = run(&bench, 1, &arguments).await;
    assert_eq!(recovered(&records), 1);
    let log = bench.log(0);
    assert_eq!(log.matches("adopted the server of an earlier attempt").count(), 1, "{log}");
    assert!(!bench.run_directory().join("logs/server-0000-chandra-2.log").exists(), "nothing is started anew");
    assert!(!bench.run_directory().join("logs/server-0000-deepseek-2.log").exists(), "nothing is started anew");
}
