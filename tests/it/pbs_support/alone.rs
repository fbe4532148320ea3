//! `scripts/pbs-job` in a job on this host alone, whose PBS and mpirun do as the test says: for what needs no ranks.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// What PBS calls the job.
pub const JOB: &str = "1.pbs";

/// The job that qsub makes of whatever it gets.
pub const NEXT: &str = "9.pbs";

/// An mpirun whose run settles a page and ends by its deadline.
pub const SETTLES_A_PAGE: &str = r#"
echo '{"settled":1,"restored":0}' >"$folder/run/status.json"
echo '{"exit_code":75,"outcome":{"stopped":"deadline"},"again":false,"silent_hosts":[]}' >"$folder/run/finished.json"
exit 75"#;

/// Tells what the test wrote of each job.
const QSTAT: &str = r#"
shift
for job; do
    if [[ -e $folder/$job ]]; then printf 'Job Id: %s\n%s\n\n' "$job" "$(<"$folder/$job")"
    else echo "qstat: Unknown Job Id $job" >&2 && code=153; fi
done
exit "${code:-0}""#;

/// A folder with the job's programs, and its run directory.
pub struct Alone {
    folder: TempDir,
}

impl Alone {
    /// With an mpirun of these lines.
    pub fn new(mpirun: &str) -> Self {
        let alone = Alone { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(alone.path("run/job")).unwrap();
        fs::create_dir(alone.path("bin")).unwrap();
        let mpirun = format!("case $1 in --version) echo 'mpirun (Open MPI) 4.1.4' && exit ;; esac\n{mpirun}");
        let qsub = format!("echo \"$*\" >>\"$folder/submitted\"; echo {NEXT}");
        for (name, lines) in [("mpirun", mpirun.as_str()), ("qstat", QSTAT), ("qsub", &qsub)] {
            alone.program(&format!("bin/{name}"), lines);
        }
        alone.write("nodes", "localhost\n");
        alone.write("run/job/job.pbs", "");
        alone.qstat(JOB, "job_state = R");
        alone
    }

    /// Writes a program of these lines.
    pub fn program(&self, name: &str, lines: &str) {
        self.write(name, &format!("#!/bin/bash\nfolder={}\n{lines}\n", self.path("").display()));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What is in a file; nothing where there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// An attribute that qstat tells of a job.
    pub fn qstat(&self, job: &str, attribute: &str) {
        let told = self.read(job);
        self.write(job, &format!("{told}    {attribute}\n"));
    }

    /// Starts the job, in a session of its own as PBS does; what it says comes into the file `output`.
    pub fn start(&self, options: &[&str]) -> Child {
        self.start_with(options, fs::File::create(self.path("output")).unwrap())
    }

    /// As [`Self::start`], with this file for what it says.
    pub fn start_with(&self, options: &[&str], output: fs::File) -> Child {
        let mut command = Command::new("setsid");
        command.args([
            "--wait",
            concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/pbs-job"),
            "--bocr",
            env!("CARGO_BIN_EXE_bocr"),
        ]);
        command.args(options).args(["--", "--output"]).arg(self.path("run"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command
            .env("PATH", path)
            .env("PBS_JOBID", JOB)
            .env("PBS_NODEFILE", self.path("nodes"))
            .env("PBS_CONF_FILE", self.path("pbs.conf"))
            .env_remove("BOCR_CHAIN");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).spawn().unwrap()
    }

    /// Runs the job to its end: its exit code, and what it said.
    pub fn run(&self, options: &[&str]) -> (Option<i32>, String) {
        let status = self.start(options).wait().unwrap();
        (status.code(), self.read("output"))
    }
}
