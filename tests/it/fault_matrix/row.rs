//! One row of the matrix: a run in a folder of its own, a fault, as many starts as it takes, and the reckoning.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::{Duration, Instant},
};

use bulletin_ocr::model::{Engine, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::run_support::{Bench, Killed, Pages, SHORT_ANSWERS, text, until, write_small_pages};

/// The sample files: digital pages, scans of two kinds. No row is about what is on a page.
const FILES: [&str; 3] = ["pages/digital_fr.pdf", "pages/scan_ar.pdf", "pages/scan_fr.pdf"];
/// A document that is first in the order of a plan, with pages that take little time.
const SMALL_PAGES: (&str, usize) = ("BO_7000_Fr.pdf", 12);

/// How many pages a row reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corpus {
    /// One folder with a copy of the sample files, and small pages.
    Small,
    /// Two folders: pages enough to be in the middle of them for a while.
    Large,
}

impl Corpus {
    fn folders(self) -> &'static [&'static str] {
        match self {
            Corpus::Small => &["a"],
            Corpus::Large => &["a", "b"],
        }
    }

    /// What a run without any fault reads: in each folder the same.
    pub fn reference(self) -> Pages {
        let in_folder = |folder: &'static str| {
            let moved = move |name: &str| name.replacen("a/", &format!("{folder}/"), 1);
            REFERENCE.iter().map(move |((name, page), read)| ((moved(name), *page), read.clone()))
        };
        self.folders().iter().copied().flat_map(in_folder).collect()
    }
}

/// What a run without any fault reads of one folder.
static REFERENCE: LazyLock<Pages> = LazyLock::new(|| {
    let row = Row::new("no fault");
    let output = row.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let pages = row.bench.pages();
    assert!(pages.len() == 16 && pages.values().all(|(verdict, html)| *verdict == Verdict::Read && !html.is_empty()));
    pages
});

/// A row at work.
pub struct Row {
    name: &'static str,
    pub bench: Bench,
    corpus: Corpus,
    configuration: PathBuf,
}

impl Row {
    /// A folder with a small corpus, small images, and a stand-in that takes some milliseconds a page.
    pub fn new(name: &'static str) -> Row {
        Row::with(name, Corpus::Small, "", &["--time-scale", "0.02"])
    }

    /// With more settings for the engine, and other arguments for its stand-in.
    pub fn with(name: &'static str, corpus: Corpus, engine: &str, stand_in: &[&str]) -> Row {
        let arguments = [stand_in, &SHORT_ANSWERS].concat();
        let server = format!("kind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments:?}\n");
        Row::with_server(name, corpus, engine, |_| server)
    }

    /// With these settings of the engine's server.
    pub fn with_server(name: &'static str, corpus: Corpus, engine: &str, server: impl FnOnce(&Bench) -> String) -> Row {
        let bench = Bench::new();
        for folder in corpus.folders() {
            let folder = bench.path("input").join(folder);
            fs::create_dir_all(&folder).unwrap();
            for file in FILES {
                let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
                fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
            }
            let (name, pages) = SMALL_PAGES;
            write_small_pages(&folder.join(name), pages);
        }
        let server = server(&bench);
        let profile = bench.small_profile(Engine::Chandra);
        let configuration = bench.write(
            "configuration.toml",
            &format!(
                "[schedule]\ndrain = \"1s\"\nseal_reserve = \"2s\"\nsilence_limit = \"10s\"\n\
                 [store]\nsync_interval = \"50ms\"\n\
                 [engines.chandra]\nprofile = {profile:?}\nin_flight = 4\nfirst_token_limit = \"5s\"\n\
                 token_gap_limit = \"1s\"\nhang_limit = \"1s\"\n{engine}\n\
                 [engines.chandra.server]\n{server}"
            ),
        );
        Row { name, bench, corpus, configuration }
    }

    /// The arguments of `bocr run` for this row.
    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut words: Vec<String> = ["run", "--roles", "chandra", "-i"].map(str::to_owned).into();
        words.extend([path(self.bench.path("input")), "-o".into(), path(self.bench.run_directory())]);
        words.extend(["-c".into(), path(self.configuration.clone()), "--wait".into(), "20".into()]);
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    /// `bocr run` alone.
    pub fn command(&self, more: &[&str]) -> Command {
        let words = self.arguments(more);
        self.bench.bocr(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts `bocr run` with a fault script.
    pub fn start_with_faults(&self, faults: &str) -> Killed {
        let faults = self.bench.write("faults.toml", faults);
        self.start(&["--faults", faults.to_str().unwrap()])
    }

    /// Starts `bocr run` alone.
    pub fn start(&self, more: &[&str]) -> Killed {
        self.spawn(self.command(more))
    }

    /// Starts a command whose words go to a file of the row.
    pub fn spawn(&self, mut command: Command) -> Killed {
        let log = fs::File::options().create(true).append(true).open(self.bench.path("out")).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Killed(child)
    }

    /// Pages settled so far, as the status file says.
    pub fn settled(&self) -> u64 {
        let status = fs::read(self.bench.run_directory().join("status.json")).unwrap_or_default();
        let status = serde_json::from_slice::<serde_json::Value>(&status).unwrap_or_default();
        status["settled"].as_u64().unwrap_or_default()
    }

    /// Waits until this many pages are settled.
    pub fn until_settled(&self, pages: u64) {
        until("some pages are settled", || self.settled() >= pages);
    }

    /// Ids of this row's processes whose command line holds all of these words.
    pub fn processes(&self, words: &[&str]) -> Vec<i32> {
        let holds = |line: &str| words.iter().all(|word| line.contains(word));
        self.bench.marked_processes().into_iter().filter(|(_, line)| holds(line)).map(|(id, _)| id).collect()
    }

    /// Ids of the stand-in servers themselves, without their guards.
    pub fn servers(&self) -> Vec<i32> {
        let is_server = |line: &str| line.contains(" stand-in ") && !line.contains(" guard ");
        self.bench.marked_processes().into_iter().filter(|(_, line)| is_server(line)).map(|(id, _)| id).collect()
    }

    /// The same command until it is done; then everything must be as if nothing had happened.
    pub fn finish(self, more: &[&str]) {
        let expected = self.corpus.reference();
        self.finish_with(more, &expected);
    }

    /// As [`Row::finish`], where the inputs say something else now.
    pub fn finish_with(self, more: &[&str], expected: &Pages) {
        let mut starts = 0;
        loop {
            let output = self.command(more).output().unwrap();
            starts += 1;
            match output.status.code() {
                Some(0) => break,
                Some(75) if starts < 5 => {}
                code => panic!("{}: {code:?} at start {starts}: {}\n{}", self.name, text(&output), self.bench.log(0)),
            }
        }
        self.check_against(expected);
    }

    /// Nothing is left running, nothing is wrong with the files, and every page has the text of a run without a fault.
    pub fn check(&self) {
        self.check_against(&self.corpus.reference());
    }

    /// As [`Row::check`], where the inputs say something else now.
    pub fn check_against(&self, expected: &Pages) {
        self.bench.assert_nothing_left();
        self.bench.assert_verified();
        let pages = self.bench.pages();
        for (page, expected) in expected {
            assert_eq!(pages.get(page), Some(expected), "{}: {page:?}", self.name);
        }
        assert_eq!(pages.len(), expected.len(), "{}: pages that nobody asked for", self.name);
        let lost = expected.keys().filter(|page| !pages.contains_key(*page)).count();
        assert_eq!(lost, 0, "{}", self.name);
        println!("| {} | {} pages | {lost} lost | {} read twice |", self.name, pages.len(), self.read_twice());
    }

    /// Requests that were answered to their end beyond one a page: what was lost between a server and the disk, or asked
    /// again for its own sake.
    pub fn read_twice(&self) -> usize {
        let logs = fs::read_dir(self.bench.run_directory().join("logs")).into_iter().flatten().flatten();
        let logs = logs.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        let finished: usize = logs
            .map(|log| {
                let ended = |line: &&str| line.contains(" finished stop") && !line.contains("request canary");
                log.lines().filter(ended).count()
            })
            .sum();
        finished.saturating_sub(self.bench.pages().len())
    }
}

/// Sends a signal; a process that is gone already is as good.
pub fn signal(process: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(process).unwrap(), signal);
}

/// The exit code of a child that must end soon.
pub fn ended(child: &mut Killed) -> Option<i32> {
    let mut status = None;
    until("it has ended", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// Time until a condition holds.
pub fn time_until(what: &str, condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    until(what, condition);
    start.elapsed()
}
