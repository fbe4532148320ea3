//! Where the files of a model are, and their sizes and times.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::private_folder::{NodeFolderError, expanded};

/// The files of a model cannot be found.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model is neither a folder nor in the cache of downloaded models.
    #[error(
        "the files of model {model} are not in {cache}: download them with scripts/models, set engines.X.model to \
         their folder, or leave out node.stage"
    )]
    NotFound { model: String, cache: PathBuf },
    /// The model is a path, and no folder is there.
    #[error(
        "engines.X.model is {0}, and there is no such folder: correct the path, or download the model with \
         scripts/models"
    )]
    NoFolder(PathBuf),
    /// A path has a variable that is not set on this node.
    #[error(transparent)]
    Folder(#[from] NodeFolderError),
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ModelFile {
    /// Relative to the model's folder.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub(crate) modified: u128,
}

/// The folder of a model: the model itself if it is one, or its snapshot in the Hugging Face cache. `variable` reads
/// the environment variables by which Hugging Face finds that cache.
pub(crate) fn folder_of(
    model: &str,
    revision: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, ModelError> {
    let folder = expanded(Path::new(model), &variable)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    if folder.is_absolute() {
        return Err(ModelError::NoFolder(folder));
    }
    let of = |name: &str, below: &str| {
        variable(name).filter(|value| !value.is_empty()).map(|value| Path::new(&value).join(below))
    };
    let cache = of("HF_HUB_CACHE", "")
        .or_else(|| of("HUGGINGFACE_HUB_CACHE", ""))
        .or_else(|| of("HF_HOME", "hub"))
        .or_else(|| of("XDG_CACHE_HOME", "huggingface/hub"))
        .unwrap_or_else(|| PathBuf::from("~/.cache/huggingface/hub"));
    let cache = expanded(&cache, &variable)?;
    let kept = cache.join(format!("models--{}", model.replace('/', "--")));
    let commit = std::fs::read_to_string(kept.join("refs").join(revision));
    let snapshot = kept.join("snapshots").join(commit.as_deref().map_or(revision, str::trim));
    if snapshot.is_dir() { Ok(snapshot) } else { Err(ModelError::NotFound { model: model.to_owned(), cache }) }
}

/// The files below a folder in order, links followed. Hidden folders, in which tools keep their own data, are left out.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<ModelFile>> {
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let entries = WalkDir::new(folder).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
    let mut files = Vec::new();
    for entry in entries.filter_entry(|entry| !(entry.file_type().is_dir() && is_hidden(entry.file_name()))) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let metadata = entry.metadata()?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = entry.path().strip_prefix(folder).map_err(io::Error::other)?.to_owned();
        files.push(ModelFile { path, bytes: metadata.len(), modified });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_folder_or_a_snapshot_in_the_cache_of_its_environment() {
        let root = tempfile::tempdir().unwrap();
        let kept = root.path().join("home/hub/models--lab--model");
        let snapshot = kept.join("snapshots/5e1f");
        std::fs::create_dir_all(kept.join("blobs")).unwrap();
        std::fs::create_dir_all(kept.join("refs")).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(kept.join("refs/main"), "5e1f\n").unwrap();
        std::fs::write(kept.join("blobs/77"), "weights").unwrap();
        std::os::unix::fs::symlink("../../blobs/77", snapshot.join("model.safetensors")).unwrap();
        let home = root.path().join("home");
        let with = |name: &'static str, value: PathBuf| {
            move |asked: &str| (asked == name).then(|| value.clone().into_os_string())
        };

        assert_eq!(folder_of("lab/model", "main", with("HF_HOME", home.clone())).unwrap(), snapshot);
        assert_eq!(folder_of("lab/model", "5e1f", with("HF_HUB_CACHE", home.join("hub"))).unwrap(), snapshot);
        assert_eq!(folder_of(home.to_str().unwrap(), "main", |_| None).ok(), Some(home.clone()));
        let error = folder_of("lab/other", "main", with("HF_HOME", home)).unwrap_err().to_string();
        assert!(error.contains("scripts/models") && error.contains("home/hub"), "{error}");

        let gone = root.path().join("gone");
        let error = folder_of(gone.to_str().unwrap(), "main", |_| None).unwrap_err();
        assert!(matches!(error, ModelError::NoFolder(_)) && error.to_string().contains("engines.X.model"), "{error}");

        let [file] = &files(&snapshot).unwrap()[..] else { panic!("one file") };
        assert_eq!((file.path.to_str().unwrap(), file.bytes), ("model.safetensors", 7));
    }
}
