//! Private folders of this user on a node's own disk, shared by the user's runs, and their locks.

use std::{
    ffi::OsString,
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::process::getuid;

use crate::sys::{self, LockAttempt};

/// A folder that another user owns, or that is open to others.
#[derive(Debug, thiserror::Error)]
#[error("{folder} must be a folder that only this user can enter, but has owner {owner} and mode {mode:o}: remove it")]
pub struct NotPrivate {
    /// Path of the folder.
    pub folder: PathBuf,
    /// User id of its owner.
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
}

impl NotPrivate {
    /// Refuses a folder with this metadata unless only this user can enter it.
    pub(crate) fn check(folder: &Path, metadata: &Metadata) -> Result<(), NotPrivate> {
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        if metadata.is_dir() && owner == getuid().as_raw() && mode & 0o077 == 0 {
            Ok(())
        } else {
            Err(NotPrivate { folder: folder.to_owned(), owner, mode })
        }
    }
}

/// A folder or file of the node that cannot be used.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum NodeFolderError {
    /// Another user owns it, or it is open to others.
    #[error(transparent)]
    NotPrivate(#[from] NotPrivate),
    /// The operating system refuses.
    #[error("cannot use {path}")]
    Io { path: PathBuf, source: io::Error },
    /// A setting names a variable that is not set on this node.
    #[error("`{setting}` uses ${variable}, which is not set on this node: set it, or write the path itself")]
    NoVariable { setting: String, variable: String },
}

impl NodeFolderError {
    pub(crate) fn io(path: &Path, source: io::Error) -> NodeFolderError {
        NodeFolderError::Io { path: path.to_owned(), source }
    }
}

/// `root/bocr-UID-NAME`, which only this user can enter; made if it does not exist. `root` must exist.
pub(crate) fn private_folder(root: &Path, name: &str) -> Result<PathBuf, NodeFolderError> {
    let folder = root.join(format!("bocr-{}-{name}", getuid().as_raw()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(NodeFolderError::io(&folder, error)),
        _ => {}
    }
    let metadata = std::fs::symlink_metadata(&folder).map_err(|error| NodeFolderError::io(&folder, error))?;
    NotPrivate::check(&folder, &metadata)?;
    Ok(folder)
}

/// Locks a file, which is made if it does not exist, until it is dropped or the process ends; `None` while another
/// process has the lock.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, NodeFolderError> {
    let failed = |error| NodeFolderError::io(path, error);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(failed)?;
    let taken = sys::try_lock(&file).and_then(LockAttempt::required).map_err(failed)?;
    Ok(taken.then_some(file))
}

/// Expands a path of a setting on this node: a leading `~`, and every part that is `$NAME` or `${NAME}`.
pub(crate) fn expanded(
    setting: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, NodeFolderError> {
    let mut path = PathBuf::new();
    for (place, part) in setting.iter().enumerate() {
        let name = match part.to_str() {
            Some("~") if place == 0 => Some("HOME"),
            Some(part) => part.strip_prefix('$').map(|name| name.trim_start_matches('{').trim_end_matches('}')),
            None => None,
        };
        match name {
            None => path.push(part),
            Some(name) => path.push(variable(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                NodeFolderError::NoVariable { setting: setting.display().to_string(), variable: name.to_owned() }
            })?),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_setting_may_name_what_differs_from_node_to_node() {
        let variable = |name: &str| match name {
            "HOME" => Some(OsString::from("/home/reader")),
            "TMPDIR" => Some(OsString::from("/var/tmp/pbs.7")),
            _ => None,
        };
        let of = |setting: &str| expanded(Path::new(setting), variable).map_err(|error| error.to_string());
        assert_eq!(of("$TMPDIR").unwrap(), Path::new("/var/tmp/pbs.7"));
        assert_eq!(of("${TMPDIR}/models").unwrap(), Path::new("/var/tmp/pbs.7/models"));
        assert_eq!(of("~/models").unwrap(), Path::new("/home/reader/models"));
        assert_eq!(of("/scratch/~x").unwrap(), Path::new("/scratch/~x"));
        assert!(of("$SCRATCH/models").unwrap_err().contains("$SCRATCH"));
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = private_folder(root.path(), "caches").unwrap();
        assert_eq!(private_folder(root.path(), "caches").unwrap(), folder);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = private_folder(root.path(), "caches");
        assert!(matches!(refused, Err(NodeFolderError::NotPrivate(NotPrivate { mode: 0o755, .. }))));
        assert!(matches!(private_folder(&root.path().join("none"), "caches"), Err(NodeFolderError::Io { .. })));
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let first = try_lock(&path).unwrap();
        assert!(first.is_some() && try_lock(&path).unwrap().is_none());
        drop(first);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
