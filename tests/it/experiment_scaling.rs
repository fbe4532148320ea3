//! `bocr experiment scaling`: many runs on servers that start once.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::run_support::{Bench, text, until, write_small_pages};

/// Arguments of an experiment of 10 pages for each rank, with two measurements of each point.
fn arguments(bench: &Bench, engine: &str, more: &[&str]) -> Vec<String> {
    fs::create_dir_all(bench.path("input")).unwrap();
    write_small_pages(&bench.path("input/small.pdf"), 10);
    let configuration = bench.instant_configuration(engine);
    let mut words: Vec<String> = ["experiment", "scaling", "--input"].map(str::to_owned).into();
    words.push(bench.path("input").display().to_string());
    words.extend(["--output".into(), bench.run_directory().display().to_string()]);
    words.extend(["--config".into(), configuration.display().to_string()]);
    let few = ["--pages", "10", "--repeats", "2", "--most-repeats", "2", "--warm-up-pages", "1"];
    words.extend(few.iter().chain(more).map(|word| (*word).to_owned()));
    words
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn code(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap_or_else(|| panic!("{output:?}")), text(&output))
}

fn results(bench: &Bench) -> Vec<Value> {
    let text = fs::read_to_string(bench.run_directory().join("results.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Mode, ranks and number of the measurements.
fn measured(results: &[Value]) -> BTreeSet<(String, u64, u64)> {
    let of = |line: &Value| {
        (line["mode"].as_str().unwrap().to_owned(), line["ranks"].as_u64().unwrap(), line["number"].as_u64().unwrap())
    };
    results.iter().filter(|line| line["record"] == "measurement").map(of).collect()
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_points_of_a_curve_are_runs_on_servers_that_start_once() {
    let bench = Bench::new();
    let arguments =
        arguments(&bench, "in_flight = 2", &["--roles", "chandra", "--ranks", "1,3", "--strong-pages", "20"]);
    let (ended, said) = code(&mut bench.mpirun(3, &words(&arguments)));
    assert_eq!(ended, 0, "{said}");

    let lines = results(&bench);
    assert_eq!(lines[0]["record"], "experiment");
    assert_eq!((&lines[0]["ranks"], &lines[0]["seed"]), (&3.into(), &1.into()));
    let wanted: BTreeSet<_> = ["strong", "weak"]
        .into_iter()
        .flat_map(|mode| [1, 3].map(|ranks| (mode.to_owned(), ranks)))
        .flat_map(|(mode, ranks)| [1, 2].map(|number| (mode.clone(), ranks, number)))
        .collect();
    assert_eq!(measured(&lines), wanted);
    for line in &lines[1..] {
        let (ranks, mode) = (line["ranks"].as_u64().unwrap(), line["mode"].as_str().unwrap());
        assert_eq!(line["pages"], if mode == "weak" { 10 * ranks } else { 20 }, "{line}");
        let by_rank = line["by_rank"].as_array().unwrap();
        assert_eq!(by_rank.len() as u64, ranks, "{line}");
        // The last pages may have records of two ranks.
        let pages: u64 = by_rank.iter().map(|rank| rank["pages"].as_u64().unwrap()).sum();
        assert!(pages >= line["pages"].as_u64().unwrap(), "{line}");
        let (seconds, reading) = (line["seconds"].as_f64().unwrap(), line["reading_seconds"].as_f64().unwrap());
        assert!(reading > 0.0 && reading < seconds, "{line}");
        let parts: f64 = line["server_seconds"].as_object().unwrap().values().map(|part| part.as_f64().unwrap()).sum();
        assert!((parts - seconds * ranks as f64).abs() < 0.01, "{line}");
    }
    // Every measurement has an exact ledger of its own.
    let runs = files(&bench.run_directory().join("runs"));
    assert_eq!(runs.len(), 9, "{runs:?}");
    for run in &runs {
        let (ended, said) = code(&mut bench.bocr(&["verify", run.to_str().unwrap()]));
        assert_eq!(ended, 0, "{}: {said}", run.display());
    }
    let logs = files(&bench.run_directory().join("logs"));
    let servers: Vec<_> = logs.iter().filter(|path| path.to_str().unwrap().contains("/server-")).collect();
    assert_eq!(servers.len(), 3, "one start for each rank: {servers:?}");
    let page = fs::read_to_string(bench.run_directory().join("scaling.md")).unwrap();
    assert!(said.contains(&page) && page.contains("## Weak scaling") && page.contains("| 3 | 2 | 30 |"), "{page}");
    for name in ["speed-up.svg", "efficiency.svg", "seconds-weak.svg", "seconds-strong.svg"] {
        let plot = fs::read_to_string(bench.run_directory().join(name)).unwrap();
        assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"), "{name}");
    }
    assert_eq!(fs::read_to_string(bench.run_directory().join("measurements.csv")).unwrap().lines().count(), 9);
    bench.assert_nothing_left();

    // The same command has nothing to do; a lost measurement is made again, and only that.
    let kept = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(code(&mut bench.mpirun(3, &words(&arguments))).0, 0);
    assert_eq!(results(&bench), lines);
    let last = lines.last().unwrap();
    let without: String = kept.lines().take(lines.len() - 1).map(|line| format!("{line}\n")).collect();
    fs::write(bench.run_directory().join("results.jsonl"), without).unwrap();
    assert_eq!(code(&mut bench.mpirun(3, &words(&arguments))).0, 0);
    let again = results(&bench);
    assert_eq!((&again[..again.len() - 1], measured(&again)), (&lines[..lines.len() - 1], wanted));
    assert_ne!(again.last().unwrap()["seconds"], last["seconds"]);

    let other: Vec<&str> = words(&arguments).into_iter().map(|word| if word == "20" { "30" } else { word }).collect();
    let (ended, said) = code(&mut bench.mpirun(3, &other));
    assert!(ended == 2 && said.contains("an experiment with another number of pages"), "{ended}: {said}");
}

#[test]
fn an_experiment_whose_rank_is_killed_goes_on_under_the_launcher() {
    let bench = Bench::new();
    let arguments = arguments(&bench, "in_flight = 1", &["--roles", "chandra/deepseek", "--mode", "weak"]);
    let mut launch = vec!["launch", "--ranks", "2", "--linger", "60", "--"];
    launch.extend(words(&arguments));
    let mut launcher = bench.bocr(&launch);
    launcher.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
    launcher.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut launched = launcher.spawn().unwrap();
    until("a point is measured", || results(&bench).len() > 1);
    let rank = bench.marked_processes().into_iter().find(|(_, line)| {
        let words: Vec<&str> = line.split(' ').collect();
        words.get(1) == Some(&"experiment")
    });
    let (rank, _) = rank.expect("a rank is at work");
    kill_process(Pid::from_raw(rank).unwrap(), Signal::KILL).unwrap();
    assert_eq!(launched.wait().unwrap().code(), Some(0));
    assert_eq!(measured(&results(&bench)).len(), 4, "{:?}", results(&bench));
    bench.assert_nothing_left();
}

#[test]
fn an_experiment_ends_before_its_deadline_and_continues() {
    let bench = Bench::new();
    let arguments = arguments(&bench, "in_flight = 1", &["--roles", "chandra", "--mode", "weak"]);
    let limited: Vec<&str> = words(&arguments).into_iter().chain(["--deadline", "3"]).collect();
    let (ended, said) = code(&mut bench.bocr(&limited));
    assert!(ended == 75 && said.contains("run the same command again to continue"), "{ended}: {said}");
    let finished = fs::read_to_string(bench.run_directory().join("finished.json")).unwrap();
    assert!(finished.contains("\"stopped\":\"deadline\""), "{finished}");
    let (ended, said) = code(&mut bench.bocr(&words(&arguments)));
    assert_eq!((ended, measured(&results(&bench)).len()), (0, 2), "{said}");
    bench.assert_nothing_left();
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let bench = Bench::new();
    for (ranks, more, said) in [
        (1, &["--roles", "chandra", "--ranks", "2"][..], "needs 2 ranks, but this job has 1"),
        (2, &["--roles", "chandra,deepseek"], "the ranks have different roles (chandra,deepseek)"),
        (1, &["--retry", "failed"], "leave out --retry and --redo"),
        (1, &["--ranks", "0"], "0"),
        (1, &["--repeats", "1"], "--repeats"),
    ] {
        let arguments = arguments(&bench, "", more);
        let (ended, told) = code(&mut bench.mpirun(ranks, &words(&arguments)));
        assert!(ended == 2 && told.contains(said), "{more:?}: {ended}: {told}");
    }
    bench.assert_nothing_left();
}
