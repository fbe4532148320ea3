//! A writer process is killed with SIGKILL again and again, while it appends, syncs and seals: nothing that it
//! reported durable is ever lost, and nothing is counted twice.
#![allow(missing_docs, clippy::unwrap_used)]

mod store_support;

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use bulletin_ocr::{
    model::{Document, RankId},
    store::{self, StoreEvent, Writer, catalogue},
};
use oorandom::Rand32;
use store_support::*;

const DIRECTORY: &str = "BOCR_TEST_WRITER_DIRECTORY";
const FIRST_PAGE: &str = "BOCR_TEST_WRITER_FIRST_PAGE";
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
            for record in records {
                writeln!(out, "durable {}", record.page.page.0).unwrap();
            }
            out.flush().unwrap();
        }
        StoreEvent::Sealed(_) => {}
        StoreEvent::Failed(error) => panic!("{error}"),
    };
    let writer =
        Writer::start(Path::new(&directory), RankId(0), &settings(200_000), provenance(), plan().into(), tell).unwrap();
    let mut random = Rand32::new(u64::from(first));
    for page in first..PAGES {
        writer.append(read_page(page_ref(0, page), u64::from(page), 3000, &mut random)).unwrap();
    }
}

#[test]
fn kill_minus_nine_loses_nothing_that_was_reported_durable() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Rand32::new(42);
    let (mut durable, mut next, mut torn) = (BTreeSet::new(), 0, 0);
    for round in 0..20 {
        let lines = random.rand_range(1..150);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "writer_process", "--nocapture", "--test-threads", "1"])
            .env(DIRECTORY, directory.path())
            .env(FIRST_PAGE, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = output.filter_map(|line| line.rsplit_once("durable ").map(|(_, page)| page.parse::<u32>().unwrap()));
        durable.extend(told.take(lines as usize));
        child.kill().unwrap();
        child.wait().unwrap();

        let recovered = store::recover(directory.path()).unwrap();
        torn += recovered.sealed.iter().filter(|sealed| sealed.torn_bytes > 0).count();
        let found: BTreeSet<u32> = recovered.records.iter().map(|record| record.page.page.0).collect();
        assert_eq!(found.len(), recovered.records.len(), "round {round}: a record is counted twice");
        let lost: Vec<_> = durable.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        next = found.last().map_or(0, |last| last + 1);
        durable = found;
    }
    assert!(durable.len() > 100, "only {} pages were written", durable.len());
    eprintln!("{} pages survived 20 kills, {torn} torn tails", durable.len());
    let done = [document(0, "endless.pdf", next)];
    catalogue::write(directory.path(), &done).unwrap();
    let report = store::verify(directory.path(), &done).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
}
