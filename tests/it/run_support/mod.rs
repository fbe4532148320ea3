//! A run as a user starts it: the real binary, real servers, a folder of its own, and a look for what it left behind.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use bulletin_ocr::{
    engine::{Client, Limits, ServerAddress},
    model::{Engine, PageRef, Verdict},
    server::ServerFolder,
    store::Reader,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Document name and page number, with the verdict and the HTML of the page.
pub type Pages = BTreeMap<(String, u32), (Verdict, String)>;

/// A folder for one test's run, and a mark that all its processes inherit.
pub struct Bench {
    folder: TempDir,
    mark: String,
}

/// Arguments of a stand-in for tests that do not look at single tokens, nor at the length of an answer: a debug build
/// takes long over each event and each letter.
pub const SHORT_ANSWERS: [&str; 4] = ["--chunk-tokens", "16", "--answer-median", "300"];

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mark = format!("BOCR_TEST_MARK={}", folder.path().display());
        Bench { folder, mark }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn run_directory(&self) -> PathBuf {
        self.path("run")
    }

    /// Copies sample files into the input folder.
    pub fn inputs(&self, files: &[&str]) -> PathBuf {
        let folder = self.path("input");
        fs::create_dir_all(&folder).unwrap();
        for file in files {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
            fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
        }
        folder
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The built-in profile of an engine with small images that are not searched for turned content: what a test does not
    /// look at must not take its time.
    pub fn small_profile(&self, engine: Engine) -> PathBuf {
        self.profile_with_images(engine, "dpi = 40.0\nmin_side = 128")
    }

    /// The built-in profile of an engine with such images of Chandra's, and no search for turned content.
    fn profile_with_images(&self, engine: Engine, images: &str) -> PathBuf {
        let name = match engine {
            Engine::Chandra => "chandra-2",
            Engine::DeepSeek => "deepseek-ocr",
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/profiles");
        let built_in = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        let changed =
            built_in.replace("dpi = 192.0\nmin_side = 1024", images).replace("upright = true", "upright = false");
        assert_ne!(changed, built_in);
        self.write(&format!("{name}-small.toml"), &changed)
    }

    /// A configuration with small images, whose stand-ins invent answers at once.
    pub fn instant_configuration(&self, more: &str) -> PathBuf {
        self.synthetic_configuration(|engine| format!("profile = {:?}\n{more}", self.small_profile(engine)))
    }

    /// A configuration with small images, the usual limits, and one stand-in whose time runs at `time_scale`.
    pub fn one_engine_configuration(&self, engine: &str, time_scale: &str, more: &str) -> PathBuf {
        let profile = self.small_profile(Engine::Chandra);
        let arguments = [&["--time-scale", time_scale], &SHORT_ANSWERS[..]].concat();
        self.write(
            "configuration.toml",
            &format!(
                "[engines.chandra]\nprofile = {profile:?}\n{engine}\n\
                 [engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments:?}\n{more}"
            ),
        )
    }

    /// The same with images that are large enough to be made smaller and to be divided.
    pub fn half_size_configuration(&self) -> PathBuf {
        let images = "dpi = 96.0\nmin_side = 512";
        self.synthetic_configuration(|engine| format!("profile = {:?}\n", self.profile_with_images(engine, images)))
    }

    /// The same with images as the engines want them.
    pub fn full_size_configuration(&self) -> PathBuf {
        self.synthetic_configuration(|_| String::new())
    }

    fn synthetic_configuration(&self, settings: impl Fn(Engine) -> String) -> PathBuf {
        let stand_in = |engine: Engine| {
            let arguments = [&["--time-scale", "0"], &SHORT_ANSWERS[..]].concat();
            format!(
                "[engines.{engine}]\nfirst_token_limit = \"2s\"\ntoken_gap_limit = \"1s\"\n{}\n\
                 [engines.{engine}.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments:?}\n",
                settings(engine)
            )
        };
        self.write("configuration.toml", &format!("{}{}", stand_in(Engine::Chandra), stand_in(Engine::DeepSeek)))
    }

    /// Name and value of the mark, for processes started in another way.
    pub fn mark(&self) -> (&str, &str) {
        self.mark.split_once('=').unwrap()
    }

    /// `bocr` with arguments.
    pub fn bocr(&self, arguments: &[&str]) -> Command {
        self.marked(Command::new(env!("CARGO_BIN_EXE_bocr")), arguments)
    }

    /// `mpirun -n ranks bocr` with arguments.
    pub fn mpirun(&self, ranks: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new("mpirun");
        command.args(["-n", &ranks.to_string(), "--bind-to", "none", "--oversubscribe"]);
        command.arg(env!("CARGO_BIN_EXE_bocr"));
        command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
        self.marked(command, arguments)
    }

    fn marked(&self, mut command: Command, arguments: &[&str]) -> Command {
        let (name, value) = self.mark();
        command.args(arguments).env(name, value).stdin(Stdio::null());
        command
    }

    /// Command lines of this test's processes that are still there.
    pub fn processes(&self) -> Vec<String> {
        self.marked_processes().into_iter().map(|(_, line)| line).collect()
    }

    /// Ids and command lines of this test's processes.
    pub fn marked_processes(&self) -> Vec<(i32, String)> {
        let carries_mark = |path: &Path| {
            // Every process of the machine is looked at, again and again: a search for text is fast without optimisation.
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&self.mark)
        };
        let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let described = |path: PathBuf| {
            let id = path.file_name()?.to_str()?.parse().ok()?;
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            Some((id, String::from_utf8_lossy(&line).replace('\0', " ")))
        };
        entries.filter(|path| carries_mark(path)).filter_map(described).filter(|(_, line)| !line.is_empty()).collect()
    }

    /// The servers of this test that have a guard, as they wrote themselves down: engine and place of its rank, address.
    pub fn servers(&self) -> BTreeMap<String, ServerAddress> {
        let folder =
            |line: &String| Some(PathBuf::from(line.split(' ').skip_while(|word| *word != "--folder").nth(1)?));
        let named = |folder: PathBuf| {
            let record = ServerFolder::at(&folder).record()?;
            let address = ServerAddress::Unix(record.address.strip_prefix("unix:")?.into());
            Some((folder.file_name()?.to_str()?.to_owned(), address))
        };
        self.processes().iter().filter_map(folder).filter_map(named).collect()
    }

    /// Waits until none of this test's processes is left: those of a killed rank go within moments.
    pub fn assert_nothing_left(&self) {
        until("every process of the test has ended", || self.processes().is_empty());
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.run_directory()).unwrap()
    }

    /// What was read, by document name and page number.
    pub fn pages(&self) -> Pages {
        let mut reader = self.reader();
        let names: BTreeMap<_, _> =
            reader.documents().iter().map(|document| (document.id, document.name.clone())).collect();
        let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
        let described = |page: PageRef| {
            let record = reader.read(page).unwrap().unwrap();
            let html = record.parts.iter().map(|part| part.html.as_str()).collect();
            ((names[&page.document].clone(), page.page.number()), (record.verdict, html))
        };
        pages.into_iter().map(described).collect()
    }

    pub fn log(&self, rank: u32) -> String {
        fs::read_to_string(self.run_directory().join(format!("logs/rank-{rank:04}.log"))).unwrap_or_default()
    }

    /// `bocr verify` must find nothing wrong.
    pub fn assert_verified(&self) {
        let run = self.run_directory();
        let output = self.bocr(&["verify", run.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}

/// A test that fails may leave servers that would linger.
impl Drop for Bench {
    fn drop(&mut self) {
        let left = if std::thread::panicking() { self.marked_processes() } else { Vec::new() };
        for id in left.into_iter().filter_map(|(id, _)| Pid::from_raw(id)) {
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

/// Whether the server says that it sleeps; `None` where it does not say.
pub async fn is_sleeping(address: &ServerAddress) -> Option<bool> {
    let limit = Duration::from_secs(60);
    let limits = Limits { first_token: limit, token_gap: limit, total: limit };
    Client::new(address.clone(), limits, None).unwrap().is_sleeping().await.ok()
}

/// Looks at the servers of ranks that take turns, again and again, and counts how often two of one rank were awake at one
/// time. Never ends.
pub async fn both_awake(bench: &Bench, found: &AtomicU32) {
    loop {
        let servers = bench.servers();
        for (name, chandra) in &servers {
            let deepseek = name.strip_prefix("chandra-").and_then(|place| servers.get(&format!("deepseek-{place}")));
            let Some(deepseek) = deepseek else { continue };
            // Chandra twice: it may fall asleep between two questions.
            let mut said = Vec::new();
            for address in [chandra, deepseek, chandra] {
                said.push(is_sleeping(address).await);
            }
            found.fetch_add(u32::from(said == [Some(false); 3]), Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes a document of small pages, no two of which look alike: they take little time to draw.
pub fn write_small_pages(path: &Path, pages: usize) {
    let mut pdf = String::from("%PDF-1.4\n");
    let mut places = Vec::new();
    let mut object = |pdf: &mut String, body: &str| {
        places.push(pdf.len());
        let number = places.len();
        write!(pdf, "{number} 0 obj\n{body}\nendobj\n").unwrap();
    };
    let kids: String = (0..pages).map(|page| format!("{} 0 R ", 3 + 2 * page)).collect();
    object(&mut pdf, "<</Type/Catalog/Pages 2 0 R>>");
    object(&mut pdf, &format!("<</Type/Pages/Count {pages}/MediaBox[0 0 200 200]/Kids[{kids}]>>"));
    for page in 0..pages {
        let content = format!("{} {} 60 60 re f 20 20 {} 9 re f", page % 130, page / 2, 1 + page % 97);
        object(&mut pdf, &format!("<</Type/Page/Parent 2 0 R/Contents {} 0 R>>", 4 + 2 * page));
        object(&mut pdf, &format!("<</Length {}>>stream\n{content}\nendstream", content.len()));
    }
    let start = pdf.len();
    writeln!(pdf, "xref\n0 {}\n0000000000 65535 f ", places.len() + 1).unwrap();
    for place in &places {
        writeln!(pdf, "{place:010} 00000 n ").unwrap();
    }
    write!(pdf, "trailer<</Size {}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n", places.len() + 1).unwrap();
    fs::write(path, pdf).unwrap();
}

/// Everything a command wrote.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Polls for a condition; a deadline that is never met fails the test.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 60 s until {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Ends a process that a failed test leaves.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
