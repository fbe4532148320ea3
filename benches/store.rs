//! What the store costs, each figure beside the bar it serves.
//!
//! Pages carry raw answers in the words of real gazettes, and with each its HTML, Markdown and the record of the
//! attempt. The store's bar is for 3 to 20 KB of text a page, all forms together; 3 to 20 KB of raw answer alone,
//! three times as much text, is measured too.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/it/engines.rs"]
#[allow(dead_code, reason = "a bench uses its own part")]
mod engines;
#[path = "../tests/it/store_support/mod.rs"]
mod store_support;

use std::{
    env, fs,
    hint::black_box,
    io::{Read, Write},
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bulletin_ocr::{
    corpus::{self, Inputs, Plan},
    model::{Document, PageRecord, RankId, Verdict},
    store::{
        self, JournalHeader, JournalWriter, LatestRecord, Layout, ShardReader, StoreFile, UnfinishedFiles, catalogue,
    },
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use oorandom::Rand32;
use store_support::*;

const FILE: StoreFile = StoreFile { rank: RankId(0), sequence: 0 };
const PAGES: u32 = 2000;

/// A resumed run: as many shards as a run of 1 M pages has at the default size of a shard.
const SHARDS: u32 = 100;
const SHARD_PAGES: u32 = 10_000;
const SHARE: &str = "BOCR_BENCH_SHARE";
const DIRECTORY: &str = "BOCR_BENCH_DIRECTORY";

fn plan() -> Vec<Document> {
    vec![document(0, "bench.pdf", SHARDS * SHARD_PAGES)]
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

fn journal(layout: &Layout, file: StoreFile, records: &[PageRecord]) {
    let opening =
        JournalHeader { rank: file.rank, sequence: file.sequence, created_unix_ns: 1, provenance: provenance() };
    fs::create_dir_all(layout.store()).unwrap();
    let mut journal = JournalWriter::create(&layout.journal(file), &opening).unwrap();
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
    let opening = JournalHeader { rank: FILE.rank, sequence: 0, created_unix_ns: 1, provenance: provenance() };
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

/// What a page pays for its journal: groups of 64 records of about 11 KB each, the mean record of a run.
fn journal_a_page() {
    const GROUP: usize = 64;
    const GROUPS: usize = 101;
    let mut random = Rand32::new(13);
    let records: Vec<_> = (0..GROUP as u32).map(|page| read_page(page_ref(0, page), 1, 2_400, &mut random)).collect();
    let directory = tempfile::tempdir().unwrap();
    let opening = JournalHeader { rank: FILE.rank, sequence: 0, created_unix_ns: 1, provenance: provenance() };
    let mut journal = JournalWriter::create(&directory.path().join("journal"), &opening).unwrap();
    let (plan, begun) = (plan(), journal.len());
    let group = |_| {
        let start = Instant::now();
        for record in &records {
            journal.append(record, &plan[0]).unwrap();
        }
        journal.sync().unwrap();
        start.elapsed().as_secs_f64() * 1e3 / GROUP as f64
    };
    let mut times: Vec<f64> = (0..GROUPS).map(group).collect();
    times.sort_by(f64::total_cmp);
    let size = (journal.len() - begun) as f64 / (GROUP * GROUPS) as f64 / 1e3;
    println!(
        "journal: {:.3} ms a page (median of {GROUPS} groups of {GROUP} records of {size:.1} KB, appended and synced; \
         the slowest {:.3} ms a page)\n",
        times[GROUPS / 2],
        times[GROUPS - 1]
    );
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
    journal(&layout, FILE, &records);
    let saved = directory.path().join("saved");
    fs::rename(layout.journal(FILE), &saved).unwrap();
    let prepare = || {
        let _ = fs::remove_file(layout.shard(FILE));
        fs::copy(&saved, layout.journal(FILE)).unwrap();
    };
    let mut group = criterion.benchmark_group("sealing 2,000 pages (bar: 5,000 pages/s and 60 MB/s)");
    group.sample_size(10).throughput(Throughput::ElementsAndBytes { elements: PAGES.into(), bytes });
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            prepare,
            |()| store::seal(&layout, FILE, Duration::ZERO).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    prepare();
    let (wall, processor) = (Instant::now(), processor_seconds());
    store::seal(&layout, FILE, Duration::ZERO).unwrap();
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
    journal(&layout, FILE, &records(RAW_ALONE));
    store::seal(&layout, FILE, Duration::ZERO).unwrap();
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

/// Bar: state of 1 M done pages known in 10 s; by one process, and by two that have a share each (HDF5's lock is one
/// a process, so threads would not help) and whose records are merged in the first.
fn resume() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path());
    for number in 0..SHARDS {
        let file = StoreFile { rank: RankId(number % 8), sequence: number / 8 };
        let pages = (number * SHARD_PAGES..(number + 1) * SHARD_PAGES).map(|page| {
            let verdict = if page.is_multiple_of(8) { Verdict::Blank } else { Verdict::Read };
            bare(page_ref(0, page), u64::from(page), verdict)
        });
        journal(&layout, file, &pages.collect::<Vec<_>>());
        store::seal(&layout, file, Duration::ZERO).unwrap();
    }
    let pages = SHARDS * SHARD_PAGES;
    for shares in [1, 2] {
        let start = Instant::now();
        let children: Vec<Child> = (1..shares).map(|share| start_share(directory.path(), share, shares)).collect();
        let mut records = recover_share(directory.path(), 0, shares);
        for mut child in children {
            let mut told = Vec::new();
            child.stdout.take().unwrap().read_to_end(&mut told).unwrap();
            assert!(child.wait().unwrap().success());
            records.extend(decode(&told));
        }
        let merging = Instant::now();
        assert_eq!(black_box(store::latest_records(records, &plan())).len(), pages as usize);
        let (all, merging) = (start.elapsed().as_secs_f64(), merging.elapsed().as_secs_f64());
        println!(
            "resume: {pages} pages in {SHARDS} shards, {shares} processes: {all:.2} s (bar: 10 s), of which merging \
             {merging:.2} s"
        );
    }
    resume_a_run(directory.path());
    println!();
}

/// The whole program over the same directory: from its start until every page is known to the scheduler.
fn resume_a_run(directory: &Path) {
    let plan = Plan {
        run_id: provenance().run_id,
        created: jiff::Timestamp::now(),
        inputs: Inputs::default(),
        modified: vec![None; plan().len()],
        documents: plan(),
    };
    corpus::write(directory, &plan).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_bocr"));
    run.args(["run", "--stand-in", "synthetic", "--output"]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(run.status().unwrap().success());
    let log = fs::read_to_string(directory.join("logs/rank-0000.log")).unwrap();
    let prepared = log.lines().find(|line| line.contains("the run is prepared")).unwrap();
    let told = prepared.split_once("prepared ").unwrap().1;
    println!("resume: `bocr run`, 1 rank: {told} (bar: 10 s)");
}

fn start_share(run_directory: &Path, share: usize, shares: usize) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(DIRECTORY, run_directory).env(SHARE, format!("{share}/{shares}")).stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn recover_share(run_directory: &Path, share: usize, shares: usize) -> Vec<LatestRecord> {
    let leftovers = UnfinishedFiles::find(run_directory).unwrap().shares(NonZeroUsize::new(shares).unwrap());
    store::recover(run_directory, &leftovers[share], &provenance().run_id, Duration::ZERO).unwrap().records
}

fn encode(records: &[LatestRecord]) -> Vec<u8> {
    bincode::serde::encode_to_vec(records, bincode::config::standard()).unwrap()
}

fn decode(bytes: &[u8]) -> Vec<LatestRecord> {
    bincode::serde::decode_from_slice(bytes, bincode::config::standard()).unwrap().0
}

/// Time this thread had a processor; other work on the machine does not count.
fn processor_seconds() -> f64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    statistics.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

criterion_group!(benches, append, sealing, random_read);

fn main() {
    if let (Some(directory), Ok(share)) = (env::var_os(DIRECTORY), env::var(SHARE)) {
        let (share, shares) = share.split_once('/').unwrap();
        let records = recover_share(Path::new(&directory), share.parse().unwrap(), shares.parse().unwrap());
        std::io::stdout().write_all(&encode(&records)).unwrap();
        return;
    }
    journal_a_page();
    resume();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
