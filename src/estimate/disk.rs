//! The disk space that a run needs, and the free space on its file system.

use std::{
    fs, io,
    ops::AddAssign,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::store::Layout;

/// Bytes of shards and catalogue for each page: 2,105 and 141, measured on 122 pages that the stand-in read with
/// Tesseract.
const STORED: f64 = 2_250.0;
/// Size of a journal divided by the size of its shard; see [`crate::store::UnfinishedFiles::shares`].
const JOURNAL_OF_SHARD: f64 = 5.0;
/// Bytes of Markdown, HTML and JSONL for each page, measured on the same pages.
const EXPORTED: f64 = 30_000.0;

/// The disk space of pages of earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StoredPage {
    /// Size of shards and catalogue in bytes.
    pub bytes: u64,
    /// Pages in these shards.
    pub pages: u64,
}

impl StoredPage {
    /// The disk space of the run with this report; zero if the store is not in the report's folder.
    pub(super) fn of_run(report: &Path, pages: u64) -> StoredPage {
        let Some(folder) = report.parent() else { return StoredPage::default() };
        let layout = Layout::new(folder);
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let shards = layout.shards().unwrap_or_default();
        let bytes: u64 = shards.iter().map(|shard| size(layout.shard(*shard))).sum();
        if bytes == 0 { StoredPage::default() } else { StoredPage { bytes: bytes + size(layout.catalogue()), pages } }
    }

    /// Bytes of one page; the measured constant if no page is known.
    fn of_one(self) -> f64 {
        if self.pages > 0 { self.bytes as f64 / self.pages as f64 } else { STORED }
    }
}

impl AddAssign for StoredPage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.pages += other.pages;
    }
}

/// The disk space that the run directory needs, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disk {
    /// The run directory, or its nearest parent folder that exists.
    pub folder: PathBuf,
    /// Bytes of shards and catalogue.
    pub store: u64,
    /// The most bytes of journals at any time of the run, before they are sealed.
    pub journals: u64,
    /// Bytes of Markdown, HTML and JSONL, if all three are exported.
    pub export: u64,
    /// Free bytes on that file system for this user; `None` where the file system does not report them.
    pub free: Option<u64>,
    /// The source of the bytes for each page.
    pub source: String,
}

impl Disk {
    /// The disk space for `pages` pages on `ranks` ranks. Each rank may have two journals of `shard` bytes: one that is
    /// sealed and one that is written.
    pub fn of(pages: u64, ranks: u32, shard: u64, stored: StoredPage, run_directory: &Path) -> Disk {
        let folder = run_directory.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned();
        let store = pages as f64 * stored.of_one();
        let most_journals = 2.0 * f64::from(ranks) * shard as f64;
        let source = match stored.pages {
            0 => format!("{STORED} bytes a page in shards, {EXPORTED} in exports: measured on 122 pages of a stand-in"),
            pages => format!("{:.0} bytes a page in shards, as in {pages} pages of earlier runs", stored.of_one()),
        };
        Disk {
            store: store as u64,
            journals: (store * JOURNAL_OF_SHARD).min(most_journals) as u64,
            export: (pages as f64 * EXPORTED) as u64,
            free: free(&folder).ok(),
            folder,
            source,
        }
    }

    /// Bytes that the run needs, without exports.
    pub fn needed(&self) -> u64 {
        self.store + self.journals
    }

    /// Whether the run needs more than the free space.
    pub fn is_short(&self) -> bool {
        self.free.is_some_and(|free| self.needed() > free)
    }
}

fn free(folder: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(folder)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_are_bounded_by_the_ranks_and_a_run_directory_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("not/yet");
        let small = Disk::of(1000, 4, 256 << 20, StoredPage::default(), &run);
        assert_eq!((small.store, small.journals, small.export), (2_250_000, 11_250_000, 30_000_000));
        assert_eq!(small.folder, folder.path());
        assert!(small.free.is_some() && !small.is_short());
        let large = Disk::of(1_000_000_000, 4, 1 << 20, StoredPage { bytes: 4000, pages: 2 }, &run);
        assert_eq!((large.store, large.journals), (2_000_000_000_000, 8 << 20));
        assert!(Disk { free: Some(1 << 40), ..large }.is_short());
    }
}
