//! Described clusters, simulated with the scheduler of a run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{path::Path, process::Command};

use bulletin_ocr::{
    model::{Outcome, StopReason},
    simulate::{Description, Forecast, forecast},
};

fn simulated(text: &str) -> Forecast {
    forecast(&Description::from_toml(&format!("runs = 1\n{text}")).unwrap(), false).unwrap()
}

#[test]
fn a_long_run_comes_near_its_bound_and_every_rank_second_is_accounted_for() {
    let run = simulated("ranks = 32\npages = 64_000\nroles = \"15*chandra,deepseek\"\n");
    assert!(run.complete && run.recovered > 500, "{run}");
    let most = run.bound.start + run.bound.work;
    assert!(run.efficiency > 0.9 && run.seconds >= most, "{run}");
    assert!((run.rank_seconds.total() / (32.0 * run.seconds) - 1.0).abs() < 0.01, "{run}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let run = |seed| simulated(&format!("ranks = 5\npages = 3000\nserver_deaths = 0.001\nseed = {seed}\n"));
    let (first, again, other) = (run(4), run(4), run(5));
    assert_eq!(first, again);
    assert!(first.server_deaths > 0 && first.seconds != other.seconds, "{first}");
}

#[test]
fn slow_ranks_get_fewer_pages_so_that_the_run_ends_together() {
    let of = |slow: &str| simulated(&format!("ranks = 16\npages = 40_000\n{slow}"));
    let (even, slow) = (of(""), of("slow_ranks = 0.25\nslow_factor = 2.0\n"));
    // A quarter of the ranks at half the speed: an eighth of all speed is missing.
    let ratio = (slow.seconds - slow.bound.start) / (even.seconds - even.bound.start);
    assert!((1.1..1.3).contains(&ratio), "{ratio} {slow}");
    assert!((slow.bound.work / even.bound.work - 1.0 / 0.875).abs() < 0.01, "{slow}");
}

#[test]
fn after_the_loss_of_a_rank_the_others_read_all_pages() {
    let run = simulated("ranks = 8\npages = 20_000\nlosses = [{ rank = 3, at = 500.0 }, { rank = 5, at = 1500.0 }]\n");
    let ends: Vec<_> = run.starts.iter().map(|start| (start.ranks, start.outcome)).collect();
    assert!(run.complete && run.starts.len() == 3, "{run}");
    assert!(matches!(ends[0], (8, Some(Outcome::Stopped(StopReason::RankSilent(_))))), "{ends:?}");
    assert_eq!((ends[1].0, ends[2]), (7, (6, Some(Outcome::Complete))));
}

#[test]
fn a_second_job_reads_what_the_first_has_left_and_nothing_else() {
    let both = "ranks = 4\npages = 9_000\nroles = \"3*chandra,deepseek\"\n";
    let (whole, jobs) = (simulated(both), simulated(&format!("{both}walltime = 1200.0\njobs = 9\n")));
    assert!(whole.complete && jobs.complete && jobs.starts.len() == 2, "{jobs}");
    let settled: u64 = jobs.starts.iter().map(|start| start.settled).sum();
    assert_eq!((settled, jobs.read + jobs.failed), (9_000, 9_000), "{jobs}");
    assert!(jobs.starts.iter().rev().skip(1).all(|start| start.seconds <= 1_200.0), "{jobs}");
    // Which pages fail does not depend on the jobs that read them; only further attempts are drawn.
    assert!(jobs.recovered.abs_diff(whole.recovered) < 60, "{} {}", jobs.recovered, whole.recovered);
}

#[test]
fn the_program_prints_a_table_or_json_and_draws_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("run.svg");
    let bocr = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bocr")).arg("simulate").args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let given = ["--ranks", "4", "--pages", "900", "--pages-per-second", "2", "--start", "30"];
    let (code, table, _) = bocr(&[&given[..], &["--timeline", picture.to_str().unwrap()]].concat());
    assert!(code == Some(0) && table.starts_with("900 pages on 4 ranks") && table.contains("starting"), "{table}");
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("rank 0") && svg.contains("polyline"), "{svg}");
    let (_, json, _) = bocr(&[&given[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["pages"].as_u64(), json["complete"].as_bool()), (Some(900), Some(true)));
    // The description can be printed, changed and simulated again.
    let (_, description, _) = bocr(&[&given[..], &["--describe"]].concat());
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, &description).unwrap();
    let (_, again, _) = bocr(&[path.to_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), json);
    std::fs::write(&path, "rank = 4\n").unwrap();
    let (code, _, message) = bocr(&[path.to_str().unwrap()]);
    assert!(code == Some(2) && message.contains("unknown field `rank`"), "{message}");
    let (code, _, message) = bocr(&["--like", Path::new("nowhere").to_str().unwrap()]);
    assert!(code == Some(2) && message.contains("report.json"), "{message}");
}
