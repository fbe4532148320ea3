//! Journals, sealing, shards, catalogue and verification, on real files.
#![allow(missing_docs, clippy::unwrap_used)]

mod store_support;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{self, Receiver},
};

use bulletin_ocr::{
    model::{Engine, FailureClass, LeaseId, PageRecord, RankId, Verdict},
    store::{
        self, FRAME_HEADER, JOURNAL_HEADER, JournalReader, JournalWriter, Layout, Opening, Problem, Reader,
        ShardReader, StoreError, StoreEvent, StoreFile, Writer, catalogue,
    },
};
use store_support::*;

const FILE: StoreFile = StoreFile { rank: RankId(3), sequence: 2 };

fn opening() -> Opening {
    Opening {
        rank: FILE.rank,
        sequence: FILE.sequence,
        created_unix_ns: 1_790_000_000_000_000_000,
        provenance: provenance(),
    }
}

/// A journal of `records` that nobody sealed; returns the layout and the file size after each record.
fn leave_journal(run_directory: &Path, records: &[PageRecord]) -> (Layout, Vec<u64>) {
    let layout = Layout::new(run_directory);
    fs::create_dir_all(layout.store()).unwrap();
    let mut journal = JournalWriter::create(&layout.journal(FILE), &opening()).unwrap();
    let plan = plan();
    let mut sizes = vec![journal.len()];
    for record in records {
        journal.append(record, &plan[record.page.document.index()]).unwrap();
        journal.sync().unwrap();
        sizes.push(journal.len());
    }
    (layout, sizes)
}

fn read_journal(path: &Path) -> (Vec<PageRecord>, u64) {
    let mut reader = JournalReader::open(path).unwrap().unwrap();
    let records = std::iter::from_fn(|| reader.next_record().unwrap()).collect();
    (records, reader.torn_bytes())
}

fn records_of(run_directory: &Path) -> Vec<PageRecord> {
    let layout = Layout::new(run_directory);
    let read = |file| {
        let shard = ShardReader::open(&layout.shard(file)).unwrap();
        (0..shard.pages()).map(move |row| shard.read(row).unwrap()).collect::<Vec<_>>()
    };
    layout.shards().unwrap().into_iter().flat_map(read).collect()
}

#[test]
fn the_bytes_of_a_journal_do_not_change_by_accident() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, _) = leave_journal(directory.path(), &varied()[1..5]);
    assert_golden("journal-v1.bin", &fs::read(layout.journal(FILE)).unwrap());
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

#[test]
fn garbage_after_the_last_record_is_cut_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    let (layout, _) = leave_journal(directory.path(), &records);
    let path = layout.journal(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 4096]);
    fs::write(&path, &bytes).unwrap();
    let recovered = store::recover(directory.path()).unwrap();
    assert_eq!(recovered.sealed[0].torn_bytes, 4096);
    assert_eq!(records_of(directory.path()), records);
}

#[test]
fn a_flipped_bit_is_never_taken_for_a_record() {
    let directory = tempfile::tempdir().unwrap();
    let records = &varied()[2..5];
    let (layout, sizes) = leave_journal(directory.path(), records);
    let path = layout.journal(FILE);
    let whole = fs::read(&path).unwrap();
    for at in sizes[0] as usize..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let (found, torn) = read_journal(&path);
        let before = sizes.iter().filter(|size| **size <= at as u64).count() - 1;
        assert_eq!(found, records[..before], "byte {at}");
        assert!(torn > 0, "byte {at}");
    }
}

#[test]
fn a_damaged_opening_stops_the_run_instead_of_dropping_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, _) = leave_journal(directory.path(), &varied());
    let path = layout.journal(FILE);
    let whole = fs::read(&path).unwrap();
    for at in [0, 9, JOURNAL_HEADER + FRAME_HEADER + 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let error = store::recover(directory.path()).unwrap_err().to_string();
        assert!(error.contains("rank-00003.0002.journal"), "{error}");
        assert!(path.exists());
    }
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
    assert_eq!(shard.check_texts().unwrap(), []);
    assert!(!fs::read(layout.shard(layout.shards().unwrap()[0])).unwrap().is_empty());
}

#[test]
fn sealing_goes_on_from_wherever_it_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    let (layout, _) = leave_journal(directory.path(), &records);
    let journal = fs::read(layout.journal(FILE)).unwrap();
    store::seal(&layout, FILE).unwrap();
    let shard = fs::read(layout.shard(FILE)).unwrap();

    /// Contents of temporary file and shard, and whether the journal is there, as a kill may leave them.
    type State<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, bool);
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
        put(layout.unfinished_shard(FILE), temporary);
        put(layout.shard(FILE), sealed);
        put(layout.journal(FILE), has_journal.then_some(&journal));
        for again in 0..2 {
            let recovered = store::recover(directory.path()).unwrap();
            assert_eq!(recovered.records.len(), records.len(), "state {number}, time {again}");
            assert_eq!(recovered.highest_lease(), Some(LeaseId(6)));
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
    store::seal(&layout, FILE).unwrap();
    let other = Opening { created_unix_ns: 5, ..opening() };
    JournalWriter::create(&layout.journal(FILE), &other).unwrap();
    let error = store::recover(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::ForeignShard { .. }), "{error}");
    assert!(layout.shard(FILE).exists() && layout.journal(FILE).exists());
}

#[test]
fn a_journal_without_records_leaves_no_shard() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, sizes) = leave_journal(directory.path(), &[]);
    store::recover(directory.path()).unwrap();
    assert_eq!(fs::read_dir(layout.store()).unwrap().count(), 0);
    leave_journal(directory.path(), &[]);
    let journal = fs::OpenOptions::new().write(true).open(layout.journal(FILE)).unwrap();
    journal.set_len(sizes[0] - 1).unwrap();
    let recovered = store::recover(directory.path()).unwrap();
    assert_eq!((recovered.records.len(), recovered.sealed[0].torn_bytes), (0, sizes[0] - 1));
    assert_eq!(fs::read_dir(layout.store()).unwrap().count(), 0);
}

/// Appends while `keep` says so; all events until the writer ends.
fn run_writer(run_directory: &Path, shard: u64, records: &[PageRecord]) -> (Vec<StoreEvent>, Receiver<StoreEvent>) {
    let (sender, events) = mpsc::channel();
    let tell = move |event| sender.send(event).unwrap();
    let writer = Writer::start(run_directory, RankId(3), &settings(shard), provenance(), plan().into(), tell).unwrap();
    for record in records {
        writer.append(record.clone()).unwrap();
    }
    writer.finish().unwrap();
    (events.try_iter().collect(), events)
}

#[test]
fn every_record_is_reported_durable_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let records = varied();
    let (events, _) = run_writer(directory.path(), 1, &records);
    let (mut durable, mut sealed) = (Vec::new(), 0);
    for event in events {
        match event {
            StoreEvent::Durable(records) => durable.extend(records),
            StoreEvent::Sealed(shard) => sealed += shard.pages,
            StoreEvent::Failed(error) => panic!("{error}"),
        }
    }
    let expected: Vec<_> = records.iter().map(|record| (record.page, record.lease, record.verdict)).collect();
    let found: Vec<_> = durable.iter().map(|told| (told.page, told.lease, told.verdict)).collect();
    assert_eq!((found, sealed), (expected, records.len() as u64));
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
        let error = writer.append(bare(page, 1, Verdict::Blank)).unwrap_err();
        assert!(matches!(error, StoreError::UnknownDocument { .. }), "{error}");
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
    writer.append(varied().remove(0)).unwrap();
    match events.recv().unwrap() {
        StoreEvent::Failed(error) => assert!(error.to_string().contains(store.to_str().unwrap()), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(writer.finish(), Err(StoreError::Stopped { .. })));
}

#[test]
fn the_final_record_is_a_read_one_else_that_of_the_latest_lease() {
    let directory = tempfile::tempdir().unwrap();
    let failed = |lease, class| PageRecord {
        engine: Some(Engine::DeepSeek),
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
    let recovered = store::recover(directory.path()).unwrap();
    let finals = recovered.finals();
    assert_eq!(recovered.records.len(), 5);
    assert_eq!(finals[&page_ref(0, 1)].engine, Some(Engine::DeepSeek));
    assert_eq!(finals[&page_ref(0, 1)].verdict, Verdict::Failed(FailureClass::Empty));
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
    let report = store::verify(directory.path(), &plan()).unwrap();
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
    let report = store::verify(directory.path(), &plan()).unwrap();
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
    let report = store::verify(directory.path(), &plan).unwrap();
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
