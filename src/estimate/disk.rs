//! What a run writes, against what its file system has.

use std::{
    fs, io,
    ops::AddAssign,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::store::Layout;

/// Shards and catalogue of a page, bytes: measured on 122 pages read by the stand-in with Tesseract, 2,105 and 141.
const STORED: f64 = 2_250.0;
/// A shard is a fifth of its journal, see [`crate::store::UnfinishedFiles::shares`].
const JOURNAL_OF_SHARD: f64 = 5.0;
/// Markdown, HTML and JSONL of a page, bytes: measured on the same pages.
const EXPORTED: f64 = 30_000.0;

/// What pages of an earlier run took on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StoredPage {
    /// Shards and catalogue, bytes.
    pub bytes: u64,
    /// Their pages.
    pub pages: u64,
}

impl StoredPage {
    /// Of the run whose report this is; nothing where its store is not beside it.
    pub(super) fn of_run(report: &Path, pages: u64) -> StoredPage {
        let Some(folder) = report.parent() else { return StoredPage::default() };
        let layout = Layout::new(folder);
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let shards = layout.shards().unwrap_or_default();
        let bytes: u64 = shards.iter().map(|shard| size(layout.shard(*shard))).sum();
        if bytes == 0 { StoredPage::default() } else { StoredPage { bytes: bytes + size(layout.catalogue()), pages } }
    }

    /// Bytes of a page; assumed where nothing is known.
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

/// Bytes that the run directory needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disk {
    /// Where; the nearest folder that is there already.
    pub folder: PathBuf,
    /// Shards and catalogue.
    pub store: u64,
    /// Most of the journals while the run works, until they are sealed.
    pub journals: u64,
    /// Markdown, HTML and JSONL, if all three are exported.
    pub export: u64,
    /// Free on that file system for this user; `None` where it does not say.
    pub free: Option<u64>,
    /// Where the bytes of a page come from.
    pub source: String,
}

impl Disk {
    /// For so many pages on so many ranks, each of which may hold two journals of `shard` bytes: one that is sealed, one
    /// that is written.
    pub fn of(pages: u64, ranks: u32, shard: u64, stored: StoredPage, run_directory: &Path) -> Disk {
        let folder = run_directory.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned();
        let store = pages as f64 * stored.of_one();
        let most_journals = 2.0 * f64::from(ranks) * shard as f64;
        let source = match stored.pages {
            0 => format!("{STORED} bytes a page in shards, {EXPORTED} in exports: measured on 122 pages of a stand-in"),
            pages => format!("{:.0} bytes a page in shards, as in earlier runs' {pages} pages", stored.of_one()),
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

    /// Bytes for the run itself.
    pub fn needed(&self) -> u64 {
        self.store + self.journals
    }

    /// Whether that is surely too much.
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
