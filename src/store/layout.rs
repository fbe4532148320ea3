//! Names of the store's files in a run directory, and the file operations that make the files durable.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use super::error::{Context, Result};
use crate::model::{RankId, RecordPlace};

/// A name of this process for its temporary files; no other process on any node has the same one.
static PROCESS: LazyLock<String> =
    LazyLock::new(|| format!("{}-{:08x}", process::id(), RandomState::new().hash_one(process::id()) as u32));

const CATALOGUE: &str = "catalogue.h5";
const DAMAGED: &str = ".damaged";

/// A journal or shard, named by rank and number. File names sort by rank, then by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreFile {
    /// The rank that wrote it.
    pub rank: RankId,
    /// Its number among the files of that rank; never used twice in a run directory.
    pub sequence: u32,
}

impl StoreFile {
    /// The place of row `row` of this file.
    pub fn place(self, row: u32) -> RecordPlace {
        RecordPlace { rank: self.rank, sequence: self.sequence, row }
    }
}

impl From<RecordPlace> for StoreFile {
    fn from(place: RecordPlace) -> Self {
        StoreFile { rank: place.rank, sequence: place.sequence }
    }
}

/// The paths of the store's files.
#[derive(Debug, Clone)]
pub struct Layout {
    run_directory: PathBuf,
}

impl Layout {
    /// The layout below a run directory.
    pub fn new(run_directory: &Path) -> Self {
        Layout { run_directory: run_directory.into() }
    }

    pub(super) fn run_directory(&self) -> &Path {
        &self.run_directory
    }

    /// Journals and shards: `store/`.
    pub fn store(&self) -> PathBuf {
        self.run_directory.join("store")
    }

    /// The catalogue: `catalogue.h5`.
    pub fn catalogue(&self) -> PathBuf {
        self.run_directory.join(CATALOGUE)
    }

    /// The default folder of exports: `export/`.
    pub fn export(&self) -> PathBuf {
        self.run_directory.join("export")
    }

    /// `store/rank-00003.0002.journal`
    pub fn journal(&self, file: StoreFile) -> PathBuf {
        self.store().join(journal_name(file))
    }

    /// `store/rank-00003.0002.journal.damaged`: a damaged journal, kept after its readable records were sealed.
    pub fn damaged_journal(&self, file: StoreFile) -> PathBuf {
        self.store().join(journal_name(file) + DAMAGED)
    }

    /// `store/shard-00003-0002.h5`
    pub fn shard(&self, file: StoreFile) -> PathBuf {
        self.store().join(shard_name(file))
    }

    /// `store/shard-00003-0002.h5.71-c0ffee00.tmp`: a shard that this process is writing; never read. The name is
    /// unique to the process: a rank that outlived its run cannot rename a file that another process is still writing.
    pub fn unfinished_shard(&self, file: StoreFile) -> PathBuf {
        self.store().join(format!("{}.{}.tmp", shard_name(file), *PROCESS))
    }

    /// `catalogue.h5.71-c0ffee00.tmp`: a catalogue that this process is writing.
    pub(super) fn unfinished_catalogue(&self) -> PathBuf {
        self.run_directory.join(format!("{CATALOGUE}.{}.tmp", *PROCESS))
    }

    /// All journals, in order.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn journals(&self) -> Result<Vec<StoreFile>> {
        Ok(self.listing()?.journals)
    }

    /// All shards, in order.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn shards(&self) -> Result<Vec<StoreFile>> {
        Ok(self.listing()?.shards)
    }

    /// The first sequence number above those of all files of `rank`.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn next_sequence(&self, rank: RankId) -> Result<u32> {
        let Listing { journals, damaged, shards, temporaries, .. } = self.listing()?;
        let unfinished = temporaries.into_iter().filter_map(|(file, _)| file);
        let files = journals.into_iter().chain(damaged).chain(shards).chain(unfinished);
        Ok(files.filter(|file| file.rank == rank).map(|file| file.sequence + 1).max().unwrap_or(0))
    }

    /// All files in the store's directory, and temporary files of the catalogue in the run directory.
    pub(super) fn listing(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for path in list(&self.store())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(file) = parse_journal_name(name) {
                listing.journals.push(file);
            } else if let Some(file) = name.strip_suffix(DAMAGED).and_then(parse_journal_name) {
                listing.damaged.push(file);
            } else if let Some(file) = parse_shard_name(name) {
                listing.shards.push(file);
            } else if name.ends_with(".tmp") && name.starts_with("shard-") {
                let shard = name.find(".h5").and_then(|end| parse_shard_name(&name[..end + ".h5".len()]));
                listing.temporaries.push((shard, path));
            } else if !name.starts_with(".nfs") {
                // NFS gives a deleted file that is still open a name `.nfs…`, and deletes it later.
                listing.unknown.push(path);
            }
        }
        for path in list(&self.run_directory)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(CATALOGUE) && name.ends_with(".tmp") {
                listing.temporaries.push((None, path));
            }
        }
        listing.journals.sort();
        listing.damaged.sort();
        listing.shards.sort();
        listing.temporaries.sort();
        listing.unknown.sort();
        Ok(listing)
    }
}

/// The files in the store's directory; each list is in order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) journals: Vec<StoreFile>,
    /// Damaged journals that were kept.
    pub(super) damaged: Vec<StoreFile>,
    pub(super) shards: Vec<StoreFile>,
    /// Files whose writing was interrupted or is still going on; with the shard, if it is one.
    pub(super) temporaries: Vec<(Option<StoreFile>, PathBuf)>,
    /// Files that the store did not write.
    pub(super) unknown: Vec<PathBuf>,
}

/// The entries of a directory; none where it does not exist.
fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .doing("list", directory),
    }
}

fn journal_name(file: StoreFile) -> String {
    format!("rank-{:05}.{:04}.journal", file.rank.0, file.sequence)
}

/// The file name of a shard, as the catalogue lists it.
pub(super) fn shard_name(file: StoreFile) -> String {
    format!("shard-{:05}-{:04}.h5", file.rank.0, file.sequence)
}

/// The shard with this file name.
pub(super) fn parse_shard_name(name: &str) -> Option<StoreFile> {
    parse(name, "shard-", '-', ".h5").filter(|file| shard_name(*file) == name)
}

fn parse_journal_name(name: &str) -> Option<StoreFile> {
    parse(name, "rank-", '.', ".journal").filter(|file| journal_name(*file) == name)
}

fn parse(name: &str, prefix: &str, separator: char, suffix: &str) -> Option<StoreFile> {
    let (rank, sequence) = name.strip_prefix(prefix)?.strip_suffix(suffix)?.split_once(separator)?;
    Some(StoreFile { rank: RankId(rank.parse().ok()?), sequence: sequence.parse().ok()? })
}

/// Makes creations, renames and deletions in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|handle| handle.sync_all()).doing("sync directory", directory)
}

/// Deletes a file; no error where it does not exist.
pub(super) fn remove_if_present(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.doing("delete", path),
    }
}

/// Whether a published file must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The file must survive a power failure from then on.
    Durable,
    /// The file may be lost: the user can make it again with a command.
    Rebuildable,
}

/// The step that [`publish`] has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publishing {
    Synced,
    Renamed,
    DirectorySynced,
}

/// Gives a complete file its final name: a reader sees the whole file or no file.
pub(super) fn publish(
    temporary: &Path,
    path: &Path,
    durability: Durability,
    on_step: &mut dyn FnMut(Publishing),
) -> Result<()> {
    if durability == Durability::Durable {
        File::open(temporary).and_then(|file| file.sync_all()).doing("sync", temporary)?;
        on_step(Publishing::Synced);
    }
    fs::rename(temporary, path).doing("rename a file to", path)?;
    on_step(Publishing::Renamed);
    if durability == Durability::Durable {
        sync_directory(directory_of(path))?;
        on_step(Publishing::DirectorySynced);
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Writes a file under a temporary name in its directory, then renames it. The file is not made durable.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>) -> Result<()> {
    let directory = directory_of(path);
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
    let temporary = temporary.into_temp_path();
    publish(&temporary, path, Durability::Rebuildable, &mut |_| ())?;
    // The file has been renamed, so `TempPath` must not delete its old name.
    temporary.keep().map(drop).map_err(|error| error.error).doing("keep", path)
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
        fs::write(layout.damaged_journal(StoreFile { rank: RankId(5), sequence: 6 }), "").unwrap();
        for name in ["notes.txt", "shard-3-4.h5", ".nfs0001"] {
            fs::write(layout.store().join(name), "").unwrap();
        }
        assert_eq!(layout.shards().unwrap(), [file(1)]);
        assert_eq!(layout.journals().unwrap(), [file(2)]);
        let Listing { temporaries, unknown, .. } = layout.listing().unwrap();
        assert_eq!(temporaries, [(Some(file(12_345)), layout.unfinished_shard(file(12_345)))]);
        assert_eq!(unknown, ["notes.txt", "shard-3-4.h5"].map(|name| layout.store().join(name)));
        assert_eq!(layout.next_sequence(RankId(3)).unwrap(), 12_346);
        assert_eq!(layout.next_sequence(RankId(4)).unwrap(), 0);
        assert_eq!(layout.next_sequence(RankId(5)).unwrap(), 7);
    }
}
