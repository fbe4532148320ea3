//! A login node of one test: a home, a job file, and a qsub and a qstat that do as they are told.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// Prints an id, and keeps its arguments. Refuses where a file `refuse` says why; says also what is in a file `says`, and
/// no id where there is a file `silent`. A file `version` is the answer to --version.
const QSUB: &str = r#"
[[ $1 != --version ]] || { cat "$fake/version" 2>/dev/null || echo "pbs_version = 23.06.06"; exit; }
[[ ! -e $fake/refuse ]] || { cat "$fake/refuse" >&2; exit 1; }
number=$(($(cat "$fake/last" 2>/dev/null || echo 0) + 1))
echo "$number" >"$fake/last"
printf '%s\n' "$@" >"$fake/qsub-$number"
[[ -e $fake/silent ]] || echo "$number.fake"
cat "$fake/says" 2>/dev/null || true
"#;

/// Runs one more of the steps that the test wrote for a job, the last one for ever; each prints what PBS says.
const QSTAT: &str = r#"
[[ "$1 $2" == "-x -f" ]] || exit 2
steps=$fake/$3
[[ -d $steps ]] || { echo "qstat: Unknown Job Id $3" >&2; exit 153; }
step=$(($(cat "$steps/at" 2>/dev/null || echo 0) + 1))
[[ -e $steps/$step ]] || step=$((step - 1))
echo "$step" >"$steps/at"
echo "Job Id: $3"
. "$steps/$step"
"#;

/// Keeps its arguments, its folder, and a variable that the job file's `setup` sets.
const PBS_JOB: &str = r#"#!/bin/bash
printf '%s\0' "$SET_UP" "$PWD" "$@" >"$RECORD"
"#;

pub struct LoginNode {
    folder: TempDir,
    home: PathBuf,
}

impl LoginNode {
    /// With the project's folder and the user's files in a folder of this name.
    pub fn new(home: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(home);
        fs::create_dir_all(home.join("project/scripts")).unwrap();
        fs::create_dir_all(home.join("gazettes")).unwrap();
        fs::create_dir_all(folder.path().join("bin")).unwrap();
        let node = LoginNode { folder, home };
        let command = |text: &str| format!("#!/bin/bash\nfake='{}'\n{text}", node.folder.path().display());
        executable(&node.path("bin/qsub"), &command(QSUB));
        executable(&node.path("bin/qstat"), &command(QSTAT));
        executable(&node.home("project/scripts/pbs-job"), PBS_JOB);
        node
    }

    /// A path beside the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The run directory that [`Self::job_file`] names.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path("run").join(name)
    }

    /// Writes `job.toml` with these lines of `[job]` more, and `rest` behind it.
    pub fn job_file(&self, more: &str, rest: &str) -> PathBuf {
        let path = self.home("job.toml");
        let run = self.path("run");
        let text = format!("[job]\nrun = {run:?}\ninput = [\"gazettes\"]\ngpus = 1\ncores = 4\n{more}\n{rest}");
        fs::write(&path, text).unwrap();
        path
    }

    /// What PBS says of a job, question by question.
    pub fn says(&self, job: &str, steps: &[&str]) {
        let folder = self.path(job);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for (number, step) in (1..).zip(steps) {
            fs::write(folder.join(format!("{number}")), step).unwrap();
        }
    }

    pub fn bocr(&self, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        self.bocr_with_path(arguments, &format!("{}:{path}", self.path("bin").display()))
    }

    pub fn bocr_with_path(&self, arguments: &[&str], path: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bocr"));
        command.args(arguments).env("PATH", path).env("BOCR_HOME", self.home("project")).stdin(Stdio::null());
        command
    }

    /// `bocr submit job.toml` with these options.
    pub fn submit(&self, options: &[&str]) -> Ended {
        let file = self.home("job.toml");
        let mut command = self.bocr(&["submit"]);
        Ended::of(&command.arg(file).args(options).output().unwrap())
    }

    pub fn follow(&self) -> Ended {
        let mut command = self.bocr(&["follow", "--every", "1"]);
        Ended::of(&command.arg(self.path("run")).output().unwrap())
    }

    /// Arguments of qsub for the job of this number.
    pub fn qsub(&self, number: u32) -> Vec<String> {
        let text = fs::read_to_string(self.path(&format!("qsub-{number}"))).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Ids and origins of the run's jobs.
    pub fn jobs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.run("job/jobs.tsv")).unwrap();
        let without_time = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            format!("{} {}", fields[0], fields[2])
        };
        text.lines().map(without_time).collect()
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Exit code and what was printed.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
    pub told: String,
}

impl Ended {
    pub fn of(output: &Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), said: text(&output.stdout), told: text(&output.stderr) }
    }

    /// Asserts the exit code, and that all of these words were told on standard error.
    pub fn refuses(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.told.contains(word), "`{word}` is not in {self:?}");
        }
    }

    pub fn succeeds(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.said
    }
}
