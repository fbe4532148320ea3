//! What commands write to terminals and pipes, and what they make of odd names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::run_support::{Bench, Killed, text, until};

/// A name with a command to a terminal, a carriage return, a line break and a C1 control character.
const HOSTILE_NAME: &str = "a\u{1b}[2J\r\u{9b}31m\nbocr: every page read.pdf";

/// Runs a command whose standard output is closed at once, as by `head -c 0`.
fn with_closed_output(bench: &Bench, arguments: &[&str]) -> Output {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    bench.bocr(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn assert_no_control_characters(what: &str, shown: &str) {
    let hostile = |character: &char| character.is_control() && !matches!(character, '\n' | '\t');
    assert!(!shown.chars().any(|character| hostile(&character)), "{what}: {}", shown.escape_debug());
}

#[test]
fn a_closed_pipe_ends_no_command_with_a_panic() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let configuration = bench.instant_configuration("");
    let (run, out) = (bench.run_directory(), bench.path("out"));
    let document = input.join("digital_fr.pdf");
    let (run, input, document) = (path_text(&run), path_text(&input), path_text(&document));
    for arguments in [
        vec!["run", "-i", input, "-o", run, "-c", path_text(&configuration)],
        vec!["verify", run],
        vec!["verify", "--repair", run],
        vec!["export", run],
        vec!["plan", "-i", input, "--sample", "1"],
        vec!["page", document, "--out", path_text(&out), "--overlay", "false"],
        vec!["profiles"],
        vec!["profiles", "chandra-2"],
    ] {
        let output = with_closed_output(&bench, &arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
    assert!(out.join("pages.jsonl").exists());
}

#[test]
fn control_characters_of_names_reach_no_terminal_and_no_log() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    fs::rename(input.join("digital_fr.pdf"), input.join(HOSTILE_NAME)).unwrap();
    let refused = input.join(format!("empty {HOSTILE_NAME}"));
    File::create(&refused).unwrap();
    let configuration = bench.instant_configuration("");
    let (run, out) = (bench.run_directory(), bench.path("out"));
    let (run, input, document) = (path_text(&run), path_text(&input), input.join(HOSTILE_NAME));
    let missing = format!("{input}/missing {HOSTILE_NAME}");
    let no_line_of_its_own = |shown: &str| assert!(!shown.contains("\nbocr: every page read"), "{shown}");
    for (arguments, code) in [
        (vec!["run", "-i", input, "-o", run, "-c", path_text(&configuration)], 3),
        (vec!["run", "-o", run, "-c", path_text(&configuration), "--redo", HOSTILE_NAME], 2),
        (vec!["run", "-i", &missing, "-o", run, "-c", path_text(&configuration)], 2),
        (vec!["verify", run], 0),
        (vec!["export", run], 0),
        (vec!["plan", "-i", input, "--sample", "1"], 0),
        (vec!["page", path_text(&document), "--out", path_text(&out), "--overlay", "false"], 0),
        (vec!["page", path_text(&refused), "--out", path_text(&out)], 1),
    ] {
        let output = bench.bocr(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        assert_no_control_characters(&format!("{arguments:?}"), &text(&output));
        if code != 2 && arguments[0] != "page" {
            no_line_of_its_own(&text(&output));
        }
    }
    assert_no_control_characters("the log", &bench.log(0));
    no_line_of_its_own(&bench.log(0));
    let page: serde_json::Value =
        serde_json::from_str(fs::read_to_string(out.join("pages.jsonl")).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(page["document"], path_text(&document), "JSON has the path as it is");
}

#[test]
fn a_document_with_the_longest_name_is_exported_like_any_other() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/digital_ar.pdf"]);
    let long = |letter: &str| format!("{}.pdf", letter.repeat(251));
    fs::rename(input.join("digital_ar.pdf"), input.join(long("a"))).unwrap();
    fs::copy(input.join(long("a")), input.join(long("A"))).unwrap();
    let (run, configuration) = (bench.run_directory(), bench.instant_configuration(""));
    let run_arguments =
        ["run", "-i", path_text(&input), "-o", path_text(&run), "-c", path_text(&configuration), "--threads", "1"];
    for arguments in [&run_arguments[..], &["export", path_text(&run)]] {
        let output = bench.bocr(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
    }
    let documents = fs::read_to_string(run.join("export/documents.jsonl")).unwrap();
    for line in documents.lines() {
        let document: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(run.join("export/md").join(document["file"].as_str().unwrap().to_owned() + ".md").exists(), "{line}");
    }
    for format in ["md", "html", "jsonl"] {
        assert_eq!(fs::read_dir(run.join("export").join(format)).unwrap().count(), 3, "{format}");
    }
    let out = bench.path("out");
    let page = bench.bocr(&["page", path_text(&input.join(long("a"))), "--out", path_text(&out)]).output().unwrap();
    assert_eq!(page.status.code(), Some(0), "{}", text(&page));
}

#[test]
fn page_refuses_a_fifo_at_once() {
    let bench = Bench::new();
    let fifo = bench.path("fifo.pdf");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = bench.bocr(&["page", path_text(&fifo), "--out", path_text(&bench.path("out"))]);
    let mut page = Killed(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut status = None;
    until("bocr page has ended", || {
        status = page.0.try_wait().unwrap();
        status.is_some()
    });
    let mut said = String::new();
    page.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.unwrap().code(), Some(2), "{said}");
    assert!(said.contains("fifo.pdf is not a regular file"), "{said}");
}
