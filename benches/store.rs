//! What the store costs, each figure beside the bar it serves.
//!
//! Pages carry raw answers in the words of real gazettes, and with each its HTML, Markdown and the record of the
//! attempt. The store's bar is for 3 to 20 KB of text a page, all forms together; 3 to 20 KB of raw answer alone,
//! three times as much text, is measured too.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/store_support/mod.rs"]
mod store_support;

use std::{
    env, fs,
    hint::black_box,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use bulletin_ocr::{
    model::{Document, PageRecord, RankId, Verdict},
    store::{self, JournalWriter, Layout, Opening, ShardReader, StoreFile, catalogue},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use oorandom::Rand32;
use store_support::*;

const FILE: StoreFile = StoreFile { rank: RankId(0), sequence: 0 };
const PAGES: u32 = 2000;
const SETTLED: u32 = 100_000;

fn plan() -> Vec<Document> {
    vec![document(0, "bench.pdf", SETTLED)]
}

/// Bytes of raw answer with which all forms of a page's text together have 3 to 20 KB.
const ALL_FORMS: Range<u32> = 700..5_700;
const RAW_ALONE: Range<u32> = 3_000..20_000;

fn records(raw_bytes: Range<u32>) -> Vec<PageRecord> {
    let mut random = Rand32::new(11);
    let mut page = |page| {
        let bytes = random.rand_range(raw_bytes.clone()) as usize;
        read_page(page_ref(0, page), u64::from(page), bytes, &mut random)
    };
    (0..PAGES).map(&mut page).collect()
}

fn text_bytes(record: &PageRecord) -> u64 {
    let parts = record.parts.iter().map(|part| part.html.len() + part.markdown.len());
    let attempts = record.attempts.iter().map(|attempt| attempt.answer.len() + attempt.reason.len());
    parts.chain(attempts).sum::<usize>() as u64
}

fn journal(layout: &Layout, records: &[PageRecord]) {
    let opening = Opening { rank: FILE.rank, sequence: FILE.sequence, created_unix_ns: 1, provenance: provenance() };
    fs::create_dir_all(layout.store()).unwrap();
    let mut journal = JournalWriter::create(&layout.journal(FILE), &opening).unwrap();
    let plan = plan();
    for record in records {
        journal.append(record, &plan[0]).unwrap();
    }
    journal.sync().unwrap();
}

/// Bar: none of its own; a verdict waits for it, so it must be far below the group interval of 1 s.
fn append(criterion: &mut Criterion) {
    let records = records(RAW_ALONE);
    let directory = tempfile::tempdir().unwrap();
    let opening = Opening { rank: FILE.rank, sequence: 0, created_unix_ns: 1, provenance: provenance() };
    let plan = plan();
    let mut group = criterion.benchmark_group("journal append and sync (verdicts wait for it)");
    group.sample_size(10);
    for batch in [1, 64] {
        let path = directory.path().join(format!("{batch}.journal"));
        let mut journal = JournalWriter::create(&path, &opening).unwrap();
        let mut pages = records.iter().cycle();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("{batch} records a sync"), |bencher| {
            bencher.iter(|| {
                for record in pages.by_ref().take(batch as usize) {
                    journal.append(record, &plan[0]).unwrap();
                }
                journal.sync().unwrap();
            });
        });
    }
    group.finish();
}

/// Bar: at least 5,000 pages/s and 60 MB/s of text into sealed gzip-4 shards on one core.
fn sealing(criterion: &mut Criterion) {
    seal(criterion, "3 to 20 KB of text a page", ALL_FORMS);
    seal(criterion, "3 to 20 KB of raw answer a page", RAW_ALONE);
}

fn seal(criterion: &mut Criterion, name: &str, raw_bytes: Range<u32>) {
    let records = records(raw_bytes);
    let bytes: u64 = records.iter().map(text_bytes).sum();
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    journal(&layout, &records);
    let saved = directory.path().join("saved");
    fs::rename(layout.journal(FILE), &saved).unwrap();
    let prepare = || {
        let _ = fs::remove_file(layout.shard(FILE));
        fs::copy(&saved, layout.journal(FILE)).unwrap();
    };
    let mut group = criterion.benchmark_group("sealing 2,000 pages (bar: 5,000 pages/s and 60 MB/s)");
    group.sample_size(10).throughput(Throughput::ElementsAndBytes { elements: PAGES.into(), bytes });
    group.bench_function(name, |bencher| {
        bencher.iter_batched(prepare, |()| store::seal(&layout, FILE).unwrap(), BatchSize::PerIteration);
    });
    group.finish();
    prepare();
    let (wall, processor) = (Instant::now(), processor_seconds());
    store::seal(&layout, FILE).unwrap();
    let (wall, processor) = (wall.elapsed().as_secs_f64(), processor_seconds() - processor);
    let size = fs::metadata(layout.shard(FILE)).unwrap().len() as f64 / 1e6;
    let text = bytes as f64 / 1e6;
    println!(
        "one sealing: {PAGES} pages, {text:.1} MB of text into {size:.1} MB in {wall:.3} s; {processor:.3} s of processor, \
         so {:.0} pages/s and {:.0} MB/s of one core\n",
        f64::from(PAGES) / processor,
        text / processor
    );
}

/// Bar: a random page in at most 1.5 ms, by plain h5py too.
fn random_read(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    journal(&layout, &records(RAW_ALONE));
    store::seal(&layout, FILE).unwrap();
    let shard = ShardReader::open(&layout.shard(FILE)).unwrap();
    let mut random = Rand32::new(5);
    let mut group = criterion.benchmark_group("random page (bar: 1.5 ms)");
    group.bench_function("whole record", |bencher| {
        bencher.iter(|| black_box(shard.read(random.rand_range(0..PAGES).into()).unwrap()));
    });
    group.finish();
    catalogue::write(directory.path(), &plan()).unwrap();
    time_h5py(directory.path());
}

fn time_h5py(run_directory: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("BOCR_TEST_PYTHON").map_or(root.join(".deps/python/bin/python"), PathBuf::from);
    let script = root.join("tests/python/read_store.py");
    let timed = Command::new(&python).arg(script).arg(run_directory).args(["--time", "2000"]).status();
    if !timed.is_ok_and(|status| status.success()) {
        println!("not measured by h5py: {} cannot run it", python.display());
    }
}

/// Bar: state of 1 M done pages known in 10 s, so at least 100,000 pages/s.
fn resume(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    let record = |page| read_page(page_ref(0, page), 1, 1, &mut Rand32::new(1));
    let some = record(0);
    let pages = (0..SETTLED).map(|page| match page % 8 {
        0 => bare(page_ref(0, page), u64::from(page), Verdict::Blank),
        _ => PageRecord { page: page_ref(0, page), ..some.clone() },
    });
    journal(&layout, &pages.collect::<Vec<_>>());
    store::seal(&layout, FILE).unwrap();
    let mut group = criterion.benchmark_group("resume (bar: 1 M pages in 10 s)");
    group.sample_size(10).throughput(Throughput::Elements(SETTLED.into()));
    group
        .bench_function("recover", |bencher| bencher.iter(|| store::recover(directory.path()).unwrap().finals().len()));
    group.finish();
}

/// Time this thread had a processor; other work on the machine does not count.
fn processor_seconds() -> f64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    statistics.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

criterion_group!(benches, append, sealing, random_read, resume);
criterion_main!(benches);
