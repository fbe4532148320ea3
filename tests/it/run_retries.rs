//! How a run asks for pages that are not read at once: real processes, stand-ins whose faults strike by the view that the
//! request id names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run_support::{Bench, Killed, text, until};
use bulletin_ocr::model::{Attempt, AttemptOutcome, BBox, Engine, FailureClass, PageRecord, Stage, Verdict, View};
use rustix::process::{Pid, Signal, kill_process};

/// A run over a page that is struck, and others.
struct RetryRun {
    bench: Bench,
    configuration: PathBuf,
    /// Takes the place of the page that is struck.
    page: Option<Vec<u8>>,
    /// The pages that are not struck.
    others: &'static [&'static str],
}

impl RetryRun {
    fn new(more: &str) -> RetryRun {
        let bench = Bench::new();
        let instant = fs::read_to_string(bench.half_size_configuration()).unwrap();
        RetryRun::with(bench, &format!("{instant}{more}"))
    }

    /// With images as the engines want them.
    fn full_size() -> RetryRun {
        let bench = Bench::new();
        let instant = fs::read_to_string(bench.full_size_configuration()).unwrap();
        RetryRun::with(bench, &instant)
    }

    /// Over this page alone, with stand-ins that really read.
    fn reading(page: Vec<u8>) -> RetryRun {
        RetryRun { page: Some(page), others: &[], ..RetryRun::with(Bench::new(), "") }
    }

    fn with(bench: Bench, configuration: &str) -> RetryRun {
        let configuration = bench.write("configuration.toml", configuration);
        RetryRun { bench, configuration, page: None, others: &["pages/scan_fr.pdf"] }
    }

    fn command(&self, roles: &str, faults: &str, more: &[&str]) -> Command {
        let input = self.bench.inputs(&[&["pages/cover_fr.pdf"], self.others].concat());
        if let Some(page) = &self.page {
            fs::write(input.join("cover_fr.pdf"), page).unwrap();
        }
        let faults = self.bench.write("faults.toml", faults);
        let paths = [input, self.bench.run_directory(), self.configuration.clone(), faults];
        let [input, run, configuration, faults] = paths.each_ref().map(|path| path.to_str().unwrap());
        let words = ["run", "-i", input, "-o", run, "-c", configuration, "--roles", roles, "--faults", faults];
        let words = [&words[..], more].concat();
        self.bench.bocr(&words)
    }

    /// Runs with these roles and faults; the exit code.
    fn run(&self, roles: &str, faults: &str, more: &[&str]) -> Option<i32> {
        let output = self.command(roles, faults, more).output().unwrap();
        println!("{}", text(&output));
        self.bench.assert_nothing_left();
        self.bench.assert_verified();
        output.status.code()
    }

    /// The same, but stopped once the struck page has failed on its first visit.
    fn stop_after_first_visit(&self, faults: &str, more: &[&str]) {
        let failures = || self.bench.log(0).matches("the page failed").count();
        let before = failures();
        let busy = refusal("deepseek", "*", "503");
        let run = self.command("chandra+deepseek", &format!("{faults}{busy}"), more).spawn().unwrap();
        let mut run = Killed(run);
        until("the page has failed", || failures() > before);
        kill_process(Pid::from_child(&run.0), Signal::TERM).unwrap();
        assert_eq!(run.0.wait().unwrap().code(), Some(75));
        self.bench.assert_nothing_left();
    }

    /// The final record of the struck page.
    fn struck(&self) -> PageRecord {
        let mut reader = self.bench.reader();
        let document = reader.documents().iter().find(|document| document.name == "cover_fr.pdf").unwrap().id;
        reader.read_document(document).unwrap().remove(0)
    }

    fn export(&self, file: &str) -> String {
        let run = self.bench.run_directory();
        let output = self.bench.bocr(&["export", run.to_str().unwrap(), "--partial"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        fs::read_to_string(run.join("export").join(file)).unwrap()
    }
}

/// Every request for the page with `view` goes wrong.
fn fault(engine: &str, view: &str, kind: &str, after_tokens: u32) -> String {
    format!(
        "[[fault]]\npage = \"cover_fr.p1*.{view}\"\nengine = \"{engine}\"\nkind = \"{kind}\"\nafter_tokens = {after_tokens}\n"
    )
}

/// The same before a token is written.
fn refusal(engine: &str, view: &str, kind: &str) -> String {
    fault(engine, view, kind, 0).replace("after_tokens = 0\n", "")
}

type Way = (Stage, u8, View, u8, AttemptOutcome);

fn ways(record: &PageRecord) -> Vec<Way> {
    let way =
        |attempt: &Attempt| (attempt.stage, attempt.step, attempt.shown.view, attempt.shown.part, attempt.outcome);
    record.attempts.iter().map(way).collect()
}

const LOOPED: AttemptOutcome = AttemptOutcome::Failed(FailureClass::Loop);
const FULL: AttemptOutcome = AttemptOutcome::Failed(FailureClass::ContextFull);
const ACCEPTED: AttemptOutcome = AttemptOutcome::Accepted;

#[test]
fn a_page_that_loops_twice_is_read_from_a_smaller_image_by_the_same_engine() {
    let ladder = RetryRun::full_size();
    assert_eq!(ladder.run("chandra+deepseek", &fault("chandra", "whole", "loop", 40), &[]), Some(0));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine), (Verdict::Read, Some(Engine::Chandra)));
    let expected = [
        (Stage::Primary, 0, View::Whole, 0, LOOPED),
        (Stage::Primary, 1, View::Whole, 0, LOOPED),
        (Stage::Primary, 2, View::Reduced, 0, ACCEPTED),
    ];
    assert_eq!(ways(&record), expected);
    let [first, second, third] = &record.attempts[..] else { panic!("three attempts") };
    assert_eq!(first.shown.size, second.shown.size);
    let sides = f64::from(third.shown.size.width) / f64::from(first.shown.size.width);
    assert!((0.78..0.82).contains(&sides), "{sides}");
    assert!(third.tokens.prompt < first.tokens.prompt * 3 / 4, "a smaller image costs less");
    assert!(!first.salted && second.salted && third.salted, "no cache answers a retry");
    assert!(third.request_id.contains(".a3.reduced.i"), "{}", third.request_id);
    assert_eq!((record.parts.len(), record.parts[0].bbox, record.parts[0].attempt), (1, BBox::PAGE, 2));
}

#[test]
fn a_page_that_fills_the_context_is_read_in_halves() {
    let ladder = RetryRun::new("");
    assert_eq!(ladder.run("chandra+deepseek", &fault("chandra", "whole", "truncated", 40), &[]), Some(0));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine), (Verdict::Read, Some(Engine::Chandra)));
    let expected = [
        (Stage::Primary, 0, View::Whole, 0, FULL),
        (Stage::Primary, 0, View::Halves, 0, ACCEPTED),
        (Stage::Primary, 0, View::Halves, 1, ACCEPTED),
    ];
    assert_eq!(ways(&record), expected);
    let [upper, lower] = &record.parts[..] else { panic!("two parts") };
    assert_eq!((upper.attempt, lower.attempt), (1, 2));
    assert_eq!((upper.bbox.top, lower.bbox.bottom), (0, 1000));
    assert!(upper.bbox.bottom >= lower.bbox.top && (350..650).contains(&lower.bbox.top), "{:?}", lower.bbox);
    assert!(record.attempts[2].request_id.contains(".a3.halves-2.i"), "{}", record.attempts[2].request_id);
    let markdown = ladder.export("md/cover_fr.md");
    let place = |text: &str| markdown.find(text.lines().last().unwrap()).unwrap();
    assert!(place(&upper.markdown) < place(&lower.markdown), "the upper half comes first");
    let lines = ladder.export("jsonl/cover_fr.jsonl");
    assert!(!lines.contains("\"partial\":true") && lines.contains("\"view\":\"halves\""));
}

/// Words in alphabetical order: columns come in another order from halves than from the whole.
fn words(record: &PageRecord) -> Vec<String> {
    let text: String = record.parts.iter().map(|part| format!("{}\n", part.markdown)).collect();
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    words.sort();
    words
}

/// Where on the page the blocks begin that begin with a long word of their own.
fn tops(record: &PageRecord) -> BTreeMap<String, u16> {
    let mut tops: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    for block in record.parts.iter().flat_map(|part| &part.blocks) {
        let first = block.html.split(['<', '>', ' ', '\n']).find(|word| word.chars().count() > 5);
        if let (Some(word), Some(bbox)) = (first, block.bbox) {
            tops.entry(word.to_owned()).or_default().push(bbox.top);
        }
    }
    tops.into_iter().filter(|(_, tops)| tops.len() == 1).map(|(word, tops)| (word, tops[0])).collect()
}

/// Paragraphs from head to foot, each of which begins with a long word of its own.
fn page_of_paragraphs() -> Vec<u8> {
    let first = [
        "Decret", "Article", "Ministre", "Commune", "Domaine", "Parcelle", "Royaume", "Province", "Montant", "Registre",
    ];
    let paragraphs = first.iter().enumerate().map(|(place, first)| {
        let top = 780 - 75 * place;
        format!(
            "1 0 0 1 60 {top} Tm ({first} portant approbation du plan de la commune) Tj \
             1 0 0 1 60 {} Tm (numero {} du present bulletin officiel publie) Tj ",
            top - 18,
            1957 + 13 * place
        )
    });
    page(&format!("BT /F 14 Tf {} ET", paragraphs.collect::<String>()))
}

#[test]
fn what_is_read_of_the_halves_or_of_a_smaller_image_is_what_is_read_of_the_whole_page() {
    let read = |faults: &str| {
        let ladder = RetryRun::reading(page_of_paragraphs());
        assert_eq!(ladder.run("chandra", faults, &[]), Some(0));
        ladder.struck()
    };
    let whole = read("");
    assert_eq!(whole.attempts.len(), 1);
    let expected = words(&whole);
    for (kind, view) in [("truncated", View::Halves), ("loop", View::Reduced)] {
        let other = read(&fault("chandra", "whole", kind, 40));
        assert_eq!(other.attempts.last().unwrap().shown.view, view);
        let (before, after) = (tops(&whole), tops(&other));
        let both: Vec<_> = before.iter().filter_map(|(word, top)| Some((word, *top, *after.get(word)?))).collect();
        assert!(both.iter().all(|(_, top, other)| top.abs_diff(*other) <= 20), "{both:?}");
        let lower = both.iter().filter(|(_, top, _)| *top > 600).count();
        assert!(lower > 0 && both.len() > lower, "in both halves: {both:?}");
        let found = words(&other);
        let mut left = expected.clone();
        let known = found.iter().filter(|word| {
            let place = left.iter().position(|other| other == *word);
            place.map(|place| left.remove(place)).is_some()
        });
        let known = known.count();
        let (least, most) = (expected.len() * 9 / 10, expected.len() * 11 / 10);
        assert!(known >= least && found.len() <= most, "{view:?}: {known} of {} and {}", expected.len(), found.len());
    }
}

#[test]
fn a_half_that_fails_ends_the_halves_and_its_text_is_kept() {
    let ladder = RetryRun::new("[schedule]\npage_attempts = 2\n");
    let faults = fault("chandra", "whole", "truncated", 20) + &refusal("chandra", "halves-2", "empty");
    assert_eq!(ladder.run("chandra", &faults, &[]), Some(3));
    let record = ladder.struck();
    let expected = [
        (Stage::Primary, 0, View::Whole, 0, FULL),
        (Stage::Primary, 0, View::Halves, 0, ACCEPTED),
        (Stage::Primary, 0, View::Halves, 1, AttemptOutcome::Failed(FailureClass::Empty)),
    ];
    assert_eq!(ways(&record), expected);
    assert_eq!(record.verdict, Verdict::Failed(FailureClass::Empty));
    assert_eq!(
        (record.parts.len(), record.parts[0].attempt),
        (1, 1),
        "the upper half alone is more than the first try"
    );
    assert!(ladder.export("md/cover_fr.md").contains("failed(empty), partial text of chandra"));
}

#[test]
fn a_page_that_both_engines_fail_goes_back_to_chandra_for_the_ways_not_tried() {
    let ladder = RetryRun::new("");
    let faults = ["whole", "reduced"].map(|view| fault("chandra", view, "loop", 40)).concat();
    let faults = faults + &fault("deepseek", "*", "loop", 40);
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(0));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine), (Verdict::Read, Some(Engine::Chandra)));
    let retry = |visit, third: (u8, View)| {
        [(0, View::Whole), (1, View::Whole), third].map(|(step, view)| (visit, step, view, 0, LOOPED))
    };
    let first = retry(Stage::Primary, (2, View::Reduced));
    // A smaller image fills the same tiles.
    let second = retry(Stage::Fallback, (1, View::Halves));
    let mut expected = [first, second].concat();
    expected.extend([0, 1].map(|part| (Stage::PrimaryRetry, 1, View::Halves, part, ACCEPTED)));
    assert_eq!(ways(&record), expected);
    let ids: BTreeSet<_> = record.attempts.iter().map(|attempt| &attempt.request_id).collect();
    assert_eq!(ids.len(), record.attempts.len(), "no two requests have one name");
    let wasted: u32 = record.attempts[..6].iter().map(|attempt| attempt.tokens.completion).sum();
    assert!(
        wasted < 7 * 12_384 / 20,
        "{wasted} tokens went into loops, a twentieth of what chandra's own client spends"
    );
}

/// The last visit gave less than the first: its record is final, the text is the first's.
#[test]
fn a_page_that_nobody_can_read_keeps_the_best_text_of_all_visits_with_its_label() {
    let ladder = RetryRun::new("");
    let faults = fault("chandra", "halves-1", "loop", 20)
        + &fault("deepseek", "*", "loop", 60)
        + &fault("chandra", "*", "loop", 400);
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(3));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine), (Verdict::Failed(FailureClass::Loop), Some(Engine::Chandra)));
    assert_eq!(record.attempts.last().unwrap().stage, Stage::PrimaryRetry);
    let most = record.attempts.iter().map(|attempt| attempt.kept_characters).max().unwrap();
    let gave = &record.attempts[usize::from(record.parts[0].attempt)];
    assert_eq!((gave.stage, gave.kept_characters), (Stage::Primary, most));
    let of = |visit| record.attempts.iter().filter(move |attempt| attempt.stage == visit);
    assert!(of(Stage::Fallback).chain(of(Stage::PrimaryRetry)).all(|attempt| attempt.kept_characters < most));
    let line = ladder.export("jsonl/cover_fr.jsonl");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["partial"], &line["engine"], &line["class"]), (&true.into(), &"chandra".into(), &"loop".into()));
    let kept: Vec<_> = line["attempts"].as_array().unwrap().iter().filter(|attempt| attempt["kept"] == true).collect();
    assert_eq!((kept.len(), &kept[0]["visit"]), (1, &"first".into()));
    assert!(ladder.export("html/cover_fr.html").contains("data-partial=\"true\""));

    // The other engine may be the one that had more.
    let ladder = RetryRun::new("");
    let faults = fault("deepseek", "*", "loop", 400) + &fault("chandra", "*", "loop", 20);
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(3));
    let record = ladder.struck();
    assert_eq!(record.attempts[usize::from(record.parts[0].attempt)].stage, Stage::Fallback);
    assert!(ladder.export("md/cover_fr.md").contains("failed(loop), partial text of deepseek"));
}

/// One dark rectangle from head to foot.
fn page_that_cannot_be_cut() -> Vec<u8> {
    page("0 g 100 60 300 720 re f")
}

/// A document of one page with this content, whose font is `/F`.
fn page(content: &str) -> Vec<u8> {
    let page = format!(
        "%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n\
         3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R\
         /Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>> endobj\n\
         4 0 obj <</Length {}>> stream\n{content}\nendstream endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n",
        content.len()
    );
    page.into()
}

#[test]
fn a_page_that_cannot_be_cut_fails_without_being_asked_for_in_halves() {
    let ladder = RetryRun { page: Some(page_that_cannot_be_cut()), ..RetryRun::new("") };
    assert_eq!(ladder.run("chandra", &fault("chandra", "*", "loop", 40), &[]), Some(3));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine), (Verdict::Failed(FailureClass::Loop), Some(Engine::Chandra)));
    assert_eq!(record.attempts.len(), 3);
    assert!(record.attempts.iter().all(|attempt| attempt.shown.view != View::Halves));
    assert!(!record.reason.is_empty() && record.kept_characters() > 0, "{record:?}");
}

#[test]
fn a_page_has_a_budget_over_all_its_visits() {
    let ladder = RetryRun::new("[schedule]\npage_attempts = 4\n");
    let faults = fault("chandra", "*", "loop", 20) + &fault("deepseek", "*", "loop", 20);
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(3));
    let mut attempts: BTreeMap<Stage, u32> = BTreeMap::new();
    for attempt in &ladder.struck().attempts {
        *attempts.entry(attempt.stage).or_default() += 1;
    }
    assert_eq!(attempts, BTreeMap::from([(Stage::Primary, 3), (Stage::Fallback, 1)]));
}

#[test]
fn a_page_of_an_earlier_start_goes_on_with_the_engine_that_has_not_seen_it() {
    let ladder = RetryRun::new("");
    let faults = fault("chandra", "*", "loop", 20);
    assert_eq!(ladder.run("chandra", &faults, &[]), Some(3));
    assert_eq!(ladder.struck().attempts.len(), 5, "without another engine the ladder is climbed to its end");
    assert_eq!(ladder.run("chandra", &faults, &[]), Some(3));
    assert_eq!(ladder.struck().attempts.len(), 5, "the same command asks for nothing again");
    assert_eq!(ladder.run("chandra+deepseek", &faults, &["--accept-config"]), Some(0));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.attempts.len()), (Verdict::Read, 6));
    assert_eq!(record.attempts[5].stage, Stage::Fallback);
}

#[test]
fn a_page_that_is_read_again_climbs_anew_and_has_every_attempt_once() {
    let ladder = RetryRun::new("");
    let faults = fault("chandra", "*", "loop", 20) + &fault("deepseek", "*", "loop", 20);
    for (start, more) in [(1, &[][..]), (2, &["--retry", "failed"][..])] {
        assert_eq!(ladder.run("chandra+deepseek", &faults, more), Some(3));
        let record = ladder.struck();
        let of = |visit| record.attempts.iter().filter(|attempt| attempt.stage == visit).count();
        assert_eq!(
            [Stage::Primary, Stage::Fallback, Stage::PrimaryRetry].map(of),
            [3, 3, 2].map(|attempts| attempts * start)
        );
        let ids: BTreeSet<_> = record.attempts.iter().map(|attempt| &attempt.request_id).collect();
        assert_eq!(ids.len(), record.attempts.len());
    }
}

#[test]
fn what_was_tried_before_a_page_was_read_again_counts_in_no_later_start() {
    let ladder = RetryRun::new("");
    let faults = fault("chandra", "*", "loop", 20);
    let both = format!("{faults}{}", fault("deepseek", "*", "loop", 20));
    assert_eq!(ladder.run("chandra+deepseek", &both, &[]), Some(3));
    assert_eq!(ladder.struck().attempts.len(), 8);
    ladder.stop_after_first_visit(&faults, &["--retry", "failed"]);
    assert_eq!(ladder.struck().counts_from, 8);
    assert_eq!(ladder.run("chandra+deepseek", &faults, &["--retry", "failed"]), Some(0));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine, record.counts_from), (Verdict::Read, Some(Engine::DeepSeek), 8));
    let of =
        |visit| record.attempts.iter().filter(|attempt| attempt.stage == visit && attempt.outcome == LOOPED).count();
    assert_eq!([Stage::Primary, Stage::Fallback, Stage::PrimaryRetry].map(of), [6, 3, 2]);

    // Without a stop: the other engine comes later.
    let ladder = RetryRun::new("");
    for more in [&[][..], &["--retry", "failed"][..]] {
        assert_eq!(ladder.run("chandra", &faults, more), Some(3));
    }
    assert_eq!(ladder.struck().attempts.len(), 10);
    assert_eq!(ladder.run("chandra+deepseek", &faults, &["--accept-config"]), Some(0));
    assert_eq!(ladder.struck().engine, Some(Engine::DeepSeek));
}

#[test]
fn a_read_page_that_is_read_again_goes_on_after_a_stop() {
    let ladder = RetryRun::new("");
    assert_eq!(ladder.run("chandra+deepseek", "", &[]), Some(0));
    assert_eq!(ladder.struck().engine, Some(Engine::Chandra));
    let faults = fault("chandra", "*", "loop", 20);
    let redo = ["--redo", "cover_fr.pdf"];
    ladder.stop_after_first_visit(&faults, &redo);
    assert_eq!(ladder.struck().verdict, Verdict::Read, "it stays read meanwhile");
    assert_eq!(ladder.run("chandra+deepseek", &faults, &redo), Some(0));
    let record = ladder.struck();
    assert_eq!((record.verdict, record.engine), (Verdict::Read, Some(Engine::DeepSeek)));
    let ids: BTreeSet<_> = record.attempts.iter().map(|attempt| &attempt.request_id).collect();
    assert_eq!((ids.len(), record.attempts.len() > 4), (record.attempts.len(), true), "every attempt once");
}

/// The last visit asks for nothing: there are only halves left, which cannot be had.
#[test]
fn a_failed_page_says_how_its_own_engine_failed_it() {
    let ladder = RetryRun { page: Some(page_that_cannot_be_cut()), ..RetryRun::new("") };
    let faults = fault("chandra", "*", "loop", 40) + &refusal("deepseek", "*", "400");
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(3));
    let record = ladder.struck();
    assert_eq!(record.attempts.last().unwrap().outcome, AttemptOutcome::Failed(FailureClass::Rejected));
    assert_eq!((record.verdict, record.engine), (Verdict::Failed(FailureClass::Loop), Some(Engine::Chandra)));
}

#[test]
fn a_second_start_of_a_complete_run_asks_for_nothing() {
    let ladder = RetryRun { page: Some(page_that_cannot_be_cut()), ..RetryRun::new("") };
    let faults = fault("chandra", "*", "truncated", 40) + &refusal("deepseek", "*", "400");
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(3));
    let first = ladder.struck();
    assert_eq!(first.attempts.last().unwrap().stage, Stage::Fallback, "chandra has nothing left");
    assert_eq!(ladder.run("chandra+deepseek", &faults, &[]), Some(3));
    assert_eq!(ladder.struck(), first);
}

#[test]
fn the_best_text_of_a_page_outlasts_the_server_that_gave_it() {
    let ladder = RetryRun::new("");
    let faults = fault("chandra", "a1.whole", "loop", 400)
        + &fault("chandra", "a2.whole", "death", 10)
        + &fault("chandra", "*", "loop", 20);
    assert_eq!(ladder.run("chandra", &faults, &[]), Some(3));
    let record = ladder.struck();
    assert!(matches!(record.attempts[1].outcome, AttemptOutcome::Interrupted(_)), "{:?}", record.attempts[1].outcome);
    let most = record.attempts.iter().map(|attempt| attempt.kept_characters).max().unwrap();
    assert_eq!((record.parts[0].attempt, record.attempts[0].kept_characters), (0, most));
    assert_eq!(record.kept_characters(), most);
}

/// A page with a head, two columns and a foot.
fn in_columns(columns: &str) -> RetryRun {
    let mixed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages/mixed_fr.pdf");
    RetryRun { page: Some(fs::read(mixed).unwrap()), ..RetryRun::new(&format!("[imaging]\ncolumns = \"{columns}\"\n")) }
}

#[test]
fn what_was_read_of_other_parts_stands_while_one_is_asked_for_again() {
    let ladder = in_columns("auto");
    let once = format!("{}times = 1\n", fault("chandra", "whole-2", "loop", 40));
    assert_eq!(ladder.run("chandra", &once, &[]), Some(0));
    let record = ladder.struck();
    let expected = [
        (Stage::Primary, 0, View::Whole, 0, ACCEPTED),
        (Stage::Primary, 0, View::Whole, 1, LOOPED),
        (Stage::Primary, 1, View::Whole, 1, ACCEPTED),
        (Stage::Primary, 1, View::Whole, 2, ACCEPTED),
        (Stage::Primary, 1, View::Whole, 3, ACCEPTED),
    ];
    assert_eq!(ways(&record), expected);
    assert_eq!(record.parts.iter().map(|part| part.attempt).collect::<Vec<_>>(), [0, 2, 3, 4]);
    let report = fs::read_to_string(ladder.bench.run_directory().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let retries = &report["tokens"]["chandra"]["retries"];
    assert_eq!(retries["attempts"], 1, "parts are no retries of one another: {retries}");
    assert_eq!(retries["generated"], record.attempts[2].tokens.completion);
}

#[test]
fn a_page_that_was_shown_whole_is_divided_at_its_columns_before_it_is_cut_across() {
    let ladder = in_columns("never");
    assert_eq!(ladder.run("chandra", &fault("chandra", "whole", "truncated", 40), &[]), Some(0));
    let record = ladder.struck();
    let halves: Vec<BBox> = record.parts.iter().map(|part| part.bbox).collect();
    assert_eq!(halves.len(), 4, "head, columns and foot: {halves:?}");
    assert!(halves[1].right <= 505 && halves[2].left >= 490, "{halves:?}");
}
