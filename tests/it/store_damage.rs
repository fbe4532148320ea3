//! Journals with places that cannot be read: what lies behind them is saved, and nothing that can be read is deleted.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{fs, os::unix::fs::FileExt, path::Path, sync::mpsc};

use crate::store_support::*;
use bulletin_ocr::{
    corpus::{self, Inputs, Plan},
    model::{DocumentId, PageRecord, RankId},
    store::{
        self, Damage, FRAME_HEADER, FrameKind, JOURNAL_HEADER, JournalReader, Layout, Problem, StoreError, StoreEvent,
        StoreFile, Writer, catalogue,
    },
};

const RUN: &str = "run-1";

/// The records with `lost` left out.
fn without(records: &[PageRecord], lost: usize) -> Vec<PageRecord> {
    records.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, record)| record.clone()).collect()
}

fn problems(run_directory: &Path) -> Vec<String> {
    store::verify(run_directory, &plan(), RUN).unwrap().problems.iter().map(Problem::to_string).collect()
}

fn write_plan(run_directory: &Path) {
    let created = jiff::Timestamp::UNIX_EPOCH;
    let modified = vec![None; plan().len()];
    let plan = Plan { run_id: RUN.into(), created, inputs: Inputs::default(), modified, documents: plan() };
    corpus::write(run_directory, &plan).unwrap();
}

/// Puts `bytes` over a journal of [`varied`] at `at`; its layout, and its size after each record.
fn damaged_journal(run_directory: &Path, at: u64, bytes: &[u8]) -> (Layout, Vec<u64>) {
    let (layout, sizes) = leave_journal(run_directory, &varied());
    fs::OpenOptions::new().write(true).open(layout.journal(FILE)).unwrap().write_all_at(bytes, at).unwrap();
    (layout, sizes)
}

/// The size of a journal of [`varied`] after each of its records.
fn sizes() -> Vec<u64> {
    leave_journal(tempfile::tempdir().unwrap().path(), &varied()).1
}

#[test]
fn a_flipped_bit_costs_the_frame_that_it_is_in() {
    let directory = tempfile::tempdir().unwrap();
    let records = &varied()[2..5];
    let (layout, sizes) = leave_journal(directory.path(), records);
    let path = layout.journal(FILE);
    let whole = fs::read(&path).unwrap();
    for at in sizes[0] as usize..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let mut reader = JournalReader::open(&path).unwrap().unwrap();
        let found: Vec<_> = std::iter::from_fn(|| reader.next_record().unwrap()).collect();
        let hit = sizes.iter().filter(|size| **size <= at as u64).count() - 1;
        let in_the_last = hit == records.len() - 1;
        // A document is announced in a frame before its first record; that one costs no record.
        let start = sizes[hit] as usize;
        let first_frame = FRAME_HEADER + u32::from_le_bytes(*whole[start..].first_chunk().unwrap()) as usize;
        let in_a_document = whole[start + FRAME_HEADER - 1] == FrameKind::Document as u8 && at < start + first_frame;
        assert_eq!(found, if in_a_document { records.to_vec() } else { without(records, hit) }, "byte {at}");
        let Damage { places, bytes } = reader.damage();
        assert_eq!((places, reader.torn_bytes() > 0), (u64::from(!in_the_last), in_the_last), "byte {at}");
        assert!(bytes <= sizes[hit + 1] - sizes[hit], "byte {at}");
    }
}

#[test]
fn what_lies_behind_damage_is_sealed_and_the_journal_is_kept() {
    let sizes = sizes();
    let size = |record: usize| sizes[record + 1] - sizes[record];
    // A bad byte in a record; a lost sector across two; a length that is none; zeros instead of the record.
    let cases: [(u64, Vec<u8>); 4] = [
        (sizes[1] + size(1) / 2, vec![0x15]),
        (sizes[1] + 100, vec![0; 512]),
        (sizes[1], vec![0xff; 4]),
        (sizes[1], vec![0; size(1) as usize]),
    ];
    for (at, bytes) in cases {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path();
        let (layout, _) = damaged_journal(run, at, &bytes);
        let damaged = fs::read(layout.journal(FILE)).unwrap();
        let told = problems(run);
        let place = "rank-00003.0002.journal cannot be read in 1 places";
        assert!(told.iter().any(|told| told.contains(place) && told.contains("--repair")), "{told:#?}");

        let recovered = recover(run).unwrap();
        let sealed = &recovered.sealed[0];
        let kept = sealed.kept.as_ref().unwrap();
        assert_eq!(kept.path, layout.store().join("rank-00003.0002.journal.damaged"));
        assert_eq!((kept.damage.places, kept.orphaned, sealed.torn_bytes), (1, 0, 0), "{at}");
        assert_eq!((sealed.pages, recovered.records.len()), (5, 5), "{at}");
        assert_eq!(records_of(run), without(&varied(), 1), "{at}");
        assert_eq!(fs::read(&kept.path).unwrap(), damaged, "{at}");
        assert!(!layout.journal(FILE).exists());

        // Recovery passes it over, and its number is not used again.
        let again = recover(run).unwrap();
        assert_eq!((again.records.len(), again.sealed.len()), (5, 0));
        fs::rename(layout.shard(FILE), run.join("aside")).unwrap();
        assert_eq!(layout.next_sequence(FILE.rank).unwrap(), FILE.sequence + 1);
        fs::rename(run.join("aside"), layout.shard(FILE)).unwrap();

        // The lost page is read anew; then only the kept file is told, until it is deleted.
        let told = problems(run);
        assert!(told.iter().any(|told| told.contains("1 of 3 pages are not settled")), "{told:#?}");
        write(run, 0, 1 << 20, &plan(), &varied()[1..2]);
        catalogue::write(run, &plan()).unwrap();
        let told = problems(run);
        assert!(
            told.len() == 1 && told[0].contains("then delete the file") && told[0].contains(".damaged"),
            "{told:#?}"
        );
        fs::remove_file(&kept.path).unwrap();
        assert!(problems(run).is_empty());
    }
}

#[test]
fn several_damaged_places_and_a_torn_tail_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, sizes) = damaged_journal(directory.path(), sizes()[2] - 5, b"bad");
    let path = layout.journal(FILE);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"bad", sizes[5] - 5).unwrap();
    file.set_len(sizes[6] - 7).unwrap();
    let recovered = recover(directory.path()).unwrap();
    let sealed = &recovered.sealed[0];
    assert_eq!(sealed.kept.as_ref().unwrap().damage.places, 1, "the second place has no whole frame behind it");
    assert_eq!(sealed.torn_bytes, sizes[6] - 7 - sizes[4]);
    let records = varied();
    assert_eq!(records_of(directory.path()), [&records[..1], &records[2..4]].concat());
}

#[test]
fn a_journal_whose_header_is_lost_is_read_from_its_opening_on() {
    for (at, bytes) in [(0, &[0; JOURNAL_HEADER][..]), (0, b"bocrjrnl\0\0\0\x01"), (3, &[0xff])] {
        let directory = tempfile::tempdir().unwrap();
        let (layout, _) = damaged_journal(directory.path(), at, bytes);
        let damaged = fs::read(layout.journal(FILE)).unwrap();
        assert!(problems(directory.path())[0].contains("cannot be read in 1 places, 12 bytes"));
        let recovered = recover(directory.path()).unwrap();
        let kept = recovered.sealed[0].kept.as_ref().unwrap();
        assert_eq!(kept.damage, Damage { places: 1, bytes: JOURNAL_HEADER as u64 });
        assert_eq!(records_of(directory.path()), varied());
        assert_eq!(fs::read(&kept.path).unwrap(), damaged);
    }
}

#[test]
fn a_journal_whose_opening_is_lost_is_kept_and_told() {
    let in_the_opening = (JOURNAL_HEADER + FRAME_HEADER + 3) as u64;
    for (at, bytes) in [(in_the_opening, &b"\x15"[..]), (0, &[0; 60]), (JOURNAL_HEADER as u64, &[0xff; 4])] {
        let directory = tempfile::tempdir().unwrap();
        let (layout, _) = damaged_journal(directory.path(), at, bytes);
        let damaged = fs::read(layout.journal(FILE)).unwrap();
        assert!(problems(directory.path())[0].contains("the beginning of"));
        let recovered = recover(directory.path()).unwrap();
        let kept = recovered.sealed[0].kept.as_ref().unwrap();
        assert_eq!((recovered.records.len(), recovered.sealed[0].pages), (0, 0));
        assert_eq!(kept.damage, Damage { places: 1, bytes: damaged.len() as u64 });
        assert_eq!(fs::read(&kept.path).unwrap(), damaged);
        assert!(problems(directory.path()).iter().any(|told| told.contains("then delete the file")));
    }
}

/// A lost opening does not hide the shard that was made before.
#[test]
fn a_shard_counts_whatever_stands_beside_it_as_its_journal() {
    for contents in [&b""[..], &[0; 5000], b"no journal, but the notes of somebody"] {
        let directory = tempfile::tempdir().unwrap();
        let (layout, _) = leave_journal(directory.path(), &varied());
        store::seal(&layout, FILE, LOCK_WAIT).unwrap().unwrap();
        fs::write(layout.journal(FILE), contents).unwrap();
        let recovered = recover(directory.path()).unwrap();
        assert_eq!((recovered.records.len(), recovered.sealed[0].pages), (6, 6));
        let kept = recovered.sealed[0].kept.as_ref().map(|kept| fs::read(&kept.path).unwrap());
        assert_eq!(kept.as_deref(), contents.starts_with(b"no").then_some(contents));
        assert!(!layout.journal(FILE).exists());
    }
}

#[test]
fn another_version_and_a_file_in_the_way_are_errors_that_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (layout, _) = damaged_journal(directory.path(), 9, &[7]);
    let error = recover(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Version { .. }), "{error}");
    let whole = fs::read(layout.journal(FILE)).unwrap();

    let directory = tempfile::tempdir().unwrap();
    let (layout, _) = damaged_journal(directory.path(), 0, &[7]);
    fs::write(layout.damaged_journal(FILE), "kept before").unwrap();
    let error = recover(directory.path()).unwrap_err().to_string();
    assert!(error.contains("rank-00003.0002.journal.damaged, because that file exists"), "{error}");
    assert_eq!(fs::read(layout.damaged_journal(FILE)).unwrap(), b"kept before");
    assert_eq!(fs::read(layout.journal(FILE)).unwrap().len(), whole.len());
    // The shard was made; once the way is free, nothing is done twice.
    fs::remove_file(layout.damaged_journal(FILE)).unwrap();
    let recovered = recover(directory.path()).unwrap();
    assert_eq!((recovered.records.len(), recovered.superseded), (6, 0));
    assert!(layout.damaged_journal(FILE).exists() && !layout.journal(FILE).exists());
}

/// A journal announces a document once; without that, the plan knows it.
#[test]
fn pages_of_a_document_that_was_lost_are_saved_by_the_plan() {
    let sizes = sizes();
    // The frame of the first document, before the first record.
    let first_document = sizes[0] + FRAME_HEADER as u64 + 1;
    for planned in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (layout, _) = damaged_journal(directory.path(), first_document, &[0xaa; 2]);
        if planned {
            write_plan(directory.path());
        }
        let recovered = recover(directory.path()).unwrap();
        let sealed = &recovered.sealed[0];
        let (saved, orphaned) = if planned { (varied(), 0) } else { (varied()[3..].to_vec(), 3) };
        assert_eq!(records_of(directory.path()), saved);
        assert_eq!(sealed.kept.as_ref().unwrap().orphaned, orphaned);
        assert!(layout.damaged_journal(FILE).exists());
        catalogue::write(directory.path(), &plan()).unwrap();
        let told = problems(directory.path());
        assert_eq!(told.len(), if planned { 1 } else { 2 }, "{told:#?}");
        assert_eq!(recovered.records[0].page.document, DocumentId(u32::from(!planned)));
    }
}

/// The disk forgets what it had confirmed, while the run still works.
#[test]
fn a_writer_that_cannot_read_back_what_it_told_durable_stops_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel();
    let tell = move |event| sender.send(event).unwrap();
    let writer =
        Writer::start(directory.path(), RankId(3), &settings(1 << 20), provenance(), plan().into(), tell).unwrap();
    let records = varied();
    let mut durable = 0;
    for record in &records {
        writer.append(record.clone(), ()).unwrap();
    }
    while durable < records.len() {
        match events.recv().unwrap() {
            StoreEvent::Durable(told) => durable += told.len(),
            other => panic!("{other:?}"),
        }
    }
    let layout = Layout::new(directory.path());
    let file = StoreFile { rank: RankId(3), sequence: 0 };
    let journal = fs::OpenOptions::new().write(true).open(layout.journal(file)).unwrap();
    journal.write_all_at(&[0; 64], sizes()[1] + 50).unwrap();
    assert!(matches!(writer.finish(), Err(StoreError::Stopped { .. })));
    let [StoreEvent::Sealed(sealed), StoreEvent::Failed(error, _)] = &events.try_iter().collect::<Vec<_>>()[..] else {
        panic!("not sealed and stopped");
    };
    assert_eq!(sealed.pages, 5);
    assert!(matches!(error, StoreError::RecordsLost { records: 1, .. }) && error.is_temporary(), "{error}");
    assert!(error.to_string().contains("rank-00003.0000.journal.damaged"), "{error}");
    assert_eq!(recover(directory.path()).unwrap().records.len(), 5);
}
