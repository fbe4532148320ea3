//! Exports, and what a reader with nothing but h5py sees.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::engines;
use std::{fs, num::NonZeroUsize, path::Path, process::Command};

use crate::store_support::*;
use bulletin_ocr::{
    engine::{self, Dialect, block_to_markdown, text_of},
    model::{
        Attempt, AttemptOutcome, BBox, Block, DocumentState, FailureClass, Language, PageRecord, Part, PixelSize,
        Verdict,
    },
    store::{self, ExportFormat, ExportOptions, catalogue},
};
use proptest::prelude::*;

fn options(output: &Path) -> ExportOptions {
    ExportOptions {
        formats: ExportFormat::ALL.into(),
        output: output.into(),
        headers: false,
        partial: false,
        threads: NonZeroUsize::new(2).unwrap(),
        markdown,
    }
}

#[test]
fn the_three_forms_are_as_agreed() {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    let output = directory.path().join("export");
    let summary = store::export(directory.path(), &options(&output)).unwrap();
    assert_eq!((summary.documents, summary.pages), (2, 6));
    for file in [
        "md/1998/BO_1.md",
        "html/1998/BO_1.html",
        "jsonl/1998/BO_1.jsonl",
        "md/1999/BO_1.md",
        "html/1999/BO_1.html",
        "jsonl/1999/BO_1.jsonl",
        "documents.jsonl",
    ] {
        assert_golden(&format!("export/{file}"), &fs::read(output.join(file)).unwrap());
    }
    let leftovers = walkdir::WalkDir::new(&output).into_iter().filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(leftovers.count(), 7);
}

#[test]
fn a_hostile_answer_is_harmless_in_every_form() {
    let directory = tempfile::tempdir().unwrap();
    let html = "<p onclick=\"steal()\">Vu la loi</p><script>steal()</script><a href=\"javascript:steal()\">ici</a>\
                <img src=\"https://evil.example/pixel\" alt=\"&lt;iframe src=//evil.example>\"/>\
                <table style=\"x\"><tr><td onmouseover=\"steal()\">12</td></tr></table>\
                <math>&lt;iframe src=//evil.example&gt;</math>";
    let block = Block { label: "Te\"xt><script>".into(), bbox: None, html: html.into() };
    let markdown = block_to_markdown(&block);
    let stored = format!("<div data-label=\"Text\">{html}</div>");
    let part = Part { bbox: BBox::PAGE, html: stored, markdown, blocks: vec![block], attempt: 0 };
    let record = PageRecord { parts: vec![part], ..bare(page_ref(0, 0), 1, Verdict::Read) };
    write(directory.path(), 0, 1 << 20, &plan(), &[record]);
    catalogue::write(directory.path(), &plan()).unwrap();
    let output = directory.path().join("export");
    let options = ExportOptions { headers: true, markdown: block_to_markdown, ..options(&output) };
    store::export(directory.path(), &options).unwrap();
    let read = |file: &str| fs::read_to_string(output.join(file)).unwrap();
    let line: serde_json::Value = serde_json::from_str(read("jsonl/1998/BO_1.jsonl").lines().next().unwrap()).unwrap();
    let of_line =
        [&line["html"], &line["blocks"][0]["html"], &line["text"]].map(|text| text.as_str().unwrap().to_owned());
    for text in [read("md/1998/BO_1.md"), read("html/1998/BO_1.html")].into_iter().chain(of_line) {
        assert!(text.contains("Vu la loi") && text.contains("<td>12</td>"), "{text}");
        for gone in ["steal", "<script", "<iframe", "javascript:", "evil.example/pixel", "style="] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
    }
}

#[test]
fn blocks_have_their_direction_and_tables_of_arabic_pages_run_from_right_to_left() {
    let directory = tempfile::tempdir().unwrap();
    let page = |number, language, table: &str| {
        let block = |html: &str| Block { label: "Table".into(), bbox: None, html: html.into() };
        let parts = vec![part(vec![block(table), block("<p>نص Décret</p>")])];
        PageRecord { parts, language, ..bare(page_ref(0, number), 1, Verdict::Read) }
    };
    let arabic = "<table dir=\"ltr\" border=\"1\"><tr><td>N°</td><td>المادة</td></tr></table>";
    let records = [page(0, Language::Arabic, arabic), page(1, Language::French, "<table><tr><td>1</td></tr></table>")];
    write(directory.path(), 0, 1 << 20, &plan(), &records);
    catalogue::write(directory.path(), &plan()).unwrap();
    let output = directory.path().join("export");
    store::export(directory.path(), &ExportOptions { markdown: block_to_markdown, ..options(&output) }).unwrap();
    let read = |file: &str| fs::read_to_string(output.join(file)).unwrap();
    for file in ["md/1998/BO_1.md", "html/1998/BO_1.html"] {
        let text = read(file);
        assert!(text.contains("<table dir=\"rtl\"><tbody><tr><td>N°</td>"), "{file}: {text}");
        assert!(text.contains("<table><tbody><tr><td>1</td>") && !text.contains("ltr"), "{file}: {text}");
    }
    assert_eq!(read("html/1998/BO_1.html").matches("<div data-label=\"Table\" dir=\"auto\">").count(), 4);
    assert!(read("jsonl/1998/BO_1.jsonl").contains("dir=\\\"ltr\\\""), "as the engine wrote it");
}

#[test]
fn a_remark_on_an_accepted_text_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let reason = "a replacement \"character\"";
    let accepted = Attempt { reason: reason.into(), ..attempt(engines::CHANDRA, AttemptOutcome::Accepted, "x") };
    let block = Block { label: "Text".into(), bbox: None, html: "d\u{FFFD}cret".into() };
    let record = PageRecord {
        attempts: vec![accepted],
        parts: vec![part(vec![block])],
        ..bare(page_ref(0, 0), 1, Verdict::Read)
    };
    write(directory.path(), 0, 1 << 20, &plan(), &[record]);
    catalogue::write(directory.path(), &plan()).unwrap();
    let output = directory.path().join("export");
    store::export(directory.path(), &options(&output)).unwrap();
    let html = fs::read_to_string(output.join("html/1998/BO_1.html")).unwrap();
    assert!(html.contains("data-remark=\"a replacement &quot;character&quot;\""), "{html}");
    let lines = fs::read_to_string(output.join("jsonl/1998/BO_1.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((line["remark"].as_str(), line["reason"].as_str()), (Some(reason), Some("")));
}

/// A page that failed before it was asked about, or whose attempts an earlier start kept, has the engine in its own row.
#[test]
fn a_page_without_an_attempt_of_its_engine_shows_the_name_of_the_engine() {
    let directory = tempfile::tempdir().unwrap();
    let record = PageRecord {
        engine: Some(engines::DEEPSEEK),
        attempts: vec![attempt(engines::CHANDRA, AttemptOutcome::Failed(FailureClass::Loop), "x")],
        ..bare(page_ref(0, 0), 1, Verdict::Failed(FailureClass::Loop))
    };
    write(directory.path(), 0, 1 << 20, &plan(), &[record]);
    let output = directory.path().join("export");
    // Without the catalogue, and then with it.
    for _ in 0..2 {
        store::export(directory.path(), &options(&output)).unwrap();
        let lines = fs::read_to_string(output.join("jsonl/1998/BO_1.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((line["engine"].as_str(), line["server"].as_str()), (Some("deepseek"), None));
        catalogue::write(directory.path(), &plan()).unwrap();
    }
}

#[test]
fn heads_feet_and_partial_text_are_shown_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    let output = directory.path().join("out");
    let read = |file: &str| fs::read_to_string(output.join(file)).unwrap();
    store::export(directory.path(), &options(&output)).unwrap();
    for file in ["md/1998/BO_1.md", "html/1998/BO_1.html"] {
        assert!(!read(file).contains("الجريدة الرسمية"), "{file}");
        assert!(read(file).contains("المادة 4"), "{file}");
    }
    assert!(read("jsonl/1998/BO_1.jsonl").contains("الجريدة الرسمية"));
    assert!(!read("html/1999/BO_1.html").contains("boucle"));
    let all = ExportOptions { headers: true, partial: true, ..options(&output) };
    store::export(directory.path(), &all).unwrap();
    for file in ["md/1998/BO_1.md", "html/1998/BO_1.html"] {
        assert!(read(file).contains("الجريدة الرسمية"), "{file}");
    }
    assert!(read("html/1999/BO_1.html").contains("boucle") && read("md/1999/BO_1.md").contains("boucle"));
}

#[test]
fn an_unfinished_run_exports_what_is_settled_and_marks_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 0, 1, &plan(), &varied()[..1]);
    catalogue::write(directory.path(), &plan()).unwrap();
    let output = directory.path().join("export");
    store::export(directory.path(), &options(&output)).unwrap();
    let markdown = fs::read_to_string(output.join("md/1998/BO_1.md")).unwrap();
    assert!(markdown.contains("<!-- page 1 -->\n") && markdown.contains("<!-- page 3: unsettled -->"), "{markdown}");
    assert_eq!(fs::read_to_string(output.join("jsonl/1998/BO_1.jsonl")).unwrap().lines().count(), 1);
}

/// Its pages were read before its file changed: the new file has the name, and the exports.
#[test]
fn a_replaced_document_is_not_exported() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan();
    write(directory.path(), 0, 1 << 20, &plan, &varied()[..3]);
    plan[0].state = DocumentState::Replaced;
    plan.push(document(3, "1998/BO_1.pdf", 1));
    write(directory.path(), 1, 1 << 20, &plan, &[PageRecord { page: page_ref(3, 0), ..varied().remove(1) }]);
    catalogue::write(directory.path(), &plan).unwrap();
    let output = directory.path().join("export");
    let summary = store::export(directory.path(), &options(&output)).unwrap();
    assert_eq!((summary.documents, summary.pages), (2, 1));
    let markdown = fs::read_to_string(output.join("md/1998/BO_1.md")).unwrap();
    assert!(markdown.contains("المادة 4") && !markdown.contains("page 3"), "{markdown}");
    let listed = fs::read_to_string(output.join("documents.jsonl")).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
}

#[test]
fn the_command_line_exports_the_forms_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    let export = |run_directory: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bocr"));
        command.arg("export").arg(run_directory).args(["--format", "jsonl", "--threads", "1"]).output().unwrap()
    };
    let done = export(directory.path());
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).starts_with("6 pages of 2 documents in "), "{done:?}");
    assert!(directory.path().join("export/jsonl/1998/BO_1.jsonl").exists());
    assert!(!directory.path().join("export/md").exists());
    let nothing = export(&directory.path().join("export"));
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("has no sealed shard"), "{nothing:?}");
}

/// Text, blocks, attempts and provenance through plain h5py equal those of the JSONL export.
#[test]
fn plain_h5py_reads_what_the_export_says() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = oorandom::Rand32::new(3);
    let mut plan = plan();
    plan.push(document(3, "1999/big.pdf", 40));
    let mut records = varied();
    records.extend((0..40).map(|page| read_page(page_ref(3, page), 100 + u64::from(page), 9000, &mut random)));
    let superseded = PageRecord { lease: bulletin_ocr::model::LeaseId(1), ..records[20].clone() };
    records.push(superseded);
    // The first visit to a page of theirs had more of it than the second, whose record is final.
    plan.push(document(4, "1999/failed.pdf", 1));
    let visit = |lease, engine, text: &str, mut before: Vec<Attempt>| {
        let place = before.len() as u16;
        before.push(attempt(engine, AttemptOutcome::Failed(FailureClass::Loop), text));
        let block = Block { label: "Text".into(), bbox: None, html: text.into() };
        let parts = vec![Part { attempt: place, ..part(vec![block]) }];
        let verdict = Verdict::Failed(FailureClass::Loop);
        PageRecord { engine: Some(engine), attempts: before, parts, ..bare(page_ref(4, 0), lease, verdict) }
    };
    let first = visit(200, engines::CHANDRA, "Décret portant création", Vec::new());
    let second = visit(201, engines::DEEPSEEK, "Décret", first.attempts.clone());
    records.insert(0, first);
    records.push(second);
    write(directory.path(), 0, 300_000, &plan, &records[..25]);
    write(directory.path(), 1, 1 << 20, &plan, &records[25..]);
    catalogue::write(directory.path(), &plan).unwrap();
    let output = directory.path().join("export");
    store::export(directory.path(), &options(&output)).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_store.py");
    let compare = || Command::new(python()).arg(&script).arg(directory.path()).arg(&output).output().unwrap();
    let good = compare();
    let (out, error) = (String::from_utf8_lossy(&good.stdout), String::from_utf8_lossy(&good.stderr));
    assert!(good.status.success(), "{out}\n{error}");
    assert!(out.contains("47 pages"), "{out}");

    // The comparison can fail.
    let file = output.join("jsonl/1999/big.jsonl");
    let changed = fs::read_to_string(&file).unwrap().replacen("\"temperature\":0.25", "\"temperature\":0.5", 1);
    fs::write(&file, changed).unwrap();
    let bad = compare();
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("1999/big.pdf page 1"), "{bad:?}");
}

/// Pieces of an answer, and what a reader sees of them.
const PIECES: [(&str, &str); 22] = [
    ("Vu la loi", "Vu la loi"),
    ("نص المادة", "نص المادة"),
    ("<<mot>>", "<<mot>>"),
    ("<sgg@sgg.gov.ma>", "<sgg@sgg.gov.ma>"),
    ("<http://www.sgg.gov.ma>", "<http://www.sgg.gov.ma>"),
    ("<NOM>", "<NOM>"),
    ("<Article premier>", "<Article premier>"),
    ("si a<b alors", "si a<b alors"),
    ("a<b>c", "a<b>c"),
    ("x>y", "x>y"),
    ("<= 5", "<= 5"),
    ("<10 DH", "<10 DH"),
    ("<!-- note -->", "<!-- note -->"),
    ("</nom>", "</nom>"),
    ("<المادة 5>", "<المادة 5>"),
    ("<script>", "<script>"),
    ("\n<tableau 3>\n", "<tableau 3>"),
    ("R&D", "R&D"),
    ("S&copie", "S&copie"),
    ("&lt;ok&gt;", "<ok>"),
    ("<b>gras</b>", "gras"),
    ("3<sup>e</sup>", "3e"),
];

fn visible(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

fn visible_in_markdown(markdown: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(markdown));
    visible(&text_of(&html))
}

/// The image that the answers are about.
const IMAGE: PixelSize = PixelSize { width: 1000, height: 1400 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_visible_character_is_lost_between_the_answer_and_any_form(
        pages in prop::collection::vec(prop::collection::vec(0..PIECES.len(), 1..9), 3)
    ) {
        let answer = |pieces: &[usize]| pieces.iter().map(|at| PIECES[*at].0).collect::<Vec<_>>().join(" ");
        let readings = [
            engine::parse_answer(&format!("<div data-bbox=\"1 2 3 4\" data-label=\"Text\"><p>{}</p></div>", answer(&pages[0])), Dialect::Divs { box_scale: 1000 }, IMAGE),
            engine::parse_answer(&format!("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n{}\n", answer(&pages[1])), Dialect::Grounding { box_scale: 999 }, IMAGE),
            engine::parse_answer(&format!("<table><tr><td>{0}</td></tr></table>\n\n{0}", answer(&pages[2])), Dialect::Markdown { front_matter: false, formulas: engine::Formulas::Brackets }, IMAGE),
        ];
        let directory = tempfile::tempdir().unwrap();
        let records = readings.into_iter().enumerate().map(|(page, reading)| {
            assert_eq!(reading.fault, None);
            let (html, markdown) = (engine::to_html(&reading.blocks), engine::to_markdown(&reading.blocks));
            let parts = vec![Part { bbox: BBox::PAGE, attempt: 0, html, markdown, blocks: reading.blocks }];
            PageRecord { parts, ..bare(page_ref(0, page as u32), 1, Verdict::Read) }
        });
        write(directory.path(), 0, 1 << 20, &plan(), &records.collect::<Vec<_>>());
        catalogue::write(directory.path(), &plan()).unwrap();
        let output = directory.path().join("export");
        store::export(directory.path(), &ExportOptions { markdown: block_to_markdown, ..options(&output) }).unwrap();
        let read = |file: &str| fs::read_to_string(output.join(file)).unwrap();
        let (html, markdown, lines) = (read("html/1998/BO_1.html"), read("md/1998/BO_1.md"), read("jsonl/1998/BO_1.jsonl"));
        let html: Vec<&str> = html.split("<section").skip(1).collect();
        let markdown: Vec<&str> = markdown.split("<!-- page").skip(1).map(|page| page.split_once("-->").unwrap().1).collect();
        for (page, line) in lines.lines().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let of_line = |text: &serde_json::Value| text.as_str().unwrap().to_owned();
            let said = visible(&pages[page].iter().map(|at| PIECES[*at].1).collect::<String>());
            let said = if page == 2 { said.repeat(2) } else { said };
            prop_assert_eq!(visible(&text_of(html[page].split_once('>').unwrap().1)), said.clone(), "HTML, {}", page);
            prop_assert_eq!(visible_in_markdown(markdown[page]), said.clone(), "Markdown {}: {}", page, markdown[page]);
            prop_assert_eq!(visible(&text_of(&of_line(&line["html"]))), said.clone(), "JSONL, HTML, {}", page);
            let blocks: String = line["blocks"].as_array().unwrap().iter().map(|block| of_line(&block["html"])).collect();
            prop_assert_eq!(visible(&text_of(&blocks)), said.clone(), "JSONL, blocks, {}", page);
            prop_assert_eq!(visible_in_markdown(&of_line(&line["text"])), said, "JSONL, text, {}", page);
        }
    }
}
