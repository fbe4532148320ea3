//! What an estimate takes from the table `[job]` of a job file.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use serde::Deserialize;

/// What the job reads, and what it asks PBS for. Other keys are not this one's matter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct JobTable {
    /// Run directory.
    pub run: Option<PathBuf>,
    /// Files and folders to read.
    pub input: Vec<PathBuf>,
    /// Text files that name more of them.
    pub list: Vec<PathBuf>,
    /// Nodes.
    pub nodes: Option<NonZeroU32>,
    /// GPUs of a node.
    pub gpus: Option<u32>,
    /// Ranks of a node, where it has no GPU.
    pub ranks: Option<NonZeroU32>,
    /// Cores of a node.
    pub cores: Option<NonZeroU32>,
    /// Memory of a node, as PBS reads it.
    pub memory: Option<String>,
    /// Walltime, HH:MM:SS.
    pub walltime: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    job: JobTable,
}

impl JobTable {
    /// The table of a job file's text, with paths relative to the `folder` of the file; all empty in a file without it.
    ///
    /// # Errors
    /// A syntax error or a value of another type, with its line.
    pub fn from_toml(text: &str, folder: &Path) -> Result<JobTable, toml::de::Error> {
        let table = toml::from_str::<File>(text)?.job;
        let all = |paths: Vec<PathBuf>| paths.iter().map(|path| resolve(folder, path)).collect();
        Ok(JobTable {
            run: table.run.map(|path| resolve(folder, &path)),
            input: all(table.input),
            list: all(table.list),
            ..table
        })
    }

    /// Memory of a node; `None` where it is not said, or not as PBS reads it. The units of PBS are powers of 1024.
    pub fn memory(&self) -> Option<ByteSize> {
        let text = self.memory.as_deref()?.trim().to_lowercase();
        let unit = text.find(|character: char| !character.is_ascii_digit())?;
        let factor = match &text[unit..] {
            "tb" => bytesize::TIB,
            "gb" => bytesize::GIB,
            "mb" => bytesize::MIB,
            "kb" => bytesize::KIB,
            _ => return None,
        };
        text[..unit].parse::<u64>().ok()?.checked_mul(factor).map(ByteSize)
    }
}

fn resolve(folder: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(below), Some(home)) => Path::new(&home).join(below),
        _ => folder.join(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_file_says_what_is_read_and_with_what() {
        let text = "roles = \"chandra\"\n[job]\nrun = \"run\"\ninput = [\"/data/fr\", \"ar\"]\nnodes = 2\ngpus = 4\n\
                    cores = 80\nmemory = \"720gb\"\nwalltime = \"12:00:00\"\nqueue = \"gpu_1d\"\n";
        let table = JobTable::from_toml(text, Path::new("/job")).unwrap();
        assert_eq!((table.run.as_deref(), table.gpus), (Some(Path::new("/job/run")), Some(4)));
        assert_eq!(table.input, [Path::new("/data/fr"), Path::new("/job/ar")]);
        assert_eq!(table.memory(), Some(ByteSize::gib(720)));
        assert_eq!(JobTable::from_toml("", Path::new("/")).unwrap(), JobTable::default());
    }
}
