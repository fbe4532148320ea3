//! Runs with three engines whose names are free, and with one that has the name of a profile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{path::Path, process::Command};

use crate::{
    engines,
    run_support::{Bench, SHORT_ANSWERS, text},
    store_support::python,
};
use bulletin_ocr::model::Verdict;
use serde_json::Value;

/// Three stand-ins. Page 1 of each document loops on the first two.
fn configuration(bench: &Bench) -> std::path::PathBuf {
    let faults = bench.write("faults.toml", "[[fault]]\npage = \"digital_fr.p1\"\nkind = \"loop\"\n");
    let arguments = [&["--time-scale", "0"], &SHORT_ANSWERS[..]].concat();
    let table = |name: &str, profile: &Path, faults: String| {
        format!(
            "[engines.{name}]\nprofile = {profile:?}\nattempts = 1\n[engines.{name}.server]\nkind = \"stand-in\"\n\
             mode = \"synthetic\"\narguments = {arguments:?}\n{faults}"
        )
    };
    let [divs, grounding] = engines::ALL.map(|engine| bench.small_profile(engine));
    let faults = format!("faults = {faults:?}\n");
    let tables = [
        table("surya-2", &divs, faults.clone()),
        table("deep_2", &grounding, faults),
        table("last", &divs, String::new()),
    ];
    bench.write("configuration.toml", &format!("stages = [\"surya-2\", \"deep_2\", \"last\"]\n{}", tables.concat()))
}

#[test]
fn a_page_that_two_engines_fail_is_read_by_the_third_and_every_file_has_its_name() {
    let bench = Bench::new();
    let (configuration, input) = (configuration(&bench), bench.inputs(&["pages/digital_fr.pdf"]));
    let run = bench.run_directory();
    let [configuration, input, directory] = [&configuration, &input, &run].map(|path| path.to_str().unwrap());
    let roles = ["--roles", "surya-2,deep_2,last"];
    let arguments = [&["run", "-c", configuration, "-i", input, "-o", directory][..], &roles].concat();
    let output = bench.mpirun(3, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("deep_2 or last 1 after surya-2 failed"), "{}", text(&output));
    bench.assert_verified();

    let mut reader = bench.reader();
    let document = reader.documents()[0].id;
    let record = reader.read_document(document).unwrap().remove(0);
    assert_eq!((record.verdict, record.engine), (Verdict::Read, Some(engines::THIRD)));
    let by: Vec<_> = record.attempts.iter().map(|attempt| attempt.served_by.engine.to_string()).collect();
    assert_eq!(by, ["surya-2", "deep_2", "last"]);

    let exported = bench.bocr(&["export", directory]).output().unwrap();
    assert!(exported.status.success(), "{}", text(&exported));
    let file = walkdir::WalkDir::new(run.join("export")).into_iter().map(|entry| entry.unwrap().into_path());
    let is_of_page = |path: &std::path::PathBuf| {
        path.to_string_lossy().contains("digital_fr") && path.extension().is_some_and(|e| e == "jsonl")
    };
    let file = file.into_iter().find(is_of_page).unwrap();
    let lines = std::fs::read_to_string(file).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["engine"], &first["attempts"][1]["dialect"]), (&"last".into(), &"grounding".into()));

    let code = "import h5py, sys, glob\n\
                f = h5py.File(sys.argv[1] + '/catalogue.h5')\n\
                print(f['index']['engine'][0].decode(), [n.decode() for n in f['stages'][:]])\n\
                for s in glob.glob(sys.argv[1] + '/store/*.h5'): print([e.decode() for e in h5py.File(s)['engines']['engine']])\n";
    let read = Command::new(python()).args(["-c", code, directory]).output().unwrap();
    let said = text(&read);
    assert!(said.starts_with("last ['surya-2', 'deep_2', 'last']"), "{said}");
    assert!(said.contains("'deep_2'"), "{said}");
}

#[test]
fn a_name_that_nobody_knows_is_refused_and_that_of_a_profile_is_an_engine() {
    let bench = Bench::new();
    let (input, run) = (bench.inputs(&["pages/digital_fr.pdf"]), bench.run_directory());
    let [input, directory] = [&input, &run].map(|path| path.to_str().unwrap());
    let run = |roles: &str| {
        let flags = ["--roles", roles, "--stand-in", "synthetic"];
        bench.bocr(&[&["run", "-i", input, "-o", directory][..], &flags].concat()).output().unwrap()
    };
    let refused = run("chandra,surya-9");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    for word in ["no engine surya-9", "chandra, deepseek", "deepseek-ocr-2", "[engines.surya-9]"] {
        assert!(text(&refused).contains(word), "{word}: {}", text(&refused));
    }
    let alone = run("deepseek-ocr-2");
    assert_eq!(alone.status.code(), Some(0), "{}", text(&alone));
    assert!(text(&alone).contains("(deepseek-ocr-2 "), "{}", text(&alone));
}

/// Written by the last program before engines had names, with `bocr run --stand-in synthetic`.
#[test]
fn a_run_directory_of_the_earlier_format_is_refused_with_the_remedy() {
    let bench = Bench::new();
    let earlier = bench.path("earlier");
    let mut copied = Command::new("cp");
    copied.arg("-r").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store/run-5")).arg(&earlier);
    assert!(copied.status().unwrap().success());
    for command in ["export", "verify"] {
        let refused = bench.bocr(&[command, earlier.to_str().unwrap()]).output().unwrap();
        assert!(!refused.status.success(), "{}", text(&refused));
        assert!(text(&refused).contains("version"), "{}", text(&refused));
    }
}
