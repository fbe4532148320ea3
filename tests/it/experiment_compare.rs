//! `bocr experiment compare`: settings over the same pages.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::run_support::{Bench, text, write_small_pages};

/// Servers that take as long for a page however many others they have: more requests in flight are faster.
const SERVER: &str = r#"["--answer-median", "100", "--answer-sigma", "0.1", "--chunk-tokens", "1000", "--step-floor", "1500",
    "--step-per-sequence", "0", "--step-per-prompt-token", "0"]"#;

fn compare(bench: &Bench, ranks: u32, more: &[&str]) -> (i32, String) {
    let path = |name: &str| bench.path(name).display().to_string();
    let few = ["--pages", "16", "--repeats", "2", "--most-repeats", "2", "--precision", "0", "--warm-up-pages", "1"];
    let mut command = bench.mpirun(ranks, &["experiment", "compare", "--roles", "chandra"]);
    command.args(["--input", &path("input"), "--output", &path("run"), "--config", &path("base.toml")]);
    let output = command.args(["--arms", &path("arms.toml")]).args(few).args(more).output().unwrap();
    (output.status.code().unwrap(), text(&output))
}

fn files(folder: &Path, part: &str) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(part)).count()
}

#[test]
fn arms_are_compared_by_speed_and_text_on_servers_that_stay_where_they_can() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("input")).unwrap();
    for number in 0..3 {
        write_small_pages(&bench.path(&format!("input/{number}.pdf")), 8 + number);
    }
    let profile = bench.small_profile(crate::engines::CHANDRA);
    let server = format!("[engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\narguments = {SERVER}\n");
    bench.write(
        "base.toml",
        &format!("[engines.chandra]\nprofile = {profile:?}\nin_flight = 1\n{server}[store]\nsync_records = 1\n"),
    );
    let other_answers = SERVER.replace("100", "200");
    bench.write(
        "arms.toml",
        &format!(
            "[arms.alone]\n[arms.four]\nengines.chandra.in_flight = 4\n\
             [arms.longer]\nengines.chandra.server.arguments = {other_answers}\n"
        ),
    );
    let (ended, said) = compare(&bench, 2, &[]);
    assert_eq!(ended, 0, "{said}");

    let lines = fs::read_to_string(bench.path("run/results.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["kind"], lines.len()), (&"compare".into(), 7));
    assert_eq!(lines[0]["configurations"].as_object().unwrap().len(), 3);
    let pages: Vec<u64> = lines[1..].iter().map(|line| line["pages"].as_u64().unwrap()).collect();
    assert!(pages.iter().all(|read| *read == pages[0] && (16..=27).contains(read)), "the same pages: {pages:?}");

    let table = fs::read_to_string(bench.path("run/arms.csv")).unwrap();
    let rows: BTreeMap<&str, Vec<&str>> =
        table.lines().skip(1).map(|line| (line.split(',').next().unwrap(), line.split(',').collect())).collect();
    let head: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let value = |arm, name: &str| -> f64 {
        let place = head.iter().position(|field| *field == name).unwrap();
        rows[arm][place].parse().unwrap_or_else(|_| panic!("{name} of {arm}: {table}"))
    };
    assert!(value("four", "ratio") > 1.5, "{table}");
    assert!(value("longer", "ratio") < 0.9 && value("longer", "tokens_of_page") > 150.0, "{table}");
    assert_eq!([value("alone", "agreement"), value("four", "agreement")], [1.0, 1.0], "{table}");
    assert!(value("longer", "agreement") < 0.9, "{table}");
    let page = fs::read_to_string(bench.path("run/compare.md")).unwrap();
    assert!(said.contains(&page) && page.contains("| four | 2 |"), "{page}");
    // Servers start anew only when what is launched changes: in each round between `longer` and the others.
    let starts = files(&bench.path("run/logs"), "server-0000-");
    assert!((2..=5).contains(&starts), "{starts} starts of the server of rank 0 for 6 measurements");
    assert_eq!(files(&bench.path("run/runs"), "four-"), 2);
    bench.assert_nothing_left();

    // The same experiment beside itself; and one in which everything takes twice as long.
    fs::create_dir(bench.path("slow")).unwrap();
    let slower = |line: &Value| {
        let mut line = line.clone();
        if let Some(seconds) = line.get("reading_seconds").and_then(Value::as_f64) {
            line["reading_seconds"] = (2.0 * seconds).into();
        }
        format!("{line}\n")
    };
    bench.write("slow/results.jsonl", &lines.iter().map(slower).collect::<String>());
    let [run, slow] = ["run", "slow/results.jsonl"].map(|name| bench.path(name).display().to_string());
    let output = bench.bocr(&["report", &run, &run, &slow]).output().unwrap();
    let page = text(&output);
    assert!(
        output.status.success() && page.contains("| | A | B | C | B to A | verdict | C to A | verdict |"),
        "{page}"
    );
    let four = page.lines().find(|line| line.starts_with("| four |")).unwrap();
    assert!(four.contains("| 1.000 ± ") && four.contains("| no difference shown | 0.500 ± "), "{page}");
    let output = bench.bocr(&["report", bench.path("input").to_str().unwrap()]).output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output).contains("input/results.jsonl"), "{output:?}");
}

#[test]
fn wrong_arms_are_named() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("input")).unwrap();
    write_small_pages(&bench.path("input/a.pdf"), 2);
    bench.write("base.toml", "[engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\n");
    for (arms, more, said) in [
        ("[arms.one]\n", &[][..], "at least two arms"),
        ("[arms.one]\n[arms.two]\n", &["--baseline", "three"], "has no such arm, but one, two"),
        ("[arms.one]\n[arms.two]\nengines.chandra.in_fligt = 3\n", &[], "that is arm two of"),
        ("[arms.one]\n[arms.\"../two\"]\n", &[], "becomes a folder"),
        ("arm = 3\n", &[], "unknown field `arm`"),
    ] {
        bench.write("arms.toml", arms);
        let (ended, told) = compare(&bench, 1, more);
        assert!(ended == 2 && told.contains(said), "{arms}: {ended}: {told}");
    }
}
