//! The main job as users start it: alone, and under mpirun.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::{fs, path::Path};

use crate::run_support::{Bench, text};
use bulletin_ocr::model::{AttemptOutcome, FailureClass, PageIndex, ServerKind, Verdict};

#[test]
fn alone_it_reads_every_page_and_says_so() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_ar.pdf"]);
    let configuration = bench.instant_configuration("");
    let run = bench.run_directory();
    let arguments =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    let output = bench.bocr(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("a stand-in server read these pages"), "{}", text(&output));
    for file in ["plan.jsonl", "configuration.toml", "report.json", "status.json", "catalogue.h5", "logs/rank-0000.log"]
    {
        assert!(run.join(file).exists(), "{file} is missing");
    }
    bench.assert_verified();
    bench.assert_nothing_left();
    let mut reader = bench.reader();
    let first = *reader.pages().next().unwrap();
    let record = reader.read(first.page).unwrap().unwrap();
    assert_eq!(record.verdict, Verdict::Read);
    assert!(record.attempts.iter().all(|attempt| attempt.served_by.server == ServerKind::StandInSynthetic));

    let again = bench.bocr(&arguments).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    assert!(text(&again).contains("by an earlier start"), "the second run reads nothing anew: {}", text(&again));
    bench.assert_verified();
}

#[test]
fn three_ranks_recover_a_looping_page_and_survive_hostile_files() {
    let bench = Bench::new();
    let hostile = [
        "nasty/BO_9001_Fr_zeropage.pdf",
        "nasty/BO_9002_Fr.pdf",
        "nasty/BO_9003_Ar.pdf",
        "nasty/BO_7500_Fr_truncated.pdf",
        "nasty/BO_7500_Fr_userpw.pdf",
        "nasty/invalid.pdf",
        "nasty/hugemono.pdf",
    ];
    let input = bench.inputs(&hostile);
    bench.inputs(&["pages/mixed_fr.pdf", "pages/scan_ar.pdf"]);
    let faults =
        bench.write("faults.toml", "[[fault]]\npage = \"mixed_fr.p1\"\nengine = \"chandra\"\nkind = \"loop\"\n");
    // DeepSeek's stand-in reads with Tesseract, as without a configuration.
    let configuration = bench.one_engine_configuration("", "0", "");
    let run = bench.run_directory();
    let output = bench
        .mpirun(
            3,
            &[
                "run",
                "-i",
                input.to_str().unwrap(),
                "-o",
                run.to_str().unwrap(),
                "-c",
                configuration.to_str().unwrap(),
                "--roles",
                "chandra,chandra,deepseek",
                "--faults",
                faults.to_str().unwrap(),
            ],
        )
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let said = text(&output);
    for reason in
        ["an empty file (0 bytes)", "an HTML page, not a PDF", "a PDF without pages", "protected by a password"]
    {
        assert!(said.contains(reason), "{reason} is not said: {said}");
    }
    bench.assert_verified();
    bench.assert_nothing_left();
    assert_recovered(&bench, "mixed_fr.pdf");
    assert_read_by_tesseract(&bench, "mixed_fr.pdf", "557-26");
}

/// Page 1 of a French document loops on Chandra and is read by DeepSeek's stand-in; its record tells it all.
fn assert_recovered(bench: &Bench, name: &str) {
    let mut reader = bench.reader();
    let document = reader.documents().iter().find(|document| document.name == name).unwrap().id;
    let record = reader.read_document(document).unwrap().remove(0);
    assert_eq!(
        (record.verdict, record.engine, record.page.page),
        (Verdict::Read, Some(engines::DEEPSEEK), PageIndex(0))
    );
    let attempts: Vec<_> = record.attempts.iter().map(|attempt| (attempt.stage.engine(), attempt.outcome)).collect();
    let looped = (engines::CHANDRA, AttemptOutcome::Failed(FailureClass::Loop));
    assert_eq!(attempts[..3], [looped; 3]);
    let accepted = (engines::DEEPSEEK, AttemptOutcome::Accepted);
    assert!(attempts.len() > 3 && attempts[3..].iter().all(|attempt| *attempt == accepted), "{attempts:?}");
    assert_eq!(record.parts.len(), attempts.len() - 3, "head and columns, each read once");
    assert!(record.attempts[0].reason.contains("copies"), "{}", record.attempts[0].reason);
    // What idle ranks said of the last pages is superseded too.
    assert!(reader.superseded() >= 1, "what Chandra said of it is kept");
}

fn assert_read_by_tesseract(bench: &Bench, name: &str, word: &str) {
    let mut reader = bench.reader();
    let document = reader.documents().iter().find(|document| document.name == name).unwrap().id;
    let records = reader.read_document(document).unwrap();
    let read: String = records.iter().flat_map(|record| &record.parts).map(|part| part.markdown.as_str()).collect();
    assert!(read.contains(word), "{word} is not in {read}");
    assert!(records.iter().flat_map(|record| &record.parts).all(|part| !part.blocks.is_empty()));
}

/// Without a word about roles: the second engine recovers what the first fails.
#[test]
fn by_default_a_page_that_chandra_fails_is_recovered() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf"]);
    let fault = "[[fault]]\npage = \"digital_fr.p1\"\nengine = \"chandra\"\nkind = \"loop\"\n";
    let (faults, run) = (bench.write("faults.toml", fault), bench.run_directory());
    let configuration = bench.instant_configuration("");
    let arguments = ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap()];
    let mut command = bench.bocr(&arguments);
    command.args(["-c", configuration.to_str().unwrap(), "--faults", faults.to_str().unwrap()]);
    let output = command.output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("deepseek 1 after chandra failed") && !said.contains("no rank serves"), "{said}");
    assert_recovered(&bench, "digital_fr.pdf");
    let used = fs::read_to_string(run.join("configuration.toml")).unwrap();
    assert!(used.contains("roles = \"chandra/deepseek\""), "{used}");
    bench.assert_nothing_left();
}

#[test]
fn one_rank_under_mpirun_with_a_password_and_an_upper_case_name() {
    let bench = Bench::new();
    let input = bench.inputs(&["nasty/BO_7500_Fr_userpw.pdf"]);
    fs::rename(input.join("BO_7500_Fr_userpw.pdf"), input.join("LOCKED.PDF")).unwrap();
    let configuration = bench.instant_configuration("");
    let text_of_it = fs::read_to_string(&configuration).unwrap();
    let password = "[[passwords]]\nfile = \"LOCKED.PDF\"\npassword = \"user-secret\"\n";
    fs::write(&configuration, format!("{text_of_it}{password}")).unwrap();
    let run = bench.run_directory();
    let output = bench
        .mpirun(
            1,
            &["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()],
        )
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    bench.assert_verified();
    assert_nowhere(&run, b"user-secret");
}

/// No file of the run directory holds these bytes.
fn assert_nowhere(folder: &Path, needle: &[u8]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, needle);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{} holds it", path.display());
        }
    }
}

#[test]
fn wrong_usage_ends_with_two_and_names_the_remedy() {
    let bench = Bench::new();
    let run = bench.run_directory();
    let run = run.to_str().unwrap();
    let missing = bench.path("nothing-here");
    let bad = bench.write("bad.toml", "[imaging]\ndpi = 300\n");
    let cases: [(&[&str], &str); 4] = [
        (&["run", "-i", missing.to_str().unwrap(), "-o", run], "nothing-here"),
        (&["run", "-i", "/", "-o", run, "-c", bad.to_str().unwrap()], "unknown field `dpi`"),
        (&["run", "-i", "/", "-o", run, "--roles", "tesseract"], "no engine tesseract"),
        (&["run", "-o", run], "--input"),
    ];
    for (arguments, said) in cases {
        let output = bench.bocr(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(said), "{arguments:?}: {}", text(&output));
    }
    bench.assert_nothing_left();
}

#[test]
fn a_second_start_reads_what_has_appeared_and_keeps_what_has_vanished() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf"]);
    let configuration = bench.instant_configuration("");
    let run = bench.run_directory();
    let arguments =
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()];
    assert_eq!(bench.bocr(&arguments).output().unwrap().status.code(), Some(0));
    let before = bench.pages();
    fs::remove_file(input.join("scan_fr.pdf")).unwrap();
    bench.inputs(&["pages/digital_ar.pdf"]);
    // Without --input: the recorded ones are looked at again.
    let output = bench.bocr(&["run", "-o", arguments[4], "-c", arguments[6]]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("1 document new: digital_ar.pdf") && said.contains("gone from the inputs"), "{said}");
    let after = bench.pages();
    assert!(before.iter().all(|(page, read)| after.get(page) == Some(read)), "what was read stays");
    assert!(after.len() > before.len());
    bench.assert_verified();

    let refused =
        bench.bocr(&["run", "-o", arguments[4], "-c", arguments[6], "--redo", "no-such.pdf"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    let redone =
        bench.bocr(&["run", "-o", arguments[4], "-c", arguments[6], "--redo", "digital_ar.pdf:1"]).output().unwrap();
    assert_eq!(redone.status.code(), Some(0), "{}", text(&redone));
    let mut reader = bench.reader();
    let document = reader.documents().iter().find(|document| document.name == "digital_ar.pdf").unwrap().id;
    let records = reader.read_document(document).unwrap();
    assert_eq!(records[0].attempts.len(), 2, "its earlier attempt stays in the record");
    assert_eq!((reader.superseded(), bench.pages()), (1, after));
    bench.assert_verified();
}

/// Pages read under other settings would lie among the others, and nobody could tell.
#[test]
fn ranks_with_different_settings_are_refused() {
    let bench = Bench::new();
    let input = bench.inputs(&["pages/digital_fr.pdf"]);
    let one = bench.instant_configuration("");
    let other = bench.write("other.toml", &fs::read_to_string(&one).unwrap().replace("\"2s\"", "\"3s\""));
    let run = bench.run_directory();
    let arguments = |configuration: &Path| {
        ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "-c", configuration.to_str().unwrap()]
            .map(str::to_owned)
    };
    let first = arguments(&one);
    let mut command = bench.mpirun(1, &first.each_ref().map(String::as_str));
    command.args([":", "-n", "1", "--bind-to", "none", "--oversubscribe", env!("CARGO_BIN_EXE_bocr")]);
    let output = command.args(arguments(&other)).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("rank 1") && text(&output).contains("other settings"), "{}", text(&output));
    bench.assert_nothing_left();
}
