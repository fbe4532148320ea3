//! Any record that a journal holds has a form in a shard.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::engines;
use std::time::Duration;

use crate::store_support::*;
use bulletin_ocr::model::{
    Attempt, AttemptOutcome, BBox, Block, FailureClass, Language, MachineFault, PageRecord, Part, Sampling, Shown,
    TokenUsage, Verdict,
};
use proptest::prelude::*;

/// Texts of all kinds of characters, with what HDF5, HTML and terminals take for an end or an order.
fn text() -> impl Strategy<Value = String> {
    const ODD: [&str; 9] =
        ["\0", "a\0b\0", "\u{1b}[2J", "\u{feff}", "\u{202e}abc", "</div>", "\r\n\t", "\u{fffd}", "المادة 4"];
    prop_oneof![
        Just(String::new()),
        prop::sample::select(&ODD[..]).prop_map(String::from),
        "(?s).{0,30}",
        "[\\x00-\\x1f]{1,4}"
    ]
}

/// Numbers with the ends of their range.
fn number<T: Arbitrary + Clone + std::fmt::Debug + 'static>(ends: &'static [T]) -> impl Strategy<Value = T> {
    prop_oneof![prop::sample::select(ends), any::<T>()]
}

fn duration() -> impl Strategy<Value = Duration> {
    let whole = number(&[0, 1, u64::MAX]).prop_map(Duration::from_micros);
    prop_oneof![whole, Just(Duration::MAX), Just(Duration::from_nanos(1))]
}

fn bbox() -> impl Strategy<Value = BBox> {
    any::<[u16; 4]>().prop_map(|[left, top, right, bottom]| BBox { left, top, right, bottom })
}

fn class() -> impl Strategy<Value = FailureClass> {
    prop::sample::select(FailureClass::ALL)
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    prop_oneof![
        Just(AttemptOutcome::Accepted),
        Just(AttemptOutcome::Blank),
        class().prop_map(AttemptOutcome::Failed),
        Just(AttemptOutcome::Interrupted(MachineFault::ServerDied)),
    ]
}

fn one_attempt() -> impl Strategy<Value = Attempt> {
    let texts = (text(), text(), text(), text(), text());
    let numbers = (any::<u8>(), number(&[u32::MAX]), any::<[u32; 4]>(), number(&[i64::MIN, i64::MAX]));
    let times = (prop::option::of(duration()), duration());
    (texts, numbers, times, outcome(), (bbox(), any::<u8>()), any::<[i16; 2]>()).prop_map(
        |(
            (request_id, reason, answer, model, request),
            (step, repeats, counts, started),
            times,
            outcome,
            shown,
            sampled,
        )| {
            let mut made = attempt(engines::CHANDRA, outcome, &answer);
            (made.served_by.model, made.served_by.request) = (model, request);
            made.shown = Shown { bbox: shown.0, part: shown.1, ..made.shown };
            Attempt {
                request_id,
                reason,
                step,
                repeats,
                max_tokens: counts[0],
                tokens: TokenUsage { prompt: counts[1], completion: counts[2] },
                kept_characters: counts[3],
                started_unix_ms: started,
                time_to_first_token: times.0,
                duration: times.1,
                sampling: Sampling { temperature: f32::from(sampled[0]), top_p: f32::from(sampled[1]) },
                ..made
            }
        },
    )
}

fn one_part() -> impl Strategy<Value = Part> {
    let block = (text(), prop::option::of(bbox()), text()).prop_map(|(label, bbox, html)| Block { label, bbox, html });
    (bbox(), any::<u16>(), prop::collection::vec(block, 0..4), text(), text())
        .prop_map(|(bbox, attempt, blocks, html, markdown)| Part { bbox, attempt, blocks, html, markdown })
}

fn record() -> impl Strategy<Value = PageRecord> {
    let verdict = prop_oneof![
        Just(Verdict::Read),
        Just(Verdict::Incomplete),
        Just(Verdict::Blank),
        class().prop_map(Verdict::Failed)
    ];
    let language = prop::sample::select(&[Language::Unknown, Language::French, Language::Arabic, Language::Mixed][..]);
    let attempts = prop::collection::vec(one_attempt(), 0..4);
    let parts = prop::collection::vec(one_part(), 0..4);
    // More parts than their column holds, in a few.
    let parts = prop_oneof![9 => parts, 1 => one_part().prop_map(|part| vec![part; 300])];
    (verdict, language, attempts, parts, any::<u16>(), text(), number(&[i64::MIN, i64::MAX])).prop_map(
        |(verdict, language, attempts, parts, counts_from, reason, settled_unix_ms)| PageRecord {
            language,
            attempts,
            parts,
            counts_from,
            reason,
            settled_unix_ms,
            ..bare(page_ref(0, 0), 1, verdict)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_record_that_is_journalled_is_sealed_and_read_back(records in prop::collection::vec(record(), 1..4)) {
        let records: Vec<_> =
            records.into_iter().enumerate().map(|(page, record)| PageRecord { page: page_ref(0, page as u32), ..record }).collect();
        let directory = tempfile::tempdir().unwrap();
        leave_journal(directory.path(), &records);
        recover(directory.path()).unwrap();
        let read = records_of(directory.path());
        prop_assert_eq!(read.len(), records.len());
        for (read, written) in read.iter().zip(&records) {
            prop_assert_eq!((read.page, read.lease), (written.page, written.lease));
            if written.parts.len() > 255 {
                prop_assert_eq!(read.verdict, Verdict::Failed(FailureClass::Unparsable));
                continue;
            }
            prop_assert_eq!((read.verdict, &read.reason), (written.verdict, &written.reason));
            let texts = |record: &PageRecord| -> Vec<_> {
                let of_block = |block: &Block| (block.bbox, block.html.clone());
                let of_part = |part: &Part| {
                    (part.html.clone(), part.markdown.clone(), part.blocks.iter().map(of_block).collect::<Vec<_>>())
                };
                record.parts.iter().map(of_part).collect()
            };
            prop_assert_eq!(texts(read), texts(written));
            let answers = |record: &PageRecord| -> Vec<_> {
                record.attempts.iter().map(|attempt| (attempt.outcome, attempt.answer.clone(), attempt.reason.clone())).collect()
            };
            prop_assert_eq!(answers(read), answers(written));
        }
    }
}
