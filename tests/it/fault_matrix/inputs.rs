//! Inputs that change under a run.

use std::fs;

use bulletin_ocr::model::{FailureClass, Verdict};

use crate::{
    fault_matrix::row::{Corpus, Row, ended},
    run_support::{Pages, text},
};

/// The last document in the plan's order: none of its pages is drawn when the first are settled.
const LAST: &str = "b/scan_fr.pdf";

#[test]
fn row_pdf_replaced() {
    let row = Row::with("PDF replaced", Corpus::Large, "", &["--time-scale", "0.6"]);
    let mut run = row.start(&[]);
    row.until_settled(3);
    let (file, other) = (row.bench.path("input").join(LAST), row.bench.path("input/b/digital_fr.pdf"));
    let fresh = row.bench.path("fresh.pdf");
    fs::copy(&other, &fresh).unwrap();
    fs::rename(&fresh, &file).unwrap();
    assert_eq!(ended(&mut run), Some(3), "{}", row.bench.log(0));
    let changed = row.bench.pages().remove(&(LAST.to_owned(), 1)).unwrap();
    assert_eq!(
        changed.0,
        Verdict::Failed(FailureClass::Changed),
        "no page of other bytes is taken for the planned one"
    );

    let reference = Corpus::Large.reference();
    let mut expected: Pages =
        reference.iter().filter(|((name, _), _)| name != LAST).map(|(k, v)| (k.clone(), v.clone())).collect();
    let replacing = reference.iter().filter(|((name, _), _)| name == "b/digital_fr.pdf");
    expected.extend(replacing.map(|((_, page), read)| ((LAST.to_owned(), *page), read.clone())));
    row.finish_with(&[], &expected);
}

#[test]
fn row_pdf_deleted() {
    let row = Row::with("PDF deleted", Corpus::Large, "", &["--time-scale", "0.6"]);
    let mut run = row.start(&[]);
    row.until_settled(3);
    let file = row.bench.path("input").join(LAST);
    let kept = row.bench.path("kept.pdf");
    fs::rename(&file, &kept).unwrap();
    assert_eq!(ended(&mut run), Some(3), "{}", row.bench.log(0));
    let gone = row.bench.pages().remove(&(LAST.to_owned(), 1)).unwrap();
    assert_eq!(gone.0, Verdict::Failed(FailureClass::Unreadable));
    fs::rename(&kept, &file).unwrap();
    row.finish(&["--retry", "failed=unreadable"]);
}

/// An input that is not mounted, in the middle of a run and at the next start: nothing fails for it.
#[test]
fn row_inputs_not_mounted() {
    let row = Row::with("inputs not mounted", Corpus::Large, "", &["--time-scale", "0.6"]);
    let mut run = row.start(&[]);
    row.until_settled(3);
    let (input, kept) = (row.bench.path("input"), row.bench.path("kept"));
    fs::rename(&input, &kept).unwrap();
    assert_eq!(ended(&mut run), Some(75), "{}", row.bench.log(0));
    fs::create_dir(&input).unwrap();
    let output = row.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "an empty mount point: {}", text(&output));
    assert!(row.bench.pages().values().all(|(verdict, _)| *verdict == Verdict::Read));
    assert!(row.bench.log(0).contains("mount it again"), "{}", row.bench.log(0));
    fs::remove_dir(&input).unwrap();
    fs::rename(&kept, &input).unwrap();
    row.finish(&[]);
}

/// A file that was another one for a while, and is itself again, is read by the same command.
#[test]
fn row_pdf_swapped_for_a_while() {
    let row = Row::with("PDF swapped for a while", Corpus::Large, "", &["--time-scale", "0.6"]);
    let mut run = row.start(&[]);
    row.until_settled(3);
    let (file, kept) = (row.bench.path("input").join(LAST), row.bench.path("kept.pdf"));
    fs::rename(&file, &kept).unwrap();
    fs::copy(row.bench.path("input/b/digital_fr.pdf"), &file).unwrap();
    assert_eq!(ended(&mut run), Some(3), "{}", row.bench.log(0));
    fs::rename(&kept, &file).unwrap();
    row.finish(&[]);
}
