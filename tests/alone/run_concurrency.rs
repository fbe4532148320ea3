//! A run finds out by itself how many pages its server can take.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{fmt::Write, fs, path::Path, process::Command};

use serde_json::Value;

use crate::run_support::Bench;

const PAGES: usize = 180;

/// A document of small pages, no two of which look alike.
fn write_document(path: &Path) {
    let mut pdf = String::from("%PDF-1.4\n");
    let mut places = Vec::new();
    let mut object = |pdf: &mut String, body: &str| {
        places.push(pdf.len());
        let number = places.len();
        write!(pdf, "{number} 0 obj\n{body}\nendobj\n").unwrap();
    };
    let kids: String = (0..PAGES).map(|page| format!("{} 0 R ", 3 + 2 * page)).collect();
    object(&mut pdf, "<</Type/Catalog/Pages 2 0 R>>");
    object(&mut pdf, &format!("<</Type/Pages/Count {PAGES}/MediaBox[0 0 200 200]/Kids[{kids}]>>"));
    for page in 0..PAGES {
        let content = format!("{} {} 60 60 re f 20 20 {} 9 re f", page % 130, page / 2, 1 + page % 97);
        object(&mut pdf, &format!("<</Type/Page/Parent 2 0 R/Contents {} 0 R>>", 4 + 2 * page));
        object(&mut pdf, &format!("<</Length {}>>stream\n{content}\nendstream", content.len()));
    }
    let start = pdf.len();
    writeln!(pdf, "xref\n0 {}\n0000000000 65535 f ", places.len() + 1).unwrap();
    for place in &places {
        writeln!(pdf, "{place:010} 00000 n ").unwrap();
    }
    write!(pdf, "trailer<</Size {}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n", places.len() + 1).unwrap();
    fs::write(path, pdf).unwrap();
}

/// The stand-in's KV cache holds about four of these pages; the profile begins with 16.
#[test]
fn a_run_on_a_server_with_a_small_knee_settles_near_it() {
    let bench = Bench::new();
    fs::create_dir(bench.path("input")).unwrap();
    write_document(&bench.path("input/BO_7000_Fr.pdf"));
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
