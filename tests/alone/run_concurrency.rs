//! A run finds out by itself how many pages its server can take.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{fs, process::Command};

use serde_json::Value;

use crate::run_support::{Bench, write_small_pages};

const PAGES: usize = 180;

/// The stand-in's KV cache holds about four of these pages; the profile begins with 16.
#[test]
fn a_run_on_a_server_with_a_small_knee_settles_near_it() {
    let bench = Bench::new();
    fs::create_dir(bench.path("input")).unwrap();
    write_small_pages(&bench.path("input/BO_7000_Fr.pdf"), PAGES);
    let built_in = include_str!("../../src/engine/profiles/chandra-2.toml");
    let prompt = bench.write("prompt.txt", "Read this page.");
    let profile = built_in
        .replace("in_flight = 64", "in_flight = 16")
        .replace("dpi = 192.0", "dpi = 96.0")
        .replace("min_side = 1024", "min_side = 128");
    let profile = bench.write("small.toml", &profile);
    let arguments =
        r#"["--time-scale", "0.25", "--kv-tokens", "1200", "--answer-median", "200", "--answer-sigma", "0.2"]"#;
    let configuration = bench.write(
        "configuration.toml",
        &format!(
            "[engines.chandra]\nprofile = {profile:?}\nprompt_file = {prompt:?}\n\
             [engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments}\n"
        ),
    );
    let run = bench.run_directory();
    let words = ["run", "--input", "input", "--output", "run", "--config", "configuration.toml"];
    let mut command: Command = bench.bocr(&words);
    let output = command.current_dir(configuration.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let log = fs::read_to_string(run.join("logs/pace-0000-chandra.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert!(last["limit"].as_u64().unwrap() <= 10, "{log}");
    assert!(last["waiting"].is_number() && last["generated_tokens_per_second"].as_f64().unwrap() > 0.0, "{log}");

    let report: Value = serde_json::from_slice(&fs::read(run.join("report.json")).unwrap()).unwrap();
    let seconds = |time: &Value| time.as_f64().unwrap();
    let time = report["server_time"]["chandra"].as_object().unwrap();
    let (total, busy) = (time.values().filter_map(Value::as_f64).sum::<f64>(), seconds(&time["busy"]));
    let whole = report["seconds"].as_f64().unwrap();
    assert!((total / whole - 1.0).abs() < 0.2, "every second has a label: {total} of {whole}");
    assert!(busy > 0.5 * total, "{time:?}");
    assert_eq!(report["tokens"]["chandra"]["accepted"]["attempts"], PAGES);
    bench.assert_nothing_left();
}
