//! Folders for what servers compile.
//!
//! Each is on the node's own disk, and no other server writes to it while this rank lives. The next start finds it
//! again: a rank takes the first folder whose lock is free, counted from the rank's place on the node. Caches are not
//! copied from one folder to another: what vLLM compiles names its own files by absolute paths (vLLM issue 52154), and
//! the servers of a node compile side by side, each on its own cores, in no more time than one.

use std::{
    fs::{DirBuilder, File},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::model::EngineName;

use super::private_folder::{NodeFolderError, private_folder, try_lock};

/// A cache folder that this process has locked.
#[derive(Debug)]
pub(crate) struct CacheFolder {
    folder: PathBuf,
    _lock: File,
}

impl CacheFolder {
    pub(crate) fn take(root: &Path, engine: &EngineName, local_rank: u32) -> Result<CacheFolder, NodeFolderError> {
        let caches = private_folder(root, "caches")?;
        let mut number = local_rank;
        loop {
            let folder = caches.join(format!("{engine}-{number}"));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(NodeFolderError::io(&folder, error));
                }
                _ => {}
            }
            if let Some(lock) = try_lock(&folder.join("lock"))? {
                return Ok(CacheFolder { folder, _lock: lock });
            }
            number += 1;
        }
    }

    /// The variables by which vLLM, PyTorch and Triton find the folder.
    pub(crate) fn variables(&self) -> [(&'static str, PathBuf); 3] {
        let below = |name: &str| self.folder.join(name);
        [
            ("VLLM_CACHE_ROOT", below("vllm")),
            ("TORCHINDUCTOR_CACHE_DIR", below("inductor")),
            ("TRITON_CACHE_DIR", below("triton")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_have_two_folders_and_the_next_start_finds_its_own() {
        let root = tempfile::tempdir().unwrap();
        let take = |rank| CacheFolder::take(root.path(), &"chandra".parse().unwrap(), rank).unwrap();
        let (first, second, other_run) = (take(0), take(1), take(0));
        let folders = [&first, &second, &other_run].map(|cache| cache.folder.file_name().unwrap().to_owned());
        assert_eq!(folders, ["chandra-0", "chandra-1", "chandra-2"]);
        assert!(first.variables().iter().all(|(_, path)| path.starts_with(&first.folder)));
        drop((first, second));
        assert_eq!(take(1).folder.file_name().unwrap(), "chandra-1");
    }
}
