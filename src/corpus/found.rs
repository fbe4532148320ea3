//! A file that was found below the inputs.

use std::path::PathBuf;

/// A document of the `root`-th input, before it has a name.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) root: usize,
    /// As in [`super::Candidate`].
    pub(super) path: PathBuf,
    /// How many of the path's last components are its name, at least 1.
    pub(super) components: usize,
    pub(super) problem: Option<String>,
    /// The same for two ways to one file: its path without links. What leads nowhere stands for itself.
    pub(super) identity: PathBuf,
}
