//! Processes that die: killed with SIGKILL again and again while they append, sync and seal, and aborted at every step
//! of a sealing. Nothing that was reported durable is ever lost, and nothing is counted twice.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::store_support::{self, *};
use bulletin_ocr::{
    model::{Document, PageRecord, RankId},
    store::{
        self, JournalHeader, JournalWriter, Layout, ShardReader, StoreError, StoreEvent, StoreFile, UnfinishedFiles,
        Writer, catalogue,
    },
};
use oorandom::Rand32;

const DIRECTORY: &str = "BOCR_TEST_WRITER_DIRECTORY";
const FIRST_PAGE: &str = "BOCR_TEST_WRITER_FIRST_PAGE";
const STEPS: &str = "BOCR_TEST_SEALING_STEPS";
const RUN: &str = "run-1";
const FILE: StoreFile = StoreFile { rank: RankId(3), sequence: 2 };
const PAGES: u32 = 1_000_000;

fn plan() -> Vec<Document> {
    vec![document(0, "endless.pdf", PAGES)]
}

/// The process that is killed; without the variable there is nothing for it to do.
#[test]
fn writer_process() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let first: u32 = env::var(FIRST_PAGE).unwrap().parse().unwrap();
    let tell = |event| match event {
        StoreEvent::Durable(records) => {
            let mut out = std::io::stdout().lock();
            for page in records {
                writeln!(out, "durable {page}").unwrap();
            }
            out.flush().unwrap();
        }
        StoreEvent::Sealed(_) => {}
        StoreEvent::Failed(error, _) => panic!("{error}"),
    };
    let writer =
        Writer::start(Path::new(&directory), RankId(0), &settings(200_000), provenance(), plan().into(), tell).unwrap();
    let mut random = Rand32::new(u64::from(first));
    for page in first..PAGES {
        writer.append(read_page(page_ref(0, page), u64::from(page), 3000, &mut random), page).unwrap();
    }
}

#[test]
fn kill_minus_nine_loses_nothing_that_was_reported_durable() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Rand32::new(42);
    let (mut durable, mut next, mut torn) = (BTreeSet::new(), 0, 0);
    for round in 0..20 {
        let lines = random.rand_range(1..150);
        let mut child = this_test("writer_process", directory.path())
            .env(FIRST_PAGE, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = output.filter_map(|line| line.rsplit_once("durable ").map(|(_, page)| page.parse::<u32>().unwrap()));
        durable.extend(told.take(lines as usize));
        child.kill().unwrap();
        child.wait().unwrap();

        let recovered = recover(directory.path()).unwrap();
        torn += recovered.sealed.iter().filter(|sealed| sealed.torn_bytes > 0).count();
        let found: BTreeSet<u32> = recovered.records.iter().map(|record| record.page.page.0).collect();
        assert_eq!(recovered.superseded, 0, "round {round}: a record is counted twice");
        let lost: Vec<_> = durable.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        next = found.last().map_or(0, |last| last + 1);
        durable = found;
    }
    assert!(durable.len() > 100, "only {} pages were written", durable.len());
    eprintln!("{} pages survived 20 kills, {torn} torn tails", durable.len());
    let done = [document(0, "endless.pdf", next)];
    catalogue::write(directory.path(), &done).unwrap();
    let report = store::verify(directory.path(), &done, RUN).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
}

/// The name by which this test program knows a test of this file.
fn full_name(test: &str) -> String {
    let (_, module) = module_path!().split_once("::").unwrap();
    format!("{module}::{test}")
}

/// This test program as another process that runs only `test`.
fn this_test(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &full_name(test), "--nocapture", "--test-threads", "1"]).env(DIRECTORY, directory);
    command
}

fn leave_journal(run_directory: &Path, records: &[PageRecord]) -> JournalWriter {
    let layout = Layout::new(run_directory);
    fs::create_dir_all(layout.store()).unwrap();
    let opening =
        JournalHeader { rank: FILE.rank, sequence: FILE.sequence, created_unix_ns: 1, provenance: provenance() };
    let mut journal = JournalWriter::create(&layout.journal(FILE), &opening).unwrap();
    let plan = store_support::plan();
    for record in records {
        journal.append(record, &plan[record.page.document.index()]).unwrap();
    }
    journal.sync().unwrap();
    journal
}

/// The process that dies after so many steps of a sealing; without the variables there is nothing for it to do.
#[test]
fn sealing_process() {
    let (Some(directory), Ok(steps)) = (env::var_os(DIRECTORY), env::var(STEPS)) else { return };
    let mut left: u32 = steps.parse().unwrap();
    let no_core = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, no_core).unwrap();
    let mut on_step = |step| {
        if left == 0 {
            println!("dies at {step:?}");
            std::process::abort();
        }
        left -= 1;
    };
    store::seal_observed(&Layout::new(Path::new(&directory)), FILE, Duration::ZERO, &mut on_step).unwrap();
}

#[test]
fn a_sealing_that_dies_at_any_step_is_done_again() {
    let records = varied();
    let mut died = Vec::new();
    for steps in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        drop(leave_journal(directory.path(), &records));
        let output = this_test("sealing_process", directory.path()).env(STEPS, steps.to_string()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            break;
        }
        let step = told.lines().find_map(|line| line.split_once("dies at ").map(|(_, step)| step.to_owned()));
        died.push(step.unwrap_or_else(|| panic!("{output:?}")));
        for again in 0..2 {
            let recovered = recover(directory.path()).unwrap();
            assert_eq!((recovered.records.len(), recovered.superseded), (records.len(), 0), "{died:?}, time {again}");
            let left: Vec<_> = fs::read_dir(layout.store()).unwrap().map(|file| file.unwrap().path()).collect();
            assert_eq!(left, [layout.shard(FILE)], "{died:?}, time {again}");
            let shard = ShardReader::open(&layout.shard(FILE)).unwrap();
            let found: Vec<_> = (0..shard.pages()).map(|row| shard.read(row).unwrap()).collect();
            assert_eq!(found, records, "{died:?}, time {again}");
        }
    }
    let written = (0..records.len()).map(|row| format!("Written({row})"));
    let after = ["Filled", "Closed", "Checked", "Synced", "Renamed", "DirectorySynced", "JournalDeleted"];
    let expected = ["Begun", "Created"].map(String::from).into_iter().chain(written).chain(after.map(String::from));
    assert_eq!(died, expected.collect::<Vec<_>>());
}

/// The process that holds a journal until it is killed.
#[test]
fn holding_process() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let _journal = leave_journal(Path::new(&directory), &varied());
    println!("holds");
    std::io::stdout().flush().unwrap();
    // Ends with the test at the latest.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn recovery_waits_for_a_living_process_or_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut holding: Child =
        this_test("holding_process", directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(holding.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("holds")));
    let error = recover_within(Duration::ZERO, directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let leftovers = UnfinishedFiles::find(directory.path()).unwrap();
            store::recover(directory.path(), &leftovers, RUN, Duration::from_secs(60))
        });
        holding.kill().unwrap();
        holding.wait().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap().records.len(), varied().len());
    });
}

/// On a file system that is too small, in a mount namespace of its own.
#[test]
fn full_disk_process() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let ballast = directory.join("ballast");
    fs::write(&ballast, vec![0; 400_000]).unwrap();
    let (sender, events) = mpsc::channel();
    let tell = move |event| drop(sender.send(event));
    let writer = Writer::start(directory, RankId(0), &settings(1 << 30), provenance(), plan().into(), tell).unwrap();
    let mut random = Rand32::new(1);
    writer.append(read_page(page_ref(0, 0), 0, 3000, &mut random), 0).unwrap();
    // A first group is on the disk before the one for which there is no space.
    let first = events.recv().unwrap();
    let mut page = 1;
    while writer.append(read_page(page_ref(0, page), u64::from(page), 3000, &mut random), page).is_ok() {
        page += 1;
    }
    drop(writer);
    let (mut durable, mut returned, mut failure) = (BTreeSet::new(), BTreeSet::new(), None);
    for event in std::iter::once(first).chain(events) {
        match event {
            StoreEvent::Durable(pages) => durable.extend(pages),
            StoreEvent::Sealed(_) => panic!("there is no space for a shard"),
            StoreEvent::Failed(error, pages) => {
                failure = Some(error);
                returned.extend(pages);
            }
        }
    }
    let store = Layout::new(directory).store();
    assert!(matches!(&failure, Some(StoreError::Full { path }) if *path == store), "{failure:?}");
    assert!(!durable.is_empty() && durable.is_disjoint(&returned));
    assert_eq!(durable.union(&returned).copied().collect::<Vec<u32>>(), (0..page).collect::<Vec<_>>());
    // Neither is there for the shard; nothing is lost by trying.
    let error = recover(directory).unwrap_err();
    assert!(matches!(&error, StoreError::Full { path } if *path == store), "{error}");
    fs::remove_file(ballast).unwrap();
    let found: BTreeSet<_> = recover(directory).unwrap().records.iter().map(|record| record.page.page.0).collect();
    assert!(durable.is_subset(&found), "{durable:?} {found:?}");
    println!("survived a full disk");
}

#[test]
fn a_full_disk_is_told_with_its_remedy_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(env::current_exe().unwrap());
        command.env(DIRECTORY, directory.path()).output()
    };
    let mount = "mount -t tmpfs -o size=600k none \"$BOCR_TEST_WRITER_DIRECTORY\"";
    if !in_namespace(mount).is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: this machine lets nobody mount a small file system in a namespace");
        return;
    }
    let test = format!("exec \"$1\" --exact {} --nocapture --test-threads 1", full_name("full_disk_process"));
    let output = in_namespace(&format!("{mount} && {test}")).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("survived a full disk"), "{output:?}");
}
