//! A file that was found in the inputs.

use std::path::PathBuf;

/// A document that was found, before it has a name.
#[derive(Debug)]
pub(super) struct Found {
    /// Position of its input.
    pub(super) root: usize,
    /// As in [`super::Candidate`].
    pub(super) path: PathBuf,
    /// How many of the last components of `path` are its path relative to the input, at least 1.
    pub(super) components: usize,
    pub(super) problem: Option<String>,
    /// Equal for two paths to one file: the path with all links resolved. For a dangling link, the path itself.
    pub(super) identity: PathBuf,
}
