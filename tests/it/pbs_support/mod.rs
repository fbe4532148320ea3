//! A small PBS on three hosts of one machine, and a run that it does as a job.

pub mod alone;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    launch_support::{FIRST_LEASE_STALLS, Hosts},
    run_support::{Bench, SHORT_ANSWERS, text, until},
};

/// The longest that a job may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(150);

/// Three hosts under a PBS of their own, which go with it.
pub struct Pbs<'a> {
    bench: &'a Bench,
    pub hosts: Hosts,
    server: Child,
}

/// The limit on open files in the set-up lines of a job file.
pub const OPEN_FILES: u32 = 3210;

/// Seconds until a job whose first node is lost is queued again.
const NODE_FAIL_REQUEUE: u32 = 1;

/// How a site has set up its PBS.
pub struct Site {
    /// Seconds from SIGTERM to SIGKILL.
    pub kill_delay: u32,
    /// Seconds from the loss of a node to the end of a job that does not tolerate it.
    pub max_poll_downtime: u32,
    /// The user's login shell.
    pub login_shell: &'static str,
}

impl Default for Site {
    fn default() -> Self {
        Site { kill_delay: 10, max_poll_downtime: 300, login_shell: "/bin/bash" }
    }
}

/// What a job asks for, and which run it does.
pub struct JobScript<'a> {
    pub select: &'a str,
    pub walltime: &'a str,
    /// More options of `scripts/pbs-job`.
    pub options: &'a str,
    /// More arguments of `bocr run`.
    pub arguments: &'a str,
}

impl Default for JobScript<'_> {
    fn default() -> Self {
        JobScript { select: "3:ncpus=2:mpiprocs=1", walltime: "00:10:00", options: "", arguments: "" }
    }
}

impl<'a> Pbs<'a> {
    /// `None`, said loudly, where this user may not make network namespaces.
    pub fn up(bench: &'a Bench) -> Option<Self> {
        Self::up_at(bench, &Site::default())
    }

    /// With a PBS that is set up like this.
    pub fn up_at(bench: &'a Bench, site: &Site) -> Option<Self> {
        let hosts = Hosts::up_for(bench, site.login_shell)?;
        let log = || File::create(bench.path("pbs.log")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pbs_support/server.py");
        let mut command = hosts.command("world");
        command.env("LOGIN_SHELL", site.login_shell);
        command.args(["python3", "-B"]).arg(script).arg(&hosts.directory);
        command.args([site.kill_delay, NODE_FAIL_REQUEUE, site.max_poll_downtime].map(|limit| limit.to_string()));
        let server = command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().unwrap();
        let pbs = Pbs { bench, hosts, server };
        until("PBS is up", || pbs.folder("socket").exists());
        Some(pbs)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.hosts.directory.join("pbs").join(name)
    }

    fn call(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.folder("bin").join(name));
        command.args(arguments).current_dir(self.bench.path("")).output().unwrap()
    }

    /// A command of PBS, which must succeed.
    pub fn command(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.call(name, arguments);
        assert!(output.status.success(), "{name} {arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `bocr` on a login node, where PBS's commands are on the `PATH`.
    pub fn bocr(&self, arguments: &[&str]) -> Output {
        let mut path = self.folder("bin").into_os_string();
        path.push(":");
        path.push(env::var_os("PATH").unwrap());
        self.bench.bocr(arguments).env("PATH", path).output().unwrap()
    }

    /// Submits a job file with these lines of `[job]` more, and returns the job's id.
    pub fn submit_file(&self, asked: &str) -> String {
        let file = self.job_file(asked, "0", "", "");
        let submitted = self.bocr(&["submit", file.to_str().unwrap()]);
        assert!(submitted.status.success(), "{}", text(&submitted));
        String::from_utf8(submitted.stdout).unwrap().lines().next().unwrap().to_owned()
    }

    /// Writes a job file with these lines of `[job]` more, and a configuration as [`Self::configure`] does, with these
    /// lines of `[schedule]` and of `[engines.chandra]` more.
    pub fn job_file(&self, asked: &str, time_scale: &str, schedule: &str, engine: &str) -> PathBuf {
        let (name, value) = self.bench.mark();
        let (run, input) = (self.bench.run_directory(), self.bench.path("input"));
        let text = format!(
            "roles = \"chandra\"\n[job]\nrun = {run:?}\ninput = [{input:?}]\nsetup = \"export {name}={value}; ulimit -S -n {OPEN_FILES}\"\n{asked}\n{}",
            configuration(self.bench, time_scale, schedule, engine)
        );
        self.bench.write("job.toml", &text)
    }

    /// Writes RUNDIR/job/job.pbs, as `bocr submit` would.
    pub fn write_script(&self, script: &JobScript<'_>) -> PathBuf {
        let run = self.bench.run_directory();
        fs::create_dir_all(run.join("job/output")).unwrap();
        let (name, value) = self.bench.mark();
        let (project, bocr) = (env!("CARGO_MANIFEST_DIR"), env!("CARGO_BIN_EXE_bocr"));
        let JobScript { select, walltime, options, arguments } = script;
        let (run, input) = (run.display(), self.bench.path("input"));
        let (input, configuration) = (input.display(), self.bench.path("configuration.toml"));
        let text = format!(
            "#!/bin/bash\n#PBS -N bocr -l select={select} -l place=scatter\n#PBS -l walltime={walltime}\n\
             #PBS -r y -j oe -k oed -o {run}/job/output/\nexport {name}={value}\n\
             {project}/scripts/pbs-job --bocr {bocr} {options} -- \\\n  \
             --input {input} --output {run} --config {} --roles chandra {arguments}\n",
            configuration.display()
        );
        let path = self.bench.run_directory().join("job/job.pbs");
        fs::write(&path, text).unwrap();
        path
    }

    /// Submits a run of four pages, one of which gets no answer under its first lease.
    pub fn submit_stalling(&self, script: &JobScript<'_>) -> String {
        self.configure("0");
        let arguments = format!("--faults {}", self.stalling_inputs().display());
        self.submit(&JobScript { arguments: &arguments, ..*script })
    }

    /// Inputs of four pages, and the fault script by which one of them gets no answer under its first lease.
    pub fn stalling_inputs(&self) -> PathBuf {
        self.bench.inputs(&["pages/digital_fr.pdf", "pages/scan_fr.pdf", "pages/digital_ar.pdf"]);
        self.bench.write("faults.toml", FIRST_LEASE_STALLS)
    }

    /// Small images, stand-ins that answer at this pace, a disk that is written at once, and short phases of an end.
    pub fn configure(&self, time_scale: &str) {
        self.bench.write("configuration.toml", &configuration(self.bench, time_scale, "", ""));
    }

    /// As [`Self::configure`], but pages in flight may go on for as long as by default after a stop.
    pub fn configure_with_long_drain(&self) {
        let text = configuration(self.bench, "0", "", "");
        self.bench.write("configuration.toml", &text.replace("drain = \"1s\"\n", ""));
    }

    /// Submits it, and returns its id.
    pub fn submit(&self, script: &JobScript<'_>) -> String {
        let script = self.write_script(script);
        self.command("qsub", &[script.to_str().unwrap()])
    }

    /// An attribute of a job, as `qstat` tells it.
    pub fn attribute(&self, job: &str, name: &str) -> Option<String> {
        let told: serde_json::Value =
            serde_json::from_str(&self.command("qstat", &["-x", "-f", "-F", "json", job])).unwrap();
        let value = &told["Jobs"][job][name];
        value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
    }

    /// Waits for the end of a job, and returns its `Exit_status`.
    pub fn end(&self, job: &str) -> i32 {
        // Each look starts an interpreter.
        let pause = Duration::from_millis(300);
        self.await_every(pause, job, "it has ended", || self.attribute(job, "job_state").as_deref() == Some("F"));
        self.attribute(job, "Exit_status").unwrap().parse().unwrap()
    }

    /// Waits until three of the four pages are settled.
    pub fn all_but_one_settled(&self, job: &str) {
        let status = self.bench.run_directory().join("status.json");
        let settled =
            || serde_json::from_slice::<serde_json::Value>(&fs::read(&status).ok()?).ok()?["settled"].as_u64();
        self.await_that(job, "three pages are settled", || settled() == Some(3));
    }

    pub fn await_that(&self, job: &str, what: &str, condition: impl FnMut() -> bool) {
        self.await_every(Duration::from_millis(50), job, what, condition);
    }

    fn await_every(&self, pause: Duration, job: &str, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition() {
            assert!(Instant::now() < deadline, "waited {LIMIT:?} until {what}: {}", self.output(job));
            std::thread::park_timeout(pause);
        }
    }

    /// What a job wrote.
    pub fn output(&self, job: &str) -> String {
        let path = self.bench.run_directory().join(format!("job/output/{job}.OU"));
        fs::read_to_string(path).unwrap_or_default() + &fs::read_to_string(self.bench.path("pbs.log")).unwrap()
    }

    /// A file of RUNDIR/job.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.bench.run_directory().join("job").join(name)).unwrap_or_default()
    }

    /// Signals that PBS sent to the job.
    pub fn events(&self, job: &str) -> Vec<String> {
        let events = fs::read_to_string(self.folder("events")).unwrap_or_default();
        events.lines().filter_map(|line| line.strip_prefix(job)).map(|what| what.trim().to_owned()).collect()
    }
}

fn configuration(bench: &Bench, time_scale: &str, schedule: &str, engine: &str) -> String {
    let profile = bench.small_profile(crate::engines::CHANDRA);
    let arguments = [&["--time-scale", time_scale], &SHORT_ANSWERS[..]].concat();
    format!(
        "[engines.chandra]\nprofile = {profile:?}\n{engine}\
         [engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\narguments = {arguments:?}\n\
         [store]\nsync_interval = \"50ms\"\nsync_records = 1\n\
         [schedule]\nraces = false\ndrain = \"1s\"\nseal_reserve = \"1s\"\n{schedule}"
    )
}

impl Drop for Pbs<'_> {
    fn drop(&mut self) {
        // The hosts' process space may have ended it already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
