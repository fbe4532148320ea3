//! Journals, sealing, shards, catalogue and verification, on real files.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::engines;
use std::{
    fs,
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Output},
    sync::mpsc,
    time::Duration,
};

use crate::store_support::*;
use bulletin_ocr::{
    corpus::{self, Inputs, Plan},
    model::{
        Attempt, AttemptOutcome, Block, DocumentState, FailureClass, Language, LeaseId, PageRecord, PageRef, Part,
        RankId, Stage, Verdict,
    },
    store::{
        self, JournalHeader, JournalReader, JournalWriter, LatestRecord, Layout, Problem, Provenance, Reader,
        ShardReader, StoreError, StoreEvent, StoreFile, UnfinishedFiles, Writer, catalogue,
    },
};
use oorandom::Rand32;

/// The run of [`provenance`].
const RUN: &str = "run-1";
fn read_journal(path: &Path) -> (Vec<PageRecord>, u64) {
    let mut reader = JournalReader::open(path).unwrap().unwrap();
    let records = std::iter::from_fn(|| reader.next_record().unwrap()).collect();
    (records, reader.torn_bytes())
}

#[test]
fn the_bytes_of_a_journal_do_not_change_by_accident() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, _) = leave_journal(directory.path(), &varied()[1..5]);
    assert_golden("journal-v6.bin", &fs::read(layout.journal(FILE)).unwrap());
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_the_record_it_is_in() {
    let directory = tempfile::tempdir().unwrap();
    let records = &varied()[2..5];
    let (layout, sizes) = leave_journal(directory.path(), records);
    let path = layout.journal(FILE);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        if (length as u64) < sizes[0] {
            assert!(JournalReader::open(&path).unwrap().is_none(), "{length}");
            continue;
        }
        let (found, torn) = read_journal(&path);
        let expected = sizes.iter().filter(|size| **size <= length as u64).count() - 1;
        assert_eq!(found, records[..expected], "{length}");
        // A document's frame before its first page is whole on its own.
        assert!(torn <= length as u64 - sizes[expected], "{length}");
    }
}

/// The document's frame is whole before its page's frame is: a disk that fills up ends a journal so.
#[test]
fn a_document_whose_only_page_was_cut_off_is_not_in_the_shard() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Rand32::new(5);
    let records = [0, 1].map(|document| read_page(page_ref(document, 0), u64::from(document) + 1, 900, &mut random));
    let (layout, _) = leave_journal(directory.path(), &records);
    let journal = fs::OpenOptions::new().write(true).open(layout.journal(FILE)).unwrap();
    journal.set_len(journal.metadata().unwrap().len() - 5).unwrap();
    drop(journal);
    let sealed = store::seal(&layout, FILE, LOCK_WAIT).unwrap().unwrap();
    assert!(sealed.torn_bytes > 0 && sealed.pages == 1);
    let listed = ShardReader::open(&layout.shard(FILE)).unwrap().documents().unwrap();
    assert_eq!(listed.iter().map(|document| document.id.0).collect::<Vec<_>>(), [0]);
    catalogue::write(directory.path(), &plan()).unwrap();
    let report = store::verify(directory.path(), &plan(), &provenance().run_id).unwrap();
    assert!(
        report.problems.iter().all(|problem| matches!(problem, Problem::Unsettled { .. })),
        "{:?}",
        report.problems
    );
}

#[test]
fn garbage_after_the_last_record_is_cut_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    let (layout, _) = leave_journal(directory.path(), &records);
    let path = layout.journal(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 4096]);
    fs::write(&path, &bytes).unwrap();
    let recovered = recover(directory.path()).unwrap();
    assert_eq!(recovered.sealed[0].torn_bytes, 4096);
    assert_eq!(records_of(directory.path()), records);
}

#[test]
fn a_record_comes_back_from_its_shard_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    write(directory.path(), 3, 1 << 30, &plan(), &records);
    let layout = Layout::new(directory.path());
    assert_eq!(records_of(directory.path()), records);
    assert_eq!(layout.journals().unwrap(), []);
    let shard = ShardReader::open(&layout.shard(layout.shards().unwrap()[0])).unwrap();
    assert_eq!(shard.documents().unwrap(), plan()[..2]);
    assert_eq!(shard.opening().unwrap().provenance, provenance());
    assert!(!fs::read(layout.shard(layout.shards().unwrap()[0])).unwrap().is_empty());
}

#[test]
fn sealing_goes_on_from_wherever_it_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    let (layout, _) = leave_journal(directory.path(), &records);
    let journal = fs::read(layout.journal(FILE)).unwrap();
    store::seal(&layout, FILE, LOCK_WAIT).unwrap().unwrap();
    let shard = fs::read(layout.shard(FILE)).unwrap();

    /// Contents of temporary file and shard, and whether the journal is there, as a kill may leave them.
    type State<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, bool);
    let of_another_process = layout.store().join("shard-00003-0002.h5.1-0badcafe.tmp");
    let half = &shard[..shard.len() / 2];
    let states: [State<'_>; 6] = [
        (None, None, true),
        (Some(b""), None, true),
        (Some(half), None, true),
        (Some(&shard), None, true),
        (None, Some(&shard), true),
        (None, Some(&shard), false),
    ];
    for (number, (temporary, sealed, has_journal)) in states.into_iter().enumerate() {
        for file in fs::read_dir(layout.store()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        let put = |path, bytes: Option<&[u8]>| bytes.map(|bytes| fs::write(path, bytes).unwrap());
        put(of_another_process.clone(), temporary);
        put(layout.unfinished_shard(FILE), temporary);
        put(layout.shard(FILE), sealed);
        put(layout.journal(FILE), has_journal.then_some(&journal));
        for again in 0..2 {
            let recovered = recover(directory.path()).unwrap();
            assert_eq!(recovered.records.len(), records.len(), "state {number}, time {again}");
            assert_eq!(recovered.highest_lease, Some(LeaseId(6)));
            assert_eq!(records_of(directory.path()), records);
            let left: Vec<_> = fs::read_dir(layout.store()).unwrap().map(|file| file.unwrap().path()).collect();
            assert_eq!(left, [layout.shard(FILE)], "state {number}, time {again}");
        }
    }
}

#[test]
fn a_shard_of_other_origin_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, _) = leave_journal(directory.path(), &varied()[..1]);
    store::seal(&layout, FILE, LOCK_WAIT).unwrap().unwrap();
    let other = JournalHeader { created_unix_ns: 5, ..opening() };
    JournalWriter::create(&layout.journal(FILE), &other).unwrap();
    let error = recover(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::ForeignShard { .. }), "{error}");
    assert!(layout.shard(FILE).exists() && layout.journal(FILE).exists());
}

#[test]
fn a_journal_without_records_leaves_no_shard() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, sizes) = leave_journal(directory.path(), &[]);
    recover(directory.path()).unwrap();
    assert_eq!(fs::read_dir(layout.store()).unwrap().count(), 0);
    leave_journal(directory.path(), &[]);
    let journal = fs::OpenOptions::new().write(true).open(layout.journal(FILE)).unwrap();
    journal.set_len(sizes[0] - 1).unwrap();
    let recovered = recover(directory.path()).unwrap();
    assert_eq!((recovered.records.len(), recovered.sealed[0].torn_bytes), (0, sizes[0] - 1));
    assert_eq!(fs::read_dir(layout.store()).unwrap().count(), 0);
}

type Receipt = (PageRef, LeaseId, Verdict);

fn receipt(record: &PageRecord) -> Receipt {
    (record.page, record.lease, record.verdict)
}

/// Appends all records; all events until the writer ends.
fn run_writer(run_directory: &Path, shard: u64, records: &[PageRecord]) -> Vec<StoreEvent<Receipt>> {
    let (sender, events) = mpsc::channel();
    let tell = move |event| sender.send(event).unwrap();
    let writer = Writer::start(run_directory, RankId(3), &settings(shard), provenance(), plan().into(), tell).unwrap();
    for record in records {
        writer.append(record.clone(), receipt(record)).unwrap();
    }
    writer.finish().unwrap();
    events.try_iter().collect()
}

#[test]
fn every_record_is_reported_durable_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    let (mut durable, mut sealed) = (Vec::new(), 0);
    for event in run_writer(directory.path(), 1, &records) {
        match event {
            StoreEvent::Durable(receipts) => durable.extend(receipts),
            StoreEvent::Sealed(shard) => sealed += shard.pages,
            StoreEvent::Failed(error, _) => panic!("{error}"),
        }
    }
    let expected: Vec<_> = records.iter().map(receipt).collect();
    assert_eq!((durable, sealed), (expected, records.len() as u64));
    // The next writer of the rank goes on counting.
    run_writer(directory.path(), 1 << 20, &records[..1]);
    let shards = Layout::new(directory.path()).shards().unwrap();
    assert_eq!(
        shards.iter().map(|shard| shard.sequence).collect::<Vec<_>>(),
        (0..shards.len() as u32).collect::<Vec<_>>()
    );
}

#[test]
fn a_page_outside_the_plan_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Writer::start(directory.path(), RankId(0), &settings(1), provenance(), plan().into(), |_| {}).unwrap();
    for page in [page_ref(9, 0), page_ref(0, 3), page_ref(2, 0)] {
        let refused = writer.append(bare(page, 1, Verdict::Blank), page).unwrap_err();
        assert!(matches!(refused.error, StoreError::UnknownDocument { .. }), "{refused}");
        assert_eq!(refused.receipt, page);
    }
    assert_eq!(writer.finish().unwrap().pages, 0);
}

#[test]
fn a_failing_disk_is_told_with_its_place_and_ends_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel();
    let tell = move |event| sender.send(event).unwrap();
    let writer = Writer::start(directory.path(), RankId(0), &settings(1), provenance(), plan().into(), tell).unwrap();
    let store = Layout::new(directory.path()).store();
    fs::remove_dir(&store).unwrap();
    writer.append(varied().remove(0), 0).unwrap();
    match events.recv().unwrap() {
        StoreEvent::Failed(error, receipts) => {
            assert!(error.to_string().contains(store.to_str().unwrap()), "{error}");
            assert_eq!(receipts, [0]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(writer.append(varied().remove(1), 1).unwrap_err().receipt, 1);
    assert!(matches!(writer.finish(), Err(StoreError::Stopped { .. })));
}

/// HDF5 has one lock for the process: while we hold it, a sealing has begun and cannot go on.
#[test]
fn records_become_durable_while_a_journal_is_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel();
    let tell = move |event| sender.send(event).unwrap();
    let writer = Writer::start(directory.path(), RankId(3), &settings(1), provenance(), plan().into(), tell).unwrap();
    let records = varied();
    hdf5::sync::sync(|| {
        for record in &records {
            writer.append(record.clone(), record.page).unwrap();
            match events.recv_timeout(Duration::from_secs(60)).unwrap() {
                StoreEvent::Durable(receipts) => assert_eq!(receipts, [record.page]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(Layout::new(directory.path()).journals().unwrap().len(), 2);
    });
    let summary = writer.finish().unwrap();
    assert_eq!((summary.pages, summary.shards), (records.len() as u64, 2));
    let sealed = events.try_iter().map(|event| match event {
        StoreEvent::Sealed(sealed) => sealed.pages,
        other => panic!("{other:?}"),
    });
    assert_eq!(sealed.collect::<Vec<_>>(), [1, records.len() as u64 - 1]);
    assert_eq!(records_of(directory.path()), records);
}

#[test]
fn a_failed_sealing_stops_the_writer_and_keeps_the_journals() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    let (sender, events) = mpsc::channel();
    let tell = move |event| sender.send(event).unwrap();
    let writer = Writer::start(directory.path(), RankId(3), &settings(1), provenance(), plan().into(), tell).unwrap();
    let in_the_way = layout.shard(StoreFile { rank: RankId(3), sequence: 0 });
    fs::write(&in_the_way, "no shard").unwrap();
    writer.append(varied().remove(0), ()).unwrap();
    assert!(matches!(events.recv().unwrap(), StoreEvent::Durable(_)));
    match events.recv().unwrap() {
        StoreEvent::Failed(error, _) => assert!(error.to_string().contains("shard-00003-0000.h5"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(writer.finish(), Err(StoreError::Stopped { .. })));
    fs::remove_file(in_the_way).unwrap();
    recover(directory.path()).unwrap();
    assert_eq!(records_of(directory.path()), varied()[..1]);
}

#[test]
fn a_journal_that_is_still_written_is_not_recovered() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    fs::create_dir_all(layout.store()).unwrap();
    let path = layout.journal(FILE);
    let mut journal = JournalWriter::create(&path, &opening()).unwrap();
    let error = recover_within(Duration::ZERO, directory.path()).unwrap_err();
    assert!(matches!(&error, StoreError::InUse { path: held } if *held == path), "{error}");
    let record = varied().remove(0);
    journal.append(&record, &plan()[0]).unwrap();
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(recover(directory.path()).unwrap().records.len(), 1);
    assert_eq!(records_of(directory.path()), [record]);
}

/// Deleted, or another one mounted or made in its place: records written now would be found nowhere.
#[test]
fn a_vanished_directory_is_noticed_before_anything_more_is_called_durable() {
    for replaced in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let store = Layout::new(directory.path()).store();
        let (sender, events) = mpsc::channel();
        let tell = move |event| sender.send(event).unwrap();
        let writer =
            Writer::start(directory.path(), RankId(3), &settings(1 << 20), provenance(), plan().into(), tell).unwrap();
        writer.append(varied().remove(0), 0).unwrap();
        assert!(matches!(events.recv().unwrap(), StoreEvent::Durable(_)));
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(&store, &elsewhere).unwrap();
        if replaced {
            fs::create_dir(&store).unwrap();
            fs::write(store.join("rank-00003.0000.journal"), "").unwrap();
        }
        writer.append(varied().remove(1), 1).unwrap();
        match events.recv().unwrap() {
            StoreEvent::Failed(StoreError::Vanished { path }, receipts) => {
                assert_eq!((path, receipts), (store.clone(), vec![1]))
            }
            other => panic!("{other:?}"),
        }
        assert!(writer.finish().is_err());
        // What was durable before is there once the directory is back.
        let _ = fs::remove_dir_all(&store);
        fs::rename(&elsewhere, &store).unwrap();
        recover(directory.path()).unwrap();
        assert_eq!(records_of(directory.path())[0], varied()[0]);
    }
}

#[test]
fn shares_of_a_run_directory_give_together_what_one_gives() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    for (rank, record) in records.iter().enumerate() {
        write(directory.path(), rank as u32 + 10, 1, &plan(), std::slice::from_ref(record));
    }
    // The same pages again, under later leases, in a journal that was left.
    let later: Vec<_> = records.iter().map(|record| PageRecord { lease: LeaseId(70), ..record.clone() }).collect();
    leave_journal(directory.path(), &later);
    let leftovers = UnfinishedFiles::find(directory.path()).unwrap();
    assert_eq!((leftovers.journals.len(), leftovers.shards.len()), (1, 6));
    let shares = leftovers.shares(NonZeroUsize::new(3).unwrap());
    let recovered: Vec<_> =
        shares.iter().map(|share| store::recover(directory.path(), share, RUN, LOCK_WAIT).unwrap()).collect();
    assert_eq!(recovered.iter().map(|share| share.sealed.len()).sum::<usize>(), 1);
    let merged = store::latest_records(recovered.iter().flat_map(|share| share.records.iter().copied()), &plan());
    let alone = recover(directory.path()).unwrap();
    assert_eq!(merged, alone.records);
    assert_eq!((alone.superseded, alone.highest_lease), (6, Some(LeaseId(70))));
    let place = |record: &LatestRecord| (record.page, record.lease, record.place);
    let expected = later.iter().enumerate().map(|(row, record)| (record.page, record.lease, FILE.place(row as u32)));
    assert_eq!(merged.iter().map(place).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn the_attempts_of_a_record_come_without_its_answers() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 3, 1 << 20, &plan(), &varied());
    for recorded in recover(directory.path()).unwrap().records {
        let found = store::attempts(directory.path(), recorded.place).unwrap();
        let record = varied().into_iter().find(|record| record.page == recorded.page).unwrap();
        let expected = record.attempts.into_iter().map(|attempt| Attempt { answer: String::new(), ..attempt });
        assert_eq!(found.counts_from, record.counts_from);
        assert_eq!(found.attempts, expected.collect::<Vec<_>>(), "{}", recorded.page);
    }
}

#[test]
fn files_of_another_run_are_refused_with_both_names() {
    for shard in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (layout, _) = leave_journal(directory.path(), &varied());
        if shard {
            store::seal(&layout, FILE, LOCK_WAIT).unwrap().unwrap();
        }
        let leftovers = UnfinishedFiles::find(directory.path()).unwrap();
        let error = store::recover(directory.path(), &leftovers, "run-2", LOCK_WAIT).unwrap_err().to_string();
        assert!(error.contains("belongs to run run-1, not to run run-2"), "{error}");
        assert_eq!((layout.journal(FILE).exists(), layout.shard(FILE).exists()), (!shard, shard));
    }
}

#[test]
fn records_of_a_replaced_document_are_superseded() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan();
    write(directory.path(), 0, 1 << 20, &plan, &varied());
    plan[0].state = DocumentState::Replaced;
    plan.push(document(3, "1998/BO_1.pdf", 1));
    write(directory.path(), 1, 1 << 20, &plan, &[bare(page_ref(3, 0), 90, Verdict::Blank)]);
    let check = |what: &str| {
        let mut reader = Reader::open(directory.path()).unwrap();
        assert_eq!((reader.pages().len(), reader.superseded()), (4, 3), "{what}");
        assert_eq!(reader.read(page_ref(0, 0)).unwrap(), None, "{what}");
        assert_eq!(reader.documents()[0].state, DocumentState::Replaced, "{what}");
    };
    check("without a catalogue");
    let summary = catalogue::write(directory.path(), &plan).unwrap();
    assert_eq!((summary.settled, summary.superseded, summary.complete), (4, 3, true));
    check("with a catalogue");
    let report = store::verify(directory.path(), &plan, RUN).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
    assert_eq!((report.documents, report.replaced, report.superseded, report.declared), (3, 1, 3, 4));
    assert!(report.to_string().starts_with("3 documents, 1 refused, 1 replaced; 4 pages declared"), "{report}");
}

/// A file moves to the name of one that was replaced: their records are told apart by the plan, not by the name.
#[test]
fn a_document_that_took_the_name_of_a_replaced_one_is_final() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan();
    plan.push(document(3, "1998/BO_1.pdf", 1));
    write(directory.path(), 0, 1 << 20, &plan, &varied());
    write(directory.path(), 1, 1 << 20, &plan, &[bare(page_ref(3, 0), 90, Verdict::Blank)]);
    plan[3].state = DocumentState::Replaced;
    let summary = catalogue::write(directory.path(), &plan).unwrap();
    assert_eq!((summary.settled, summary.superseded, summary.complete), (6, 1, true));
    let finals = store::latest_records(recover(directory.path()).unwrap().records, &plan);
    let pages: Vec<_> = finals.iter().map(|record| record.page).collect();
    assert_eq!(pages, varied().iter().map(|record| record.page).collect::<Vec<_>>());
    assert!(store::verify(directory.path(), &plan, RUN).unwrap().is_good());
    let mut reader = Reader::open(directory.path()).unwrap();
    assert_eq!(reader.read(page_ref(0, 0)).unwrap().unwrap(), varied()[0]);
    assert_eq!(reader.read(page_ref(3, 0)).unwrap(), None);
}

#[test]
fn the_final_record_is_a_read_one_else_that_of_the_latest_lease() {
    let directory = tempfile::tempdir().unwrap();
    let failed = |lease, class| PageRecord {
        engine: Some(engines::DEEPSEEK),
        ..bare(page_ref(0, 0), lease, Verdict::Failed(class))
    };
    let looped = failed(1, FailureClass::Loop);
    let read = read_page(page_ref(0, 0), 2, 500, &mut oorandom::Rand32::new(1));
    let late = failed(9, FailureClass::Stalled);
    let earlier = PageRecord { page: page_ref(0, 1), ..failed(5, FailureClass::Loop) };
    let later = PageRecord { page: page_ref(0, 1), ..failed(6, FailureClass::Empty) };
    write(directory.path(), 0, 1, &plan(), &[looped, later.clone(), read.clone()]);
    write(directory.path(), 1, 1, &plan(), &[earlier, late]);
    let summary = catalogue::write(directory.path(), &plan()).unwrap();
    assert_eq!((summary.settled, summary.superseded, summary.complete), (2, 3, false));
    let mut reader = Reader::open(directory.path()).unwrap();
    assert_eq!(reader.read(page_ref(0, 0)).unwrap().unwrap(), read);
    assert_eq!(reader.read(page_ref(0, 1)).unwrap().unwrap(), later);
    let recovered = recover(directory.path()).unwrap();
    assert_eq!((recovered.records.len(), recovered.superseded, recovered.highest_lease), (2, 3, Some(LeaseId(9))));
    assert_eq!(recovered.records[0].verdict, Verdict::Read);
    assert_eq!(recovered.records[1].engine, Some(engines::DEEPSEEK));
    assert_eq!(recovered.records[1].verdict, Verdict::Failed(FailureClass::Empty));
}

/// What a page is worth that no engine could read is the most that any visit gave; later records know its attempts.
#[test]
fn a_failed_page_has_the_text_of_the_visit_that_gave_most() {
    let looped = |engine, stage, answer: &str| Attempt {
        stage,
        request_id: format!("{stage:?}"),
        ..attempt(engine, AttemptOutcome::Failed(FailureClass::Loop), answer)
    };
    let first = looped(engines::CHANDRA, Stage::FIRST, "Décret, article premier");
    let second = looped(engines::DEEPSEEK, engines::SECOND_STAGE, "Décret");
    let lost = looped(engines::CHANDRA, Stage::FirstAgain, "Décret, article premier et second");
    let record = |lease, attempts: &[&Attempt], gave: usize| {
        let block = |text: &str| vec![Block { label: "Text".into(), bbox: None, html: text.into() }];
        let parts = vec![Part { attempt: gave as u16, ..part(block(&attempts[gave].answer)) }];
        let engine = Some(attempts[gave].stage.engine());
        let language = if gave == 0 { Language::French } else { Language::Unknown };
        let attempts = attempts.iter().map(|attempt| (*attempt).clone()).collect();
        PageRecord {
            engine,
            language,
            attempts,
            parts,
            ..bare(page_ref(0, 0), lease, Verdict::Failed(FailureClass::Loop))
        }
    };
    let travelled = Attempt { answer: String::new(), ..first.clone() };
    let records = [record(1, &[&first], 0), record(2, &[&travelled, &second], 1)];
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 0, 1, &plan(), &records[..1]);
    write(directory.path(), 1, 1, &plan(), &records[1..]);
    let read = || {
        catalogue::write(directory.path(), &plan()).unwrap();
        let problems = store::verify(directory.path(), &plan(), RUN).unwrap().problems;
        assert!(problems.iter().all(|problem| matches!(problem, Problem::Unsettled { .. })), "{problems:?}");
        let mut reader = Reader::open(directory.path()).unwrap();
        let record = reader.read(page_ref(0, 0)).unwrap().unwrap();
        let listed = reader.pages().next().unwrap();
        assert_eq!((listed.language, listed.lease), (record.language, record.lease), "the row is that of the record");
        record
    };
    let found = read();
    assert_eq!(found, PageRecord { parts: records[0].parts.clone(), language: Language::French, ..records[1].clone() });
    assert!(found.keeps(0) && !found.keeps(1));

    // A rank that was lost had more; the final record does not know of it.
    write(directory.path(), 2, 1, &plan(), &[record(0, &[&lost], 0)]);
    let found = read();
    assert_eq!((found.engine, found.lease), (Some(engines::DEEPSEEK), LeaseId(2)));
    assert_eq!(found.parts[0].markdown, lost.answer);
    assert_eq!(found.attempts[usize::from(found.parts[0].attempt)], lost);
    assert_eq!(found.attempts.len(), 3);

    // A page that was read has its own text, however short.
    let block = Block { label: "Text".into(), bbox: None, html: "Avis".into() };
    let accepted = attempt(engines::CHANDRA, AttemptOutcome::Accepted, "Avis");
    let parts = vec![part(vec![block])];
    let good = PageRecord { attempts: vec![accepted], parts, ..bare(page_ref(0, 0), 1, Verdict::Read) };
    write(directory.path(), 3, 1, &plan(), std::slice::from_ref(&good));
    assert_eq!(read(), good);
}

#[test]
fn the_reader_gives_the_same_with_an_old_catalogue_or_none() {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    let all = |directory: &Path| {
        let mut reader = Reader::open(directory).unwrap();
        let documents: Vec<_> = reader.documents().iter().map(|document| document.id).collect();
        documents.into_iter().flat_map(|id| reader.read_document(id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(all(directory.path()), varied());
    assert_eq!(Reader::open(directory.path()).unwrap().documents(), plan());
    let again = PageRecord { lease: LeaseId(99), ..varied().remove(0) };
    write(directory.path(), 5, 1, &plan(), std::slice::from_ref(&again));
    assert_eq!(all(directory.path())[0], again);
    fs::remove_file(Layout::new(directory.path()).catalogue()).unwrap();
    assert_eq!(all(directory.path())[0], again);
    assert_eq!(all(directory.path())[1..], varied()[1..]);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(empty.path()), Err(StoreError::NothingToRead { .. })));
}

#[test]
fn a_finished_run_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    let report = store::verify(directory.path(), &plan(), RUN).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
    assert_eq!((report.declared, report.read, report.blank, report.stand_in), (6, 3, 1, 1));
    assert_eq!(report.failed.values().sum::<u64>(), 2);
    assert_eq!((report.documents, report.refused, report.shards), (3, 1, 3));
    let text = report.to_string();
    assert!(text.contains("2 failed (too-large: 1, truncated: 1)") && text.contains("stand-in"), "{text}");
}

#[test]
fn a_shard_of_another_run_is_noticed() {
    let problems = problems_after(|layout| {
        let other = tempfile::tempdir().unwrap();
        let mut others = plan();
        others[0].name = "another/BO_1.pdf".into();
        let record = bare(page_ref(0, 0), 99, Verdict::Blank);
        write(other.path(), 7, 1 << 20, &others, &[record]);
        let file = Layout::new(other.path()).shards().unwrap()[0];
        fs::copy(Layout::new(other.path()).shard(file), layout.shard(file)).unwrap();
    });
    assert!(problems.iter().any(|problem| problem.contains("belongs to another run")), "{problems:?}");
}

/// Verifies a finished run after `change` and returns what is found wrong.
fn problems_after(change: impl FnOnce(&Layout)) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    change(&Layout::new(directory.path()));
    let report = store::verify(directory.path(), &plan(), RUN).unwrap();
    assert!(!report.is_good());
    report.problems.iter().map(Problem::to_string).collect()
}

#[test]
fn a_missing_shard_is_named_by_verification_and_by_the_reader() {
    let problems = problems_after(|layout| {
        let shard = layout.shard(layout.shards().unwrap()[1]);
        fs::remove_file(&shard).unwrap();
        let error = Reader::open(layout.store().parent().unwrap()).unwrap_err().to_string();
        assert!(error.contains(shard.to_str().unwrap()), "{error}");
    });
    assert!(problems.iter().any(|problem| problem.contains("shard-00000-0001.h5 is missing")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("1998/BO_1.pdf: 1 of 3 pages")), "{problems:?}");
}

#[test]
fn verification_sees_what_is_not_finished() {
    let problems = problems_after(|layout| fs::remove_file(layout.catalogue()).unwrap());
    assert!(problems[0].contains("catalogue.h5 is missing"), "{problems:?}");
    let problems = problems_after(|layout| {
        leave_journal(layout.store().parent().unwrap(), &varied()[..1]);
    });
    assert!(problems[0].contains("rank-00003.0002.journal is not sealed"), "{problems:?}");
    let problems = problems_after(|layout| {
        write(
            layout.store().parent().unwrap(),
            7,
            1,
            &plan(),
            &[PageRecord { lease: LeaseId(50), ..varied().remove(0) }],
        );
    });
    assert!(
        problems.iter().any(|problem| problem.contains("shard-00007-0000.h5 is not in the catalogue")),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("rows of 1 pages differ from the shards, the first is document 0 page 1")),
        "{problems:?}"
    );
}

#[test]
fn verification_sees_damage_in_a_shard() {
    // A change inside a compressed chunk of text fails the inflation or the checksum.
    let problems = problems_after(|layout| {
        let path = layout.shard(layout.shards().unwrap()[0]);
        let shard = hdf5::File::open(&path).unwrap();
        let chunk = shard.dataset("text").unwrap().chunk_info(0).unwrap();
        shard.close().unwrap();
        let (offset, size) = (chunk.addr, chunk.size);
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset + size / 2).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], offset + size / 2).unwrap();
    });
    assert!(problems.iter().any(|problem| problem.contains("shard-00000-0000.h5")), "{problems:?}");
}

#[test]
fn verification_sees_a_plan_that_is_not_the_files() {
    let directory = tempfile::tempdir().unwrap();
    finished_run(directory.path());
    let mut plan = plan();
    plan[0] = document(0, "1998/BO_1.pdf", 4);
    plan[1] = document(1, "1999/BO_1.pdf", 2);
    let report = store::verify(directory.path(), &plan, RUN).unwrap();
    let problems: Vec<_> = report.problems.iter().map(Problem::to_string).collect();
    assert!(
        problems.iter().any(|problem| problem.contains("1 of 4 pages are not settled, the first is page 4")),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem
                .contains("1 pages have a record but are not in the plan, the first is document 1 page 3")),
        "{problems:?}"
    );
}

/// A page with these labels, one block each.
fn labelled(page: PageRef, labels: impl IntoIterator<Item = String>) -> PageRecord {
    let block = |label| Block { label, bbox: None, html: "<p>x</p>".into() };
    let attempts = vec![attempt(engines::DEEPSEEK, AttemptOutcome::Accepted, "x")];
    let parts = vec![Part { blocks: labels.into_iter().map(block).collect(), ..part(Vec::new()) }];
    PageRecord { attempts, parts, ..bare(page, 1, Verdict::Read) }
}

/// Journals of earlier versions may hold what is now cleaned before it gets there.
#[test]
fn whatever_a_journal_holds_is_sealed_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let zero = labelled(page_ref(0, 0), ["sce\0au".into(), String::new(), "é".repeat(9_000)]);
    let many = labelled(page_ref(0, 1), (0..70_000).map(|label| format!("label {label}")));
    let mut parts = labelled(page_ref(0, 2), ["Text".into()]);
    parts.parts = vec![parts.parts.remove(0); 300];
    let mut attempts = labelled(page_ref(1, 0), ["Text".into()]);
    attempts.attempts = vec![attempts.attempts.remove(0); 65_600];
    let mut server = labelled(page_ref(1, 1), ["Text".into()]);
    server.attempts[0].served_by.version = "0.11\0.2".into();
    leave_journal(directory.path(), &[zero, many, parts, attempts, server]);

    recover(directory.path()).unwrap();
    let records = records_of(directory.path());
    let labels = |record: &PageRecord| -> Vec<String> {
        record.parts.iter().flat_map(|part| &part.blocks).map(|block| block.label.clone()).collect()
    };
    assert_eq!(labels(&records[0]), ["sce\u{2400}au", "", &"é".repeat(9_000)]);
    let labels = labels(&records[1]);
    assert_eq!(
        (labels.len(), &*labels[0], &*labels[60_000], &*labels[69_999]),
        (70_000, "label 0", "label 60000", "Other")
    );
    for (record, reason) in [(&records[2], "300 parts"), (&records[3], "65600 times")] {
        assert_eq!(record.verdict, Verdict::Failed(FailureClass::Unparsable));
        assert!(record.reason.contains(reason), "{}", record.reason);
    }
    assert_eq!(records[4].attempts[0].served_by.version, "0.11\u{2400}.2");
}

/// Changes HDF5 files with h5py, each with its code: `table("pages", field=(row, value))` and `f`.
fn damage(files: &[(&Path, &str)]) {
    let program = "\
import h5py, json, sys
def table(name, **fields):
    rows = f[name][:]
    for field, (row, value) in fields.items():
        rows[field][row] = value
    f[name][:] = rows
def resize(name, by):
    f[name].resize((f[name].shape[0] + by,))
def attribute(name, value):
    f.attrs.modify(name, value)
for path, code in json.loads(sys.argv[1]):
    f = h5py.File(path, 'r+')
    exec(code)
    f.close()
";
    let output = Command::new(python()).args(["-c", program, &serde_json::to_string(files).unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn copy_run(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let (old, new) = (Layout::new(from), Layout::new(to.path()));
    fs::create_dir(new.store()).unwrap();
    for file in old.shards().unwrap() {
        fs::copy(old.shard(file), new.shard(file)).unwrap();
    }
    fs::copy(old.catalogue(), new.catalogue()).unwrap();
    to
}

#[test]
fn verification_sees_every_row_that_leads_astray() {
    let whole = tempfile::tempdir().unwrap();
    finished_run(whole.path());
    // Two shards of one record each: a page read whole, a page in two columns. One of blank, failed, failed, read.
    let cases = [
        (2, "table('pages', first_part=(3, 0))", "row 3 of /pages: first_part does not continue the row before"),
        (2, "table('pages', first_block=(1, 7))", "row 1 of /pages: first_block does not continue the row before"),
        (2, "table('pages', first_attempt=(3, 9))", "row 3 of /pages: first_attempt does not continue the row before"),
        (2, "table('pages', text_offset=(3, 1))", "row 3 of /pages: text_offset does not continue the row before"),
        (2, "table('pages', html_length=(1, 2))", "row 1 of /pages: markdown_offset does not continue the row before"),
        (
            2,
            "table('pages', markdown_offset=(3, 2**63))",
            "row 3 of /pages: markdown_offset does not continue the row before",
        ),
        (2, "table('pages', reason_length=(1, 1))", "row 0 of /blocks: html_offset does not continue the row before"),
        (2, "table('pages', text_length=(3, 2**32 - 1))", "/text has"),
        (2, "table('pages', parts=(3, 9))", "/parts has 2 items, the rows of /pages have 10"),
        (2, "table('pages', blocks=(1, 0))", "row 0 of /attempts: request_id_offset does not continue the row before"),
        (2, "table('pages', attempts=(1, 1))", "row 1 of /pages: text_length does not continue the row before"),
        (2, "table('pages', verdict=(0, 9))", "row 0 of /pages: verdict has an unknown code"),
        (2, "table('pages', engine=(3, 77))", "row 3 of /pages: engine has an unknown code"),
        (2, "table('pages', language=(0, 9))", "row 0 of /pages: language has an unknown code"),
        (2, "table('pages', ahead=(1, 4))", "row 1 of /pages: ahead has an unknown code"),
        (
            2,
            "table('pages', kept_characters=(3, 5))",
            "row 3 of /pages: kept_characters does not continue the row before",
        ),
        (2, "table('pages', sha64=(3, 5))", "the text of 1 records has changed"),
        (2, "table('pages', document=(0, 1))", "document 0 is in /documents twice, or has no page in this shard"),
        (2, "table('pages', page=(0, 3))", "document 0 page 4 is not in /documents"),
        (1, "table('parts', part=(1, 0))", "row 1 of /parts belongs to another page or part"),
        (1, "table('parts', page_row=(0, 1))", "row 0 of /parts belongs to another page or part"),
        (1, "table('parts', attempt=(1, 3))", "row 1 of /parts: attempt does not continue the row before"),
        (1, "table('parts', html_offset=(1, 1))", "row 1 of /parts: html_offset does not continue the row before"),
        (
            1,
            "table('parts', markdown_length=(1, 1))",
            "row 1 of /parts: markdown_offset does not continue the row before",
        ),
        (1, "table('blocks', label=(0, 99))", "row 0 of /blocks: label has an unknown code"),
        (
            1,
            "table('blocks', html_offset=(2, 2**40))",
            "row 2 of /blocks: html_offset does not continue the row before",
        ),
        // Between the bytes of an Arabic letter.
        (1, "table('blocks', html_length=(0, 4))", "row 0 of /blocks: html_offset does not continue the row before"),
        (1, "table('attempts', served_by=(0, 5))", "row 0 of /attempts: served_by has an unknown code"),
        (1, "table('attempts', outcome=(0, 5))", "row 0 of /attempts: outcome has an unknown code"),
        (1, "table('attempts', visit=(0, 4))", "row 0 of /attempts: visit has an unknown code"),
        (1, "table('attempts', view=(0, 0))", "row 0 of /attempts: view has an unknown code"),
        (2, "table('pages', skew=(0, 1001))", "row 0 of /pages: skew has an unknown code"),
        (2, "table('pages', columns_confidence=(0, 101))", "row 0 of /pages: columns_confidence has an unknown code"),
        (2, "table('pages', straightened=(0, 2))", "row 0 of /pages: straightened has an unknown code"),
        (2, "table('pages', cleaned=(0, 2))", "row 0 of /pages: cleaned has an unknown code"),
        (2, "table('pages', divided=(0, 7))", "row 0 of /pages: divided has an unknown code"),
        (2, "table('pages', divide_top=(0, 926))", "row 0 of /pages: divide_top has an unknown code"),
        (2, "table('pages', divide_bottom=(0, 1001))", "row 0 of /pages: divide_bottom has an unknown code"),
        (2, "table('pages', divide_x_top=(0, 60000))", "row 0 of /pages: divide_x_top has an unknown code"),
        (2, "table('pages', divide_x_bottom=(0, 1001))", "row 0 of /pages: divide_x_bottom has an unknown code"),
        (1, "table('parts', right=(0, 499))", "row 0 of /parts: box has an unknown code"),
        (1, "table('parts', bottom=(1, 1001))", "row 1 of /parts: box has an unknown code"),
        (1, "table('blocks', left=(1, 5000))", "row 1 of /blocks: box has an unknown code"),
        (1, "table('attempts', right=(0, 5000))", "row 0 of /attempts: box has an unknown code"),
        (1, "table('attempts', skew=(0, -1001))", "row 0 of /attempts: skew has an unknown code"),
        (1, "table('attempts', finish=(0, 50))", "row 0 of /attempts: finish has an unknown code"),
        (
            1,
            "table('attempts', answer_offset=(1, 0))",
            "row 1 of /attempts: answer_offset does not continue the row before",
        ),
        (1, "table('attempts', page_row=(1, 1))", "row 1 of /attempts belongs to another page or part"),
        (1, "resize('blocks', 1)", "/blocks has 5 items, the rows of /pages have 4"),
        (1, "resize('text', 1)", "/text has"),
        (1, "resize('pages', 1)", "it has 2 pages, but was sealed with 1"),
        (1, "attribute('sequence', 7)", "its attribute sequence does not agree with its file name"),
        (1, "attribute('run_id', 'run-0')", "belongs to run run-0, not to run run-1"),
        (1, "table('documents', id=(0, 1))", "document 0 page 2 is not in /documents"),
        (1, "f['text'][100] = f['text'][100] ^ 1", "has changed"),
        (1, "del f['engines']", "cannot read a table of"),
    ];
    let mut missed = Vec::new();
    let shards = Layout::new(whole.path()).shards().unwrap();
    let copies: Vec<_> = cases.iter().map(|_| copy_run(whole.path())).collect();
    let paths: Vec<_> =
        copies.iter().zip(&cases).map(|(copy, case)| Layout::new(copy.path()).shard(shards[case.0])).collect();
    damage(&paths.iter().zip(&cases).map(|(path, case)| (path.as_path(), case.1)).collect::<Vec<_>>());
    for ((copy, path), (_, code, expected)) in copies.iter().zip(&paths).zip(cases) {
        let problems = store::verify(copy.path(), &plan(), RUN).unwrap().problems;
        let told: Vec<_> = problems.iter().map(Problem::to_string).collect();
        let name = path.to_str().unwrap();
        if !told.iter().any(|problem| problem.contains(expected) && problem.contains(name)) {
            missed.push(format!("{code}: {told:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn verification_sees_a_catalogue_that_is_not_true() {
    let whole = tempfile::tempdir().unwrap();
    finished_run(whole.path());
    let link = "f['links']['shard-00000-0001'] = h5py.ExternalLink";
    let cases = [
        ("attribute('declared', 5)", "lists 5 pages declared, but the files hold 6"),
        ("attribute('pages', 7)", "lists 7 pages settled, but the files hold 6"),
        ("attribute('superseded', 1)", "lists 1 superseded records, but the files hold 0"),
        ("attribute('complete', 0)", "lists 0 for `complete`, but the files hold 1"),
        ("attribute('run_id', 'run-0')", "belongs to run run-0, not to run run-1"),
        ("table('shards', pages=(1, 3))", "lists 3 records in shard-00000-0001.h5, but the files hold 1"),
        ("table('shards', final_pages=(1, 0))", "lists 0 final records in shard-00000-0001.h5, but the files hold 1"),
        ("table('index', row=(3, 0))", "rows of 1 pages differ from the shards, the first is document 1 page 1"),
        ("table('index', text_row=(3, 0))", "rows of 1 pages differ from the shards, the first is document 1 page 1"),
        ("table('index', verdict=(0, 2))", "rows of 1 pages differ from the shards, the first is document 0 page 1"),
        ("table('index', shard=(0, 9))", "is not valid"),
        ("rows = f['index'][:]; rows[1] = rows[0]; f['index'][:] = rows", "rows of 2 pages differ"),
        ("rows = f['index'][:]; f['index'][:] = rows[::-1]", "rows of 5 pages differ"),
        ("table('documents', pages=(0, 2))", "documents differ from the plan"),
        ("del f['links']['shard-00000-0001']", "does not lead to"),
        (&format!("del f['links']['shard-00000-0001']; {link}('store/none.h5', '/')"), "does not lead to"),
        (&format!("del f['links']['shard-00000-0001']; {link}('store/shard-00000-0000.h5', '/')"), "does not lead to"),
    ];
    let copies: Vec<_> = cases.iter().map(|_| copy_run(whole.path())).collect();
    let paths: Vec<_> = copies.iter().map(|copy| Layout::new(copy.path()).catalogue()).collect();
    damage(&paths.iter().zip(&cases).map(|(path, case)| (path.as_path(), case.0)).collect::<Vec<_>>());
    for (copy, (code, expected)) in copies.iter().zip(cases) {
        let problems = store::verify(copy.path(), &plan(), RUN).unwrap().problems;
        let told: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert!(told.iter().any(|problem| problem.contains(expected)), "{code}: {told:#?}");
        store::repair(copy.path(), &plan(), RUN).unwrap();
        assert!(store::verify(copy.path(), &plan(), RUN).unwrap().is_good(), "{code}");
    }
}

#[test]
fn verification_sees_files_that_should_not_be_there() {
    let problems = problems_after(|layout| {
        let run = layout.store().parent().unwrap().to_owned();
        fs::write(layout.store().join("shard-00009-0000.h5.12-0badcafe.tmp"), "").unwrap();
        fs::write(run.join("catalogue.h5.12-0badcafe.tmp"), "").unwrap();
        fs::write(layout.store().join("notes.txt"), "").unwrap();
        let other = JournalHeader { provenance: Provenance { run_id: "run-0".into(), ..provenance() }, ..opening() };
        JournalWriter::create(&layout.journal(FILE), &other).unwrap();
    });
    let expected = [
        ("shard-00009-0000.h5.12-0badcafe.tmp", "interrupted"),
        ("catalogue.h5.12-0badcafe.tmp", "interrupted"),
        ("notes.txt", "not a file of the store"),
        ("rank-00003.0002.journal", "belongs to run run-0"),
        ("rank-00003.0002.journal", "is not sealed"),
    ];
    for (name, what) in expected {
        assert!(problems.iter().any(|told| told.contains(name) && told.contains(what)), "{name}: {problems:#?}");
    }
}

#[test]
fn the_command_line_repairs_and_then_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let run_directory = directory.path().to_str().unwrap();
    let created = jiff::Timestamp::UNIX_EPOCH;
    let plan = Plan {
        run_id: RUN.into(),
        created,
        inputs: Inputs::default(),
        modified: vec![None; plan().len()],
        documents: plan(),
    };
    corpus::write(directory.path(), &plan).unwrap();
    write(directory.path(), 0, 1 << 20, &plan.documents, &varied()[..2]);
    let (layout, _) = leave_journal(directory.path(), &varied()[2..]);
    fs::write(layout.store().join("shard-00003-0002.h5.12-0badcafe.tmp"), "").unwrap();
    let verify = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bocr"));
        command.args(["verify", run_directory]).args(more).output().unwrap()
    };
    let before = verify(&[]);
    assert_eq!(before.status.code(), Some(1), "{before:?}");
    assert!(String::from_utf8_lossy(&before.stderr).contains("verify --repair"), "{before:?}");
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let unsealed = format!("\n{} of these pages are in journals that are not sealed yet", varied().len() - 2);
    assert!(
        said(&before).contains(&unsealed) && !String::from_utf8_lossy(&before.stderr).contains("not settled"),
        "{before:?}"
    );
    let held = fs::OpenOptions::new().append(true).open(layout.journal(FILE)).unwrap();
    held.try_lock().unwrap();
    let refused = verify(&["--repair"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another process still writes"), "{refused:?}");
    drop(held);
    fs::write(layout.store().join("shard-00003-0002.h5.13-0badcafe.tmp"), "").unwrap();
    let repaired = verify(&["--repair"]);
    assert!(repaired.status.success(), "{repaired:?}");
    let told = String::from_utf8_lossy(&repaired.stdout).into_owned();
    assert!(told.starts_with("deleted 1 interrupted files, sealed 1 journals"), "{told}");
    let after = verify(&[]);
    assert!(after.status.success());
    let counts = |output: &Output| said(output).lines().nth(1).unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(counts(&before), counts(&after), "sealed or not, a page counts");
    assert_eq!(records_of(directory.path()), varied());
}
