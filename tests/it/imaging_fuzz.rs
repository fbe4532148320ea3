//! Damaged PDFs through a real pool: every one is answered, and costs nothing but itself.
//!
//! `BOCR_FUZZ=2500` says how many, `BOCR_FUZZ_SEED` another seed, `BOCR_FUZZ_FILES` a folder of further PDFs to damage,
//! `BOCR_FUZZ_KEEP` a folder for those that cost a child.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    num::NonZeroU32,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::symlink},
    },
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use crate::imaging_support::mutants::mutant;
use bulletin_ocr::{
    imaging::{Pool, PoolSettings, RenderFailure, RenderJob, find_library},
    model::{FailureClass, Grid, ImageRule, LayoutRule, PageIndex, Scaling, View},
};
use futures_util::{StreamExt, stream};
use oorandom::Rand32;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

const MUTANTS: u32 = 150;
const SEED: u64 = 5;
/// Small, so that many fit into the time of a test; what is asked of PDFium is the same.
const SMALL: ImageRule = ImageRule {
    dpi: 48.0,
    min_side: 256,
    max_side: None,
    min_pixels: 784,
    max_pixels: 6_291_456,
    grid: Grid::Free,
    scaling: Scaling::Direct,
};
const CHILD_MEMORY: u64 = 1 << 30;
/// Kept in flight: more than there are children.
const IN_FLIGHT: usize = 4;

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// The PDFs to damage, in a fixed order.
fn whole_files() -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let further = env::var_os("BOCR_FUZZ_FILES").map(PathBuf::from);
    let folders = [data.join("images"), data.join("pages"), data.join("nasty")].into_iter().chain(further);
    let mut paths: Vec<PathBuf> =
        folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "pdf"));
    paths.sort();
    let files = paths.into_iter().map(|path| fs::read(path).unwrap());
    files.filter(|file| !file.is_empty()).collect()
}

fn job(document: PathBuf) -> RenderJob {
    RenderJob {
        document,
        password: None,
        page: PageIndex(0),
        rule: SMALL,
        layout: LayoutRule::OF_TESSERACT,
        view: View::Whole,
    }
}

/// What became of a page, in a word.
fn outcome(answer: &Result<Option<bulletin_ocr::imaging::EncodedPage>, RenderFailure>) -> &'static str {
    match answer {
        Ok(_) => "drawn",
        Err(RenderFailure::Page { class: FailureClass::RenderTimeout, .. }) => "too slow",
        Err(RenderFailure::Page { class: FailureClass::TooLarge, .. }) => "too large",
        Err(RenderFailure::Page { reason, .. }) if reason.contains("the renderer") => "crashed",
        Err(RenderFailure::Page { .. }) => "refused",
        Err(RenderFailure::PoolLost(reason)) => panic!("the pool is lost: {reason}"),
    }
}

/// The children of this process that run `program`, and the most memory that each has had resident, in bytes.
fn children(program: &Path) -> BTreeMap<i32, u64> {
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let all: String = fs::read_dir("/proc/self/task").unwrap().map(|task| of(task.unwrap())).collect();
    let peak = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        1024 * line.unwrap_or(0)
    };
    let runs_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(program.as_os_str().as_bytes())
    };
    all.split_whitespace().map(|pid| pid.parse().unwrap()).filter(runs_it).map(|pid| (pid, peak(pid))).collect()
}

#[tokio::test]
async fn every_damaged_file_is_answered_and_costs_nothing_else() {
    let (count, seed) = (number("BOCR_FUZZ", MUTANTS.into()), number("BOCR_FUZZ_SEED", SEED));
    let page_limit = Duration::from_secs(if count > u64::from(MUTANTS) { 10 } else { 4 });
    let folder = tempfile::tempdir().unwrap();
    // A name of its own tells this pool's children from those of other tests in this process.
    let program = folder.path().join("bocr");
    symlink(env!("CARGO_BIN_EXE_bocr"), &program).unwrap();
    let settings = PoolSettings {
        program: program.clone(),
        pdfium: find_library(None).unwrap(),
        children: NonZeroU32::new(2).unwrap(),
        page_limit,
        child_memory: CHILD_MEMORY,
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    };
    let pool = Pool::start(settings).await.unwrap();
    let files = whole_files();
    let answers = stream::iter(0..count).map(|index| {
        let mut random = Rand32::new(seed << 32 | index);
        let bytes = mutant(&files[index as usize % files.len()], &mut random);
        let path = folder.path().join(format!("mutant-{seed}-{index}.pdf"));
        fs::write(&path, bytes).unwrap();
        let pool = &pool;
        async move { (pool.render(job(path.clone())).await, path) }
    });
    let mut answers = answers.buffer_unordered(IN_FLIGHT);
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    let mut peak = 0;
    while let Some((answer, path)) = answers.next().await {
        let outcome = outcome(&answer);
        *outcomes.entry(outcome).or_default() += 1;
        peak = children(&program).into_values().fold(peak, u64::max);
        if !matches!(outcome, "drawn" | "refused") {
            println!("{outcome}: {}", answer.unwrap_err());
            if let Some(kept) = env::var_os("BOCR_FUZZ_KEEP") {
                fs::copy(&path, Path::new(&kept).join(path.file_name().unwrap())).unwrap();
            }
        }
        fs::remove_file(path).unwrap();
    }
    println!("seed {seed}, {count} files: {outcomes:?}; a child had at most {} MiB resident", peak >> 20);
    assert_eq!(outcomes.values().sum::<u32>(), count as u32);
    assert!(
        outcomes["drawn"] > 0 && outcomes["refused"] > 0,
        "files are damaged, but not all beyond reading: {outcomes:?}"
    );
    assert!(peak <= CHILD_MEMORY, "{peak} bytes");
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages/digital_fr.pdf");
    for _ in 0..IN_FLIGHT {
        assert!(!pool.render(job(good.clone())).await.unwrap().unwrap().blank);
    }
    drop(answers);
    let left: BTreeSet<i32> = children(&program).into_keys().collect();
    assert_eq!(left.len(), 2, "one process a child, and no other: {left:?} of {}", process::id());
    let watched: Vec<OwnedFd> =
        left.into_iter().map(|pid| pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::NONBLOCK).unwrap()).collect();
    drop(pool);
    for child in watched {
        // A process's descriptor becomes readable when it has ended.
        // SAFETY: the descriptor is owned and stays open as long as it is registered.
        let ended = unsafe { AsyncFd::register(child) }.unwrap();
        tokio::time::timeout(Duration::from_secs(30), ended.readable()).await.unwrap().unwrap().retain_ready();
    }
}
