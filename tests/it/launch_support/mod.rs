//! A run as `scripts/launch` starts it, on this host or on three hosts of its own.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bulletin_ocr::model::Engine;
use rustix::process::{Pid, Signal, kill_process};

use crate::run_support::{Bench, Killed, SHORT_ANSWERS};

/// The longest that a launched run may take: probing a lost host alone costs up to ten seconds.
const LIMIT: Duration = Duration::from_secs(150);

/// A page with this fault never gets its answer under the first lease; under any later one it does.
pub const FIRST_LEASE_STALLS: &str = "[[fault]]\npage = \"p1.l1\"\nkind = \"stall\"\n";

/// Chandra refuses this page.
pub const REFUSED: &str = "[[fault]]\npage = \"digital_fr.p1\"\nengine = \"chandra\"\nkind = \"400\"\n";

/// The first answer of each DeepSeek server never comes.
const SECOND_STALLS: &str = "[[fault]]\nengine = \"deepseek\"\nkind = \"stall\"\ntimes = 1\n";

/// Pages of the inputs of [`Launch::new`].
pub const PAGES: u64 = 4;

/// A server that invents answers at once, for small images.
fn instant(bench: &Bench, engine: Engine) -> String {
    let name = crate::engines::name(engine);
    let profile = bench.small_profile(engine);
    let arguments = [&["--time-scale", "0"], &SHORT_ANSWERS[..]].concat();
    format!(
        "[engines.{name}]\nprofile = {profile:?}\n\
         [engines.{name}.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments:?}\n"
    )
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that does this in the place of `bocr run`, and is else `bocr`.
pub fn rank_program(bench: &Bench, script: &str) -> PathBuf {
    let bocr = env!("CARGO_BIN_EXE_bocr");
    let text = format!("#!/bin/sh\n[ \"$1\" = run ] || exec {bocr} \"$@\"\n{script}\n");
    let program = bench.write("program", &text);
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

/// A launched run to be: the command line, and what it says.
pub struct Launch<'a> {
    bench: &'a Bench,
    hosts: Option<&'a Hosts>,
    options: Vec<String>,
    arguments: Vec<String>,
    bocr: PathBuf,
}

impl<'a> Launch<'a> {
    /// Few pages, a server that invents answers at once, records that are durable at once.
    pub fn new(bench: &'a Bench, schedule: &str) -> Self {
        let input = bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf", "pages/digital_ar.pdf"]);
        // The page that stalls on one rank keeps the run at work: no other rank may read it.
        let schedule = format!("[schedule]\nraces = false\n{}", schedule.trim_start_matches("[schedule]\n"));
        let configuration = bench.write(
            "configuration.toml",
            &format!(
                "{}{}[store]\nsync_interval = \"50ms\"\nsync_records = 1\n{schedule}",
                instant(bench, crate::engines::CHANDRA),
                instant(bench, crate::engines::DEEPSEEK)
            ),
        );
        let faults = bench.write("faults.toml", FIRST_LEASE_STALLS);
        let words = |path: &Path| path.to_str().unwrap().to_owned();
        let mut arguments = vec!["-i".into(), words(&input), "-o".into(), words(&bench.run_directory())];
        arguments.extend(["-c".into(), words(&configuration), "--roles".into(), "chandra".into()]);
        arguments.extend(["--faults".into(), words(&faults)]);
        Launch { bench, hosts: None, options: Vec::new(), arguments, bocr: env!("CARGO_BIN_EXE_bocr").into() }
    }

    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// With these roles, for a page that Chandra refuses; DeepSeek does not answer until [`REFUSED`] alone takes the
    /// place of the faults and its server is started again.
    pub fn with_second(mut self, roles: &str) -> Self {
        self.bench.write("faults.toml", &format!("{REFUSED}{SECOND_STALLS}"));
        let place = self.arguments.iter().position(|word| word == "--roles").unwrap();
        self.arguments[place + 1] = roles.into();
        self
    }

    /// Without the fault: every page is read at once.
    pub fn without_fault(mut self) -> Self {
        self.arguments.truncate(self.arguments.len() - 2);
        self
    }

    pub fn bocr(mut self, program: &Path) -> Self {
        self.bocr = program.into();
        self
    }

    /// Started on the first of these hosts, with ranks on each.
    pub fn on(mut self, hosts: &'a Hosts) -> Self {
        self.hosts = Some(hosts);
        let path = |name: &str| hosts.directory.join(name).to_str().unwrap().to_owned();
        self.options(&["--hosts", &path("nodes"), "--per-host", "1", "--agent", &path("agent")])
    }

    pub fn start(&self) -> Launched<'a> {
        let script = project("scripts/launch");
        let mut command = match self.hosts {
            None => Command::new(script),
            Some(hosts) => {
                let mut command = hosts.command("enter");
                command.arg("n1").arg(script);
                command
            }
        };
        command.args(&self.options).arg("--bocr").arg(&self.bocr).arg("--").args(&self.arguments);
        let (name, value) = self.bench.mark();
        let file = |name: &str| File::create(self.bench.path(name)).unwrap();
        command.env(name, value).stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        Launched { bench: self.bench, child: Killed(command.spawn().unwrap()) }
    }
}

/// A launched run under way.
pub struct Launched<'a> {
    bench: &'a Bench,
    pub child: Killed,
}

impl Launched<'_> {
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.bench.path("stdout")).unwrap()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.bench.path("stderr")).unwrap()
    }

    /// Waits for the end, and returns the exit code.
    pub fn end(&mut self) -> Option<i32> {
        let status: Option<ExitStatus> = self.poll("the launcher has ended", |run| run.child.0.try_wait().unwrap());
        status.unwrap().code()
    }

    /// Waits until all pages but the stalled one are settled.
    pub fn all_but_one_settled(&mut self) {
        self.poll("all pages but one are settled", |run| (settled(run.bench) == Some(PAGES - 1)).then_some(()));
    }

    pub fn poll<T>(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let met = condition(self);
            if met.is_some() {
                return met;
            }
            assert!(Instant::now() < deadline, "waited {LIMIT:?} until {what}: {}{}", self.stderr(), self.stdout());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits for the attempt of this number, and returns when it was announced.
    pub fn attempt(&mut self, number: u32) -> Instant {
        let line = format!("launch: attempt {number}:");
        self.poll(&line, |run| run.stderr().contains(&line).then(Instant::now)).unwrap()
    }

    /// The process of a rank on this machine.
    pub fn rank(&self, rank: u32) -> i32 {
        let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
        let is_rank = |process: i32| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
        };
        let runs = |line: &str| line.starts_with(env!("CARGO_BIN_EXE_bocr")) && line.contains(" run ");
        self.find(|process, line| runs(line) && is_rank(process))
    }

    /// The process of mpirun.
    pub fn mpirun(&self) -> i32 {
        self.find(|_, line| line.split(' ').next().is_some_and(|program| program.ends_with("/mpirun")))
    }

    fn find(&self, wanted: impl Fn(i32, &str) -> bool) -> i32 {
        let processes = self.bench.marked_processes();
        let found = processes.iter().find(|(process, line)| wanted(*process, line));
        found.unwrap_or_else(|| panic!("not among {processes:#?}")).0
    }

    /// Waits for the run's end, and prints what a death at `moment` cost, the next attempt coming after `next`.
    pub fn end_after_death(&mut self, what: &str, moment: Moment, next: Duration) -> Option<i32> {
        let code = self.end();
        let mut reader = self.bench.reader();
        let pages: Vec<_> = reader.pages().map(|settled| settled.page).collect();
        let times =
            pages.into_iter().filter_map(|page| reader.read(page).unwrap()).map(|record| record.settled_unix_ms);
        let first = times.filter(|time| *time >= moment.unix_ms).min().expect("a page settled after the death");
        let first = Duration::from_millis((first - moment.unix_ms) as u64);
        println!("{what}: next attempt after {next:.1?}, its first page settled after {first:.1?}");
        code
    }
}

/// Pages settled, as the run's status says.
fn settled(bench: &Bench) -> Option<u64> {
    let status: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.run_directory().join("status.json")).ok()?).ok()?;
    status["settled"].as_u64()
}

/// When something was done to a run.
#[derive(Clone, Copy)]
pub struct Moment {
    pub instant: Instant,
    unix_ms: i64,
}

impl Moment {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Moment { instant: Instant::now(), unix_ms: since.as_millis() as i64 }
    }
}

pub fn signal(process: i32, signal: Signal) -> Moment {
    let moment = Moment::now();
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
    moment
}

fn networks_can_be_made() -> bool {
    let try_one = ["--net", "--pid", "--mount", "--fork", "ip", "link", "add", "switch", "type", "bridge"];
    let made = Command::new("unshare").args(try_one).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

/// Three hosts of one test, which go with it however it ends.
pub struct Hosts {
    pub directory: PathBuf,
    keeper: Child,
    open: Option<ChildStdin>,
}

impl Hosts {
    /// `None`, said loudly, where this user may not make network namespaces.
    pub fn up(bench: &Bench) -> Option<Hosts> {
        Self::up_for(bench, "/bin/bash")
    }

    /// With this login shell of the user.
    pub fn up_for(bench: &Bench, login_shell: &str) -> Option<Hosts> {
        if !networks_can_be_made() {
            eprintln!("NOT RUN: three hosts on one machine need root, network namespaces and iproute2");
            return None;
        }
        let directory = bench.path("hosts");
        let (name, value) = bench.mark();
        let mut keeper = Command::new(project("tests/it/launch_support/hosts"))
            .arg("hold")
            .arg(&directory)
            .env(name, value)
            .env("LOGIN_SHELL", login_shell)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let open = keeper.stdin.take();
        let mut line = String::new();
        let mut output = BufReader::new(keeper.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let hosts = Hosts { directory, keeper, open };
        assert_eq!(line, "ready\n", "the hosts are not up");
        Some(hosts)
    }

    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(project("tests/it/launch_support/hosts"));
        command.arg(verb).arg(&self.directory);
        command
    }

    /// Takes a host off the network.
    pub fn cut(&self, host: &str) -> Moment {
        self.lose("cut", host)
    }

    /// Takes a host's power.
    pub fn off(&self, host: &str) -> Moment {
        self.lose("off", host)
    }

    fn lose(&self, verb: &str, host: &str) -> Moment {
        let status = self.command(verb).arg(host).status().unwrap();
        assert!(status.success(), "{verb} {host}: {status}");
        Moment::now()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        drop(self.open.take());
        let _ = self.keeper.wait();
    }
}
