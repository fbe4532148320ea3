//! Names of the store's files below a run directory, and the few file operations that make them durable.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::error::{Context, Result};
use crate::model::RankId;

/// Which file of which rank. Names sort by rank, then by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreFile {
    /// The rank that wrote it.
    pub rank: RankId,
    /// Its number among that rank's files; never used twice in a run directory.
    pub sequence: u32,
}

/// Where the store's files are.
#[derive(Debug, Clone)]
pub struct Layout {
    run_directory: PathBuf,
}

impl Layout {
    /// The layout below a run directory.
    pub fn new(run_directory: &Path) -> Self {
        Layout { run_directory: run_directory.into() }
    }

    /// Journals and shards: `store/`.
    pub fn store(&self) -> PathBuf {
        self.run_directory.join("store")
    }

    /// The catalogue: `catalogue.h5`.
    pub fn catalogue(&self) -> PathBuf {
        self.run_directory.join("catalogue.h5")
    }

    /// Where exports go unless told otherwise: `export/`.
    pub fn export(&self) -> PathBuf {
        self.run_directory.join("export")
    }

    /// `store/rank-00003.0002.journal`
    pub fn journal(&self, file: StoreFile) -> PathBuf {
        self.store().join(format!("rank-{:05}.{:04}.journal", file.rank.0, file.sequence))
    }

    /// `store/shard-00003-0002.h5`
    pub fn shard(&self, file: StoreFile) -> PathBuf {
        self.store().join(shard_name(file))
    }

    /// `store/shard-00003-0002.h5.tmp`: a shard that is being written; never read.
    pub fn unfinished_shard(&self, file: StoreFile) -> PathBuf {
        self.store().join(format!("{}.tmp", shard_name(file)))
    }

    /// All journals, in order.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn journals(&self) -> Result<Vec<StoreFile>> {
        self.list(|name| parse(name, "rank-", '.', ".journal"))
    }

    /// All shards, in order.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn shards(&self) -> Result<Vec<StoreFile>> {
        self.list(|name| parse(name, "shard-", '-', ".h5"))
    }

    /// All shards whose writing was interrupted, in order.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn unfinished_shards(&self) -> Result<Vec<StoreFile>> {
        self.list(|name| parse(name, "shard-", '-', ".h5.tmp"))
    }

    /// The first sequence number that none of `rank`'s files has.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn next_sequence(&self, rank: RankId) -> Result<u32> {
        let files = [self.journals()?, self.shards()?, self.unfinished_shards()?];
        let used = files.iter().flatten().filter(|file| file.rank == rank).map(|file| file.sequence);
        Ok(used.max().map_or(0, |last| last + 1))
    }

    fn list(&self, parse: impl Fn(&str) -> Option<StoreFile>) -> Result<Vec<StoreFile>> {
        let store = self.store();
        let entries = match fs::read_dir(&store) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("list", &store)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let name = entry.doing("list", &store)?.file_name();
            files.extend(name.to_str().and_then(&parse));
        }
        files.sort();
        Ok(files)
    }
}

/// The file name of a shard, as the catalogue lists it.
pub(super) fn shard_name(file: StoreFile) -> String {
    format!("shard-{:05}-{:04}.h5", file.rank.0, file.sequence)
}

/// The shard with this file name.
pub(super) fn parse_shard_name(name: &str) -> Option<StoreFile> {
    parse(name, "shard-", '-', ".h5")
}

fn parse(name: &str, prefix: &str, separator: char, suffix: &str) -> Option<StoreFile> {
    let (rank, sequence) = name.strip_prefix(prefix)?.strip_suffix(suffix)?.split_once(separator)?;
    Some(StoreFile { rank: RankId(rank.parse().ok()?), sequence: sequence.parse().ok()? })
}

/// Makes creations, renames and deletions in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|handle| handle.sync_all()).doing("sync directory", directory)
}

/// Deletes a file; one that is not there is as good.
pub(super) fn remove_if_present(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.doing("delete", path),
    }
}

/// Writes a file under a temporary name in its directory, then renames it: a reader sees all of it or none.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).doing("create directory", directory)?;
    let temporary = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .doing("create a file in", directory)?;
    let mut buffered = BufWriter::new(temporary.as_file());
    write(&mut buffered).and_then(|()| buffered.flush()).doing("write", path)?;
    drop(buffered);
    temporary.persist(path).map(drop).map_err(|error| error.error).doing("rename a file to", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_numbering_goes_on_after_every_kind_of_file() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        assert_eq!(layout.next_sequence(RankId(3)).unwrap(), 0);
        fs::create_dir(layout.store()).unwrap();
        let file = |sequence| StoreFile { rank: RankId(3), sequence };
        assert!(layout.journal(file(2)).ends_with("store/rank-00003.0002.journal"));
        assert!(layout.shard(file(2)).ends_with("store/shard-00003-0002.h5"));
        for path in [layout.shard(file(1)), layout.journal(file(2)), layout.unfinished_shard(file(12_345))] {
            fs::write(path, "").unwrap();
        }
        fs::write(layout.store().join("notes.txt"), "").unwrap();
        assert_eq!(layout.shards().unwrap(), [file(1)]);
        assert_eq!(layout.journals().unwrap(), [file(2)]);
        assert_eq!(layout.unfinished_shards().unwrap(), [file(12_345)]);
        assert_eq!(layout.next_sequence(RankId(3)).unwrap(), 12_346);
        assert_eq!(layout.next_sequence(RankId(4)).unwrap(), 0);
    }
}
