//! `bocr plan` as users call it: on the sample gazettes, with broken files among them, and beside real small runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use crate::run_support::{Bench, text};
use serde_json::Value;

const GAZETTES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/gazettes");

/// `bocr plan` with these arguments; it must end with 0.
fn plan(bench: &Bench, arguments: &[&str]) -> String {
    let output = bench.bocr(&[&["plan"], arguments].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn plan_json(bench: &Bench, arguments: &[&str]) -> Value {
    serde_json::from_str(&plan(bench, &[&["--json"], arguments].concat())).unwrap()
}

#[test]
fn sample_gazettes_and_broken_files_are_told_in_one_page() {
    let bench = Bench::new();
    let broken = bench.inputs(&["nasty/BO_7500_Fr_truncated.pdf", "nasty/BO_7500_Fr_userpw.pdf"]);
    fs::copy(Path::new(GAZETTES).join("fr/BO_7510_Fr.pdf"), broken.join("copy of BO_7510_Fr.pdf")).unwrap();
    let broken = broken.to_str().unwrap();
    let told = plan(&bench, &["-i", GAZETTES, "-i", broken, "--gpus", "4", "--sample", "3"]);
    for part in [
        "5 documents, 14 pages",
        "2 documents cannot be read",
        "ar: 2 documents, 4 pages; fr: 3 documents, 10 pages",
        "issues 3559 to 7510",
        "protected by a password; give it under [[passwords]]",
        "4 pages too many",
        "on the mean of 3 rendered for profile chandra-2",
        "from figures of an H200",
        "#PBS -l select=4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1",
        "roles = \"3*chandra,chandra/deepseek\"",
        "ESTIMATE, no earlier run",
    ] {
        assert!(told.contains(part), "{part} is not said:\n{told}");
    }
    assert!(told.lines().count() < 60, "one page:\n{told}");

    let json = plan_json(&bench, &["-i", GAZETTES, "-i", broken, "--walltime", "01:00:00", "--sample", "3"]);
    assert_eq!(json["documents"]["left"], 14);
    assert_eq!(json["documents"]["refused"].as_array().unwrap().len(), 2);
    assert_eq!(json["page"]["sampled"], 3);
    // A4 at the profile's 192 dpi (`docs/facts/chandra.md`, "Page images").
    let visual = json["page"]["visual_tokens"].as_f64().unwrap();
    assert!((3000.0..3600.0).contains(&visual), "{visual}");
    assert_eq!((&json["proposed"]["gpus"], &json["fit"]), (&Value::from(1), &Value::from("fits")));
    let again = plan_json(&bench, &["-i", GAZETTES, "-i", broken, "--walltime", "01:00:00", "--sample", "3"]);
    for figure in ["visual_tokens", "generated_tokens", "image_bytes"] {
        assert_eq!(json["page"][figure], again["page"][figure], "the same pages are drawn again");
    }
    assert!(!bench.run_directory().exists(), "nothing is written");
}

#[test]
fn a_job_file_says_it_all_and_wrong_usage_is_refused() {
    let bench = Bench::new();
    let job = bench.write(
        "job.toml",
        &format!("[job]\nrun = \"run\"\ninput = [\"{GAZETTES}\"]\nnodes = 2\ngpus = 2\ncores = 64\nmemory = \"360gb\"\nwalltime = \"00:30:00\"\n[engines.chandra.server]\nkind = \"launch\"\n"),
    );
    let json = plan_json(&bench, &["-c", job.to_str().unwrap(), "--sample", "1"]);
    assert_eq!(json["select"], "2:ncpus=64:mem=360gb:ngpus=2:mpiprocs=2");
    assert_eq!((&json["documents"]["left"], &json["walltime"]), (&Value::from(10), &Value::from(1800.0)));

    for (arguments, said) in [
        (&["plan"][..], "no input is given"),
        (&["plan", "-i", "/no/such/folder"], "/no/such/folder"),
        (&["plan", "-i", GAZETTES, "--report", "/no/such/report.json"], "report.json of a run that has ended"),
        (&["plan", "-i", GAZETTES, "--walltime", "soon"], "HH:MM:SS"),
        (&["plan", "-i", GAZETTES, "--walltime", "00:02:00", "--sample", "1"], "ask for 00:05:00 at least"),
        (&["plan", "-i", GAZETTES, "--gpus", "0"], "--gpus"),
    ] {
        let output = bench.bocr(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(said), "{arguments:?}: {}", text(&output));
        assert!(text(&output).matches("No such file").count() <= 1, "{arguments:?}: {}", text(&output));
    }
}

/// Twice as slow as an H200, so that the modelled GPU and not this machine is the limit, with answers of 300 tokens.
const SYNTHETIC: &str = "[engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\n\
                         arguments = [\"--time-scale\", \"2\", \"--answer-median\", \"300\", \"--answer-sigma\", \"0\"]\n";

#[test]
fn an_earlier_run_on_the_same_servers_tells_how_long_the_same_pages_take() {
    let bench = Bench::new();
    let configuration = bench.write("configuration.toml", SYNTHETIC);
    let (configuration, run) = (configuration.to_str().unwrap(), bench.run_directory());
    let run = run.to_str().unwrap();
    let output = bench.bocr(&["run", "-i", GAZETTES, "-o", run, "-c", configuration]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&fs::read(bench.path("run/report.json")).unwrap()).unwrap();
    let took = report["seconds"].as_f64().unwrap();

    let new_run = bench.path("another");
    let new_run = new_run.to_str().unwrap();
    let arguments =
        ["-i", GAZETTES, "-o", new_run, "-c", configuration, "--report", run, "--gpus", "1", "--sample", "3"];
    let json = plan_json(&bench, &arguments);
    let expected = json["proposed"]["seconds"][1].as_f64().unwrap();
    assert!((expected / took - 1.0).abs() < 0.3, "expected {expected} s, took {took} s");
    assert!(json["warnings"].to_string().contains("read by stand-in-synthetic servers, not by the models"), "{json}");

    let all_settled = plan(&bench, &["-o", run, "-c", configuration]);
    assert!(all_settled.contains("settled by earlier starts 10 pages, left 0"), "{all_settled}");
    assert!(all_settled.contains("no job is needed"), "{all_settled}");
    let for_models =
        plan(&bench, &["-i", GAZETTES, "-c", launching(&bench).as_str(), "--report", run, "--sample", "1"]);
    assert!(for_models.contains("from figures of an H200") && for_models.contains("not used: "), "{for_models}");
    // A start that found everything settled.
    let mut thin = report;
    thin["pages_per_second"] = Value::from(0.0);
    let thin = bench.write("thin.json", &thin.to_string());
    let told =
        plan(&bench, &["-i", GAZETTES, "-c", configuration, "--report", thin.to_str().unwrap(), "--sample", "1"]);
    assert!(told.contains("used for disk only: ") && told.contains("no earlier run with figures"), "{told}");
    bench.assert_nothing_left();
}

fn launching(bench: &Bench) -> String {
    let path = bench.write("launching.toml", "[engines.chandra.server]\nkind = \"launch\"\n");
    path.to_str().unwrap().to_owned()
}
