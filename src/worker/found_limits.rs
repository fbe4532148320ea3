//! The best number of requests in flight that ranks have found for servers like theirs: kept in the run directory for the
//! run's next start, and in the user's cache folder for other runs. A search then begins where an earlier one ended.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{model::RankId, sys::replace};

/// Most files that are read: enough for a median.
const MOST_FILES: usize = 64;

/// What makes two servers alike: they have the same best number of requests in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServerLikeness {
    /// Name of the profile.
    pub(super) profile: String,
    /// Model id or folder.
    pub(super) model: String,
    /// Names of the node's kinds of GPU; empty where no GPU is known.
    pub(super) gpu: String,
    /// SHA-256 of the whole profile and of the launch command, lower-case hex.
    pub(super) digest: String,
}

impl ServerLikeness {
    pub(super) fn digest_of(profile: &str, command: &[String]) -> String {
        hex::encode(Sha256::digest(format!("{:?}", (profile, command))))
    }
}

/// A file's content.
#[derive(Debug, Serialize, Deserialize)]
struct FoundLimit {
    server: ServerLikeness,
    in_flight: u32,
}

/// Reads and keeps the found limits of one kind of server.
#[derive(Debug, Clone)]
pub(super) struct FoundLimits {
    server: ServerLikeness,
    rank: RankId,
    /// In order of preference.
    folders: Vec<PathBuf>,
}

impl FoundLimits {
    /// `cache` is [`cache_folder`] for the server of a model on a known GPU; other servers are not alike from run to run.
    pub(super) fn new(server: ServerLikeness, rank: RankId, run_directory: &Path, cache: Option<PathBuf>) -> Self {
        let cache = cache.filter(|_| !server.gpu.is_empty());
        FoundLimits { server, rank, folders: [run_directory.join("in-flight")].into_iter().chain(cache).collect() }
    }

    /// The median of what ranks of this run found before, or else of other runs.
    pub(super) fn earlier(&self) -> Option<u32> {
        self.folders.iter().find_map(|folder| {
            let mut found = self.found_in(folder);
            found.sort_unstable();
            found.get(found.len() / 2).copied()
        })
    }

    /// A missing folder has none; a file that cannot be read says nothing.
    fn found_in(&self, folder: &Path) -> Vec<u32> {
        let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_of_server = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.starts_with(&self.stem()) && name.ends_with(".json")
        };
        let read = |path: PathBuf| serde_json::from_slice::<FoundLimit>(&fs::read(path).ok()?).ok();
        let found = paths.filter(is_of_server).filter_map(read).filter(|found| found.server == self.server);
        found.map(|found| found.in_flight).filter(|limit| *limit > 0).take(MOST_FILES).collect()
    }

    /// Keeps what this rank has found. It is no error where that cannot be written: the next search takes longer.
    pub(super) fn keep(&self, in_flight: u32) {
        for folder in &self.folders {
            if let Err(error) = self.write(folder, in_flight) {
                tracing::debug!(%error, "cannot keep the found limit of requests in flight in {}", folder.display());
            }
        }
    }

    fn write(&self, folder: &Path, in_flight: u32) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let found = serde_json::to_vec_pretty(&FoundLimit { server: self.server.clone(), in_flight })?;
        replace(&folder.join(format!("{}-{:04}.json", self.stem(), self.rank.0)), &found)
    }

    /// The beginning of the names of the files, without the name of the profile, which may be a path.
    fn stem(&self) -> String {
        hex::encode(&Sha256::digest(format!("{:?}", self.server))[..8])
    }
}

/// Where runs of this user keep what they found.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("bocr/in-flight"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(gpu: &str) -> ServerLikeness {
        let digest = ServerLikeness::digest_of("max_tokens = 1", &["vllm".into()]);
        ServerLikeness { profile: "chandra-2".into(), model: "lab/model".into(), gpu: gpu.into(), digest }
    }

    #[test]
    fn a_run_begins_with_what_it_found_itself_or_else_with_what_others_found_on_such_a_gpu() {
        let root = tempfile::tempdir().unwrap();
        let of = |gpu, rank, run: &str| {
            FoundLimits::new(server(gpu), RankId(rank), &root.path().join(run), Some(root.path().join("cache")))
        };
        assert_eq!(of("H200", 0, "first").earlier(), None);
        for (rank, found) in [(0, 96), (1, 120), (2, 100)] {
            of("H200", rank, "first").keep(found);
        }
        assert_eq!(of("H200", 7, "second").earlier(), Some(100), "the median");
        of("H200", 0, "second").keep(80);
        assert_eq!(of("H200", 1, "second").earlier(), Some(80));
        assert_eq!(of("A100", 0, "third").earlier(), None, "another GPU");
        assert_eq!(of("", 0, "first").earlier(), None);
    }

    #[test]
    fn a_server_without_a_known_gpu_and_a_damaged_file_say_nothing_to_other_runs() {
        let root = tempfile::tempdir().unwrap();
        let of = |gpu, run: &str| {
            FoundLimits::new(server(gpu), RankId(0), &root.path().join(run), Some(root.path().join("cache")))
        };
        of("", "first").keep(96);
        assert_eq!((of("", "first").earlier(), of("", "second").earlier()), (Some(96), None));
        of("H200", "first").keep(96);
        for file in fs::read_dir(root.path().join("cache")).unwrap() {
            fs::write(file.unwrap().path(), "{").unwrap();
        }
        assert_eq!(of("H200", "second").earlier(), None);
    }
}
