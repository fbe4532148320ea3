//! A home of its own for a script, with stand-ins for the programs that it calls: they write down how they were called.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Programs by name. `$SITE` is the home.
const PROGRAMS: [(&str, &str); 15] = [
    ("conda", include_str!("fakes/conda")),
    ("hf", include_str!("fakes/hf")),
    ("uname", "echo Linux x86_64"),
    ("getconf", "echo glibc 2.36"),
    ("df", "printf 'free\\n/dev/disk 1000 500 500 50%% /\\n'"),
    ("nvidia-smi", include_str!("fakes/nvidia-smi")),
    ("qstat", include_str!("fakes/qstat")),
    ("pbsnodes", "printf 'n1\\n  resources_available.ncpus = 64\\n  resources_available.ngpus = 8\\n'"),
    ("qmgr", "echo Unauthorized; exit 1"),
    ("fake-mpirun", "case $1 in --version) echo 'mpirun (Open MPI) 4.1.4' ;; esac"),
    ("ompi_info", "echo 'mca:plm:tm:version:\"mca:2.1.0\"'"),
    ("fake-agent", include_str!("fakes/agent")),
    ("tesseract", "echo tesseract 5; printf 'fra\\nara\\nosd\\n'"),
    ("late/date", "echo 1000000000.000000000"),
    ("base/bin/activate", "PATH=$1/bin:$PATH"),
];

/// Variables of the machine that the tests run on, and must not depend on.
const NOT_OURS: [&str; 7] =
    ["BOCR_ENVIRONMENTS", "BOCR_MODELS", "PBS_JOBID", "PBS_NODEFILE", "LOADEDMODULES", "HF_HOME", "LMOD_DIR"];

/// What is in a text file.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The home.
pub struct Site {
    home: TempDir,
}

impl Site {
    /// An empty one.
    pub fn new() -> Self {
        let site = Site { home: tempfile::tempdir().unwrap() };
        for (name, lines) in PROGRAMS {
            let path = site.path("bin").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if lines.starts_with("#!") { lines.to_owned() } else { format!("#!/bin/bash\n{lines}\n") };
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(site.path("libpdfium.so"), "").unwrap();
        site
    }

    /// A path below the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where environments are made.
    pub fn environments(&self) -> PathBuf {
        self.path(".local/share/bocr/environments")
    }

    /// Runs a script to its end.
    pub fn run(&self, script: &str, arguments: &[&str]) -> Said {
        self.run_with(script, arguments, &[])
    }

    /// As [`Self::run`], with these variables more.
    pub fn run_with(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(Path::new(PROJECT).join("scripts").join(script));
        for name in NOT_OURS {
            command.env_remove(name);
        }
        let output = command
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.home.path())
            .env("SITE", self.home.path())
            .env("MODULESHOME", self.path("modules"))
            .env("PDFIUM_LIB", self.path("libpdfium.so"))
            .env("CUDA_VISIBLE_DEVICES", "GPU-aaaa")
            // No network in tests.
            .env("PIP_NO_INDEX", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Said { output }
    }

    /// What the stand-ins were called with, a line each.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// Every path below the home.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found
    }
}

/// What a script said, and how it ended.
pub struct Said {
    output: Output,
}

impl Said {
    /// Standard output and standard error.
    pub fn text(&self) -> String {
        [&self.output.stdout, &self.output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn ends_with(&self, code: i32) {
        assert_eq!(self.output.status.code(), Some(code), "{}", self.text());
    }

    /// Demands a piece of text.
    #[track_caller]
    pub fn says(&self, piece: &str) {
        assert!(self.text().contains(piece), "no `{piece}` in:\n{}", self.text());
    }
}
