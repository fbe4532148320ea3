//! The path of a server's folder.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    process::getuid,
};
use sha2::{Digest, Sha256};

use crate::{
    model::{EngineName, error::chain},
    sys::{boot_id, host_name, random_hex},
};

use super::{FolderError, ServerFolder, server_name};

/// The second choice, after `TMPDIR`.
const FALLBACK: &str = "/tmp";

/// Longest path of a socket, bytes. Linux allows 108 with the final zero; some systems allow fewer.
const LONGEST_SOCKET: usize = 99;

impl ServerFolder {
    /// The folder of this run's server of an engine on a rank of this node. It is on this node, private, and the same
    /// for every start of the run. Its name has the rank's place on the node and not its GPU, which ranks may share.
    ///
    /// It is below `TMPDIR`, or else `/tmp`, or else `XDG_RUNTIME_DIR`: a `TMPDIR` may be missing on all nodes but the
    /// first, and a name in `/tmp` may be taken by another user. If no place is usable under the run's name but one can
    /// be written to, the folder gets a random suffix, and the next start cannot adopt its server.
    ///
    /// # Errors
    /// No place can be used, or the run directory does not exist.
    pub fn of(run_directory: &Path, engine: &EngineName, local_rank: u32) -> Result<ServerFolder, FolderError> {
        Self::below(&roots(), &run_name(run_directory)?, engine, local_rank)
    }

    /// Existing folders of all servers of a run on this node, in every place where [`ServerFolder::of`] may put them.
    ///
    /// # Errors
    /// The run directory does not exist.
    pub fn all_of(run_directory: &Path) -> Result<Vec<ServerFolder>, FolderError> {
        let name = run_name(run_directory)?;
        let is_of_run = |path: &PathBuf| {
            let folder = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            folder.strip_prefix(&name).is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('-'))
        };
        let runs = roots().into_iter().flat_map(|root| entries_of(&root)).filter(is_of_run);
        let mut folders: Vec<PathBuf> = runs.flat_map(|run| entries_of(&run)).collect();
        folders.sort();
        folders.dedup();
        Ok(folders.into_iter().map(ServerFolder).collect())
    }

    fn below(roots: &[PathBuf], run: &str, engine: &EngineName, local_rank: u32) -> Result<ServerFolder, FolderError> {
        let name = server_name(engine, local_rank);
        let usable = |root: &PathBuf, run: &str| {
            let folder = ServerFolder(root.join(run).join(&name));
            folder.check(root).map(|()| folder)
        };
        let mut tried = Vec::new();
        for root in roots {
            match usable(root, run) {
                Ok(folder) if tried.is_empty() => return Ok(folder),
                Ok(folder) => {
                    tracing::warn!("the server's folder is {}: {}", folder.0.display(), chain(&tried[0]));
                    return Ok(folder);
                }
                Err(error) => tried.push(error),
            }
        }
        let random = random_hex(4).map_err(|source| FolderError::Io { folder: PathBuf::from(FALLBACK), source })?;
        for root in roots {
            if let Ok(folder) = usable(root, &format!("{run}-{random}")) {
                tracing::warn!(
                    "the server's folder is {}; a later start will not find this server there: {}",
                    folder.0.display(),
                    chain(&tried[0])
                );
                return Ok(folder);
            }
        }
        Err(FolderError::Nowhere { tried })
    }

    /// Whether the folder can be made below `root`, or exists and is private.
    fn check(&self, root: &Path) -> Result<(), FolderError> {
        if self.socket("00000000").as_os_str().len() > LONGEST_SOCKET {
            return Err(FolderError::TooLong { folder: self.0.clone() });
        }
        access(root, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| FolderError::Io { folder: root.to_owned(), source: error.into() })?;
        self.exists().map(drop)
    }
}

/// The places for folders, in order of preference.
fn roots() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    [std::env::temp_dir(), PathBuf::from(FALLBACK)].into_iter().chain(runtime).collect()
}

/// A folder that cannot be read has none.
fn entries_of(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Name of the run's folder. It depends on the directory itself and not only on its path, which may be another
/// directory in another container; and on the node, since other nodes may share its `TMPDIR`, and on its boot.
fn run_name(run_directory: &Path) -> Result<String, FolderError> {
    let error = |source| FolderError::RunDirectory { path: run_directory.to_owned(), source };
    let path = std::fs::canonicalize(run_directory).map_err(error)?;
    let directory = std::fs::metadata(&path).map_err(error)?;
    let all = format!("{:?}", (path, directory.dev(), directory.ino(), host_name(), boot_id()));
    let digest = hex::encode(&Sha256::digest(all)[..6]);
    Ok(format!("bocr-{}-{digest}", getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn engine(name: &str) -> EngineName {
        name.parse().unwrap()
    }

    #[test]
    fn the_folder_is_the_same_for_every_start_and_short_enough_for_a_socket() {
        let run = tempfile::tempdir().unwrap();
        let of = |path: &Path| ServerFolder::of(path, &engine("deepseek"), 7).unwrap();
        let first = of(run.path());
        assert_eq!(first, of(&run.path().join("../").join(run.path().file_name().unwrap())));
        assert_eq!(first, ServerFolder::of(run.path(), &engine("chandra"), 7).unwrap().sibling(&engine("deepseek"), 7));
        assert_ne!(first, ServerFolder::of(run.path(), &engine("chandra"), 7).unwrap());
        assert!(first.control().as_os_str().len() < 100);
        assert!(!first.exists().unwrap());
        assert!(matches!(
            ServerFolder::of(&run.path().join("none"), &engine("chandra"), 0),
            Err(FolderError::RunDirectory { .. })
        ));
    }

    #[test]
    fn two_directories_seen_under_one_path_have_two_folders() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        std::fs::create_dir(&run).unwrap();
        let first = ServerFolder::of(&run, &engine("chandra"), 0).unwrap();
        std::fs::rename(&run, root.path().join("before")).unwrap();
        std::fs::create_dir(&run).unwrap();
        assert_ne!(first, ServerFolder::of(&run, &engine("chandra"), 0).unwrap());
    }

    #[test]
    fn a_place_that_cannot_be_used_gives_way_to_the_next_and_then_to_a_name_that_nobody_knows() {
        let root = tempfile::tempdir().unwrap();
        let [missing, first, second] = ["missing", "first", "second"].map(|name| root.path().join(name));
        std::fs::create_dir(&first).unwrap();
        std::fs::create_dir(&second).unwrap();
        let below = |roots: &[&PathBuf]| {
            let roots: Vec<PathBuf> = roots.iter().map(|root| (*root).clone()).collect();
            ServerFolder::below(&roots, "bocr-run", &engine("chandra"), 0)
        };
        let named = |root: &Path| ServerFolder(root.join("bocr-run/chandra-0"));
        assert_eq!(below(&[&missing, &first]).unwrap(), named(&first));
        let long = root.path().join("x".repeat(90));
        std::fs::create_dir(&long).unwrap();
        assert_eq!(below(&[&long, &first]).unwrap(), named(&first));

        // As another user's: the same check refuses it.
        std::fs::create_dir(first.join("bocr-run")).unwrap();
        std::fs::set_permissions(first.join("bocr-run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(below(&[&first, &second]).unwrap(), named(&second));
        let (one, other) = (below(&[&first]).unwrap(), below(&[&first]).unwrap());
        assert!(one != other && one != named(&first));
        assert!(one.lock().unwrap().is_some());

        let error = below(&[&missing, &long]).unwrap_err();
        assert!(matches!(error, FolderError::Nowhere { .. }));
        assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    }
}
