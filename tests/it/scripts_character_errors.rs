//! The measure of character errors, on answers whose errors are known.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// What `scripts/lib/character_errors.py` prints about `parts` against the reference text of the test data.
fn measure(parts: &[Value]) -> String {
    let python = std::env::var("BOCR_TEST_PYTHON").unwrap_or_else(|_| format!("{PROJECT}/.deps/python/bin/python"));
    let export = tempfile::tempdir().unwrap();
    let lines: String = parts.iter().map(|part| format!("{part}\n")).collect();
    fs::create_dir(export.path().join("jsonl")).unwrap();
    fs::write(export.path().join("jsonl/gazette.jsonl"), lines).unwrap();
    let output = Command::new(&python)
        .arg("scripts/lib/character_errors.py")
        .arg(export.path())
        .args(["tests/data/truth", "tests/data/truth/INDEX.tsv"])
        .current_dir(PROJECT)
        .output()
        .unwrap_or_else(|error| panic!("{python}: {error}; scripts/setup --tests makes it"));
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn truth(page: &str) -> String {
    fs::read_to_string(Path::new(PROJECT).join("tests/data/truth").join(page)).unwrap()
}

fn part(document: &str, page: u32, part: u32, texts: &[(&str, u16, &str)]) -> Value {
    let blocks: Vec<_> = texts
        .iter()
        .map(|(label, top, text)| json!({"label": label, "bbox": [0, top, 1000, top + 20], "html": text}))
        .collect();
    json!({"document": document, "page": page, "part": part, "text": "", "blocks": blocks})
}

/// The figures of a language: pages, characters, total rate, median rate.
fn row<'a>(table: &'a str, language: &str) -> Vec<&'a str> {
    let columns = |line: &'a str| line.split_whitespace().collect::<Vec<_>>();
    let row = table.lines().map(columns).find(|columns| columns[..2] == ["cer", language]).unwrap();
    row[2..6].to_vec()
}

#[test]
fn forms_that_do_not_matter_and_the_header_band_cost_nothing() {
    let french = truth("BO_6804_Fr/p001.txt").to_uppercase().replace('\n', "<br/>").replace("..... ", " . . . . . . ");
    let (first, second) = french.split_at(french.find("<br/>").unwrap());
    let arabic = truth("BO_3559_Ar/p001.txt").replace('ا', "ا\u{64e}\u{640}");
    let table = measure(&[
        part("fr/BO_6804_Fr.pdf", 1, 1, &[("Text", 100, second)]),
        part("fr/BO_6804_Fr.pdf", 1, 0, &[("Text", 20, "1820 BULLETIN OFFICIEL"), ("Text", 90, first)]),
        part("ar/BO_3559_Ar.PDF", 1, 0, &[("Page-Header", 200, "الجريدة الرسمية"), ("Text", 300, &arabic)]),
    ]);
    assert_eq!(row(&table, "fr")[2..], ["0.00%", "0.00%"], "{table}");
    assert_eq!(row(&table, "ar")[2..], ["0.00%", "0.00%"], "{table}");
}

#[test]
fn wrong_characters_and_pages_that_were_not_read_are_counted() {
    let text = truth("BO_7412_Ar/p002.txt");
    let table = measure(&[part("BO_7412_Ar.pdf", 2, 0, &[("Text", 100, &text.replace('،', "ء"))])]);
    let [pages, characters, total, median] = row(&table, "ar")[..] else { panic!("{table}") };
    assert_eq!(pages, "2");
    // Page 3 is missing from the answers: all of its characters are wrong.
    let total: f64 = total.trim_end_matches('%').parse().unwrap();
    let median: f64 = median.trim_end_matches('%').parse().unwrap();
    assert!((6_000..6_500).contains(&characters.parse().unwrap()), "{table}");
    assert!(total > 50.0 && total < 65.0, "{table}");
    assert!(median > 50.0 && median < 52.0, "{table}");
}
