//! A run with each built-in profile, and with the profile of `docs/engines.md`, on stand-ins that speak its dialect.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use crate::run_support::{Bench, SHORT_ANSWERS, text};
use bulletin_ocr::{
    engine::{Profile, text_of},
    model::Verdict,
};

/// Runs with `profile` as the profile of an engine that is called as its file. What the run says.
fn run_with(profile: &Path, bench: &Bench) -> String {
    let input = bench.inputs(&["gazettes/fr/BO_6804_Fr.pdf", "gazettes/ar/BO_3559_Ar.PDF"]);
    let arguments = [&["--time-scale", "0"], &SHORT_ANSWERS[..]].concat();
    let engine = profile.file_stem().unwrap().to_str().unwrap();
    let configuration = bench.write(
        "configuration.toml",
        &format!(
            "[engines.{engine}]\nprofile = {profile:?}\n[engines.{engine}.server]\n\
             kind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments:?}\n"
        ),
    );
    let (run, configuration) = (bench.run_directory(), configuration.to_str().unwrap().to_owned());
    let files = ["-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", &configuration];
    let output = bench.bocr(&[&["run", "--roles", engine][..], &files].concat()).output().unwrap();
    assert!(output.status.success(), "{profile:?}: {}", text(&output));
    bench.assert_verified();
    text(&output)
}

/// What the pages say after a run with `profile`, in order.
fn read_with(profile: &Path, bench: &Bench) -> Vec<String> {
    run_with(profile, bench);
    let (run, export) = (bench.run_directory(), bench.path("export"));
    let arguments =
        ["export", run.to_str().unwrap(), "--output", export.to_str().unwrap(), "--format", "jsonl", "--headers"];
    let exported = bench.bocr(&arguments).output().unwrap();
    assert!(exported.status.success(), "{}", text(&exported));
    for (page, (verdict, html)) in bench.pages() {
        assert_eq!(verdict, Verdict::Read, "{profile:?} {page:?}: {html}");
    }
    let mut files: Vec<_> =
        walk(&export).into_iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    let said = files.iter().flat_map(|file| {
        let lines = std::fs::read_to_string(file).unwrap();
        // One of the files lists the documents.
        let pages = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        // The number of an item is no text of its page where the Markdown of a dialect makes it a list.
        let has_letter = |word: &&str| word.contains(char::is_alphabetic);
        let words = |html: &str| text_of(html).split_whitespace().filter(has_letter).collect::<Vec<_>>().join(" ");
        pages.filter_map(|page| page["html"].as_str().map(words)).collect::<Vec<_>>()
    });
    let said: Vec<String> = said.collect();
    assert!(said.len() >= 3 && said.iter().all(|page| page.len() > 100), "{profile:?}: {said:?}");
    said
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// A profile that asks for the same images as every other one here, so that the stand-in invents the same text.
fn small(name: &str, bench: &Bench) -> std::path::PathBuf {
    let text = format!(
        "extends = \"{name}\"\n[image]\ndpi = 40.0\nmin_side = 128\nmax_side = 2000\nmin_pixels = 1\n\
         max_pixels = 1000000\ngrid = \"free\"\n[layout]\nupright = false\n"
    );
    bench.write(&format!("{name}-small.toml"), &text)
}

#[test]
fn every_profile_reads_a_gazette_and_all_say_the_same() {
    let mut first: Option<Vec<String>> = None;
    for name in Profile::built_in() {
        let bench = Bench::new();
        let said = read_with(&small(name, &bench), &bench);
        match &first {
            None => first = Some(said),
            Some(first) => assert_eq!(said, *first, "{name}"),
        }
    }
}

#[test]
fn the_example_of_the_documentation_runs() {
    let documentation = include_str!("../../docs/engines.md");
    let (_, behind) = documentation.split_once("```toml\n# nanonets-ocr2.toml").expect("the example");
    let (profile, _) = behind.split_once("```").expect("its end");
    let bench = Bench::new();
    let path = bench.write("nanonets-ocr2.toml", profile);
    let profile = Profile::load(path.to_str().unwrap(), None).unwrap();
    assert_eq!(profile.name, "nanonets-ocr2");
    read_with(&path, &bench);
}

#[test]
fn the_key_engine_of_an_older_profile_is_refused_wherever_the_file_is_read() {
    let bench = Bench::new();
    let profile = bench.write("older.toml", "extends = \"surya-2\"\nengine = \"chandra\"\n");
    let profile = profile.to_str().unwrap();
    let configuration =
        bench.write("configuration.toml", &format!("roles = \"older\"\n[engines.older]\nprofile = {profile:?}\n"));
    let input = bench.inputs(&["gazettes/fr/BO_6804_Fr.pdf"]);
    let (input, run, configuration) = (input.to_str().unwrap(), bench.run_directory(), configuration.to_str().unwrap());
    let page = format!("{input}/BO_6804_Fr.pdf:1");
    let out = bench.path("out");
    for arguments in [
        vec!["profiles", profile],
        vec!["run", "-i", input, "-o", run.to_str().unwrap(), "-c", configuration],
        vec!["plan", "-i", input, "-c", configuration],
        vec!["page", &page, "--profile", profile, "--out", out.to_str().unwrap()],
    ] {
        let output = bench.bocr(&arguments).output().unwrap();
        let said = text(&output);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        for part in ["older.toml", "the key `engine`", "remove the line"] {
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
    }
}
