//! The problems that verification can find in the files of a run.

use std::{fmt, path::PathBuf};

use super::{
    audit::Corruption,
    error::StoreError,
    journal_reader::Damage,
    layout::{StoreFile, shard_name},
};
use crate::model::PageRef;

/// A problem with the files of a run.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A journal is not sealed.
    #[error(
        "journal {} is not sealed: the run has not finished; give the same command again, or seal it with `bocr verify \
         --repair`",
        path.display()
    )]
    JournalLeft { path: PathBuf },
    /// A journal has parts that cannot be read, with valid frames after them.
    #[error(
        "journal {} cannot be read in {} places, {} bytes: the next start, or `bocr verify --repair`, seals the rest \
         and keeps the journal as {}.damaged",
        path.display(), damage.places, damage.bytes, path.display()
    )]
    JournalDamaged { path: PathBuf, damage: Damage },
    /// A damaged journal was kept.
    #[error(
        "{} is a damaged journal, kept after its readable records were sealed: give the same command again to read its \
         lost pages again, then delete the file",
        path.display()
    )]
    JournalKept { path: PathBuf },
    /// There is no catalogue.
    #[error("catalogue {} is missing: write it again with `bocr verify --repair`", path.display())]
    NoCatalogue { path: PathBuf },
    /// A file is missing, damaged or cannot be read.
    #[error(transparent)]
    File(#[from] StoreError),
    /// A shard that the catalogue does not list.
    #[error("shard {} is not in the catalogue: write the catalogue again with `bocr verify --repair`", path.display())]
    Unlisted { path: PathBuf },
    /// A count of the catalogue differs from the files.
    #[error(
        "{} lists {listed} {what}, but the files hold {found}: write it again with `bocr verify --repair`",
        path.display()
    )]
    Count { path: PathBuf, what: Count, found: u64, listed: u64 },
    /// The catalogue has no link to a shard, or the link points to another file.
    #[error(
        "the link in {} does not lead to {}: write the catalogue again with `bocr verify --repair`",
        path.display(), shard.display()
    )]
    Link { path: PathBuf, shard: PathBuf },
    /// A file whose writing was interrupted.
    #[error(
        "{} was left by an interrupted sealing: the next start deletes it, and so does `bocr verify --repair`",
        path.display()
    )]
    Temporary { path: PathBuf },
    /// A file that the store did not make.
    #[error("{} is not a file of the store: move it away", path.display())]
    Unknown { path: PathBuf },
    /// Rows of a shard are damaged.
    #[error(
        "shard {} is damaged in {corruptions} places, the first: {first}; put a good copy back, or delete it and give the \
         same command again to read its pages again",
        path.display()
    )]
    Shard { path: PathBuf, corruptions: usize, first: Corruption },
    /// A shard has pages of a document that is not in the plan.
    #[error(
        "shard {} has pages of {name}, and the plan has no document of that name with the same bytes: the shard \
         belongs to another run; move it away",
        path.display()
    )]
    Foreign { name: String, path: PathBuf },
    /// The text of a record does not match its checksum.
    #[error(
        "shard {}: the text of {pages} records has changed since it was sealed, the first is {first}; put a good copy \
         back, or delete it and give the same command again to read its pages again",
        path.display()
    )]
    Text { pages: usize, first: PageRef, path: PathBuf },
    /// Pages of the plan have no record.
    #[error(
        "{name}: {pages} of {declared} pages are not settled, the first is page {first}: give the same command again"
    )]
    Unsettled {
        name: String,
        pages: u32,
        declared: u32,
        /// Page number, counted from 1.
        first: u32,
    },
    /// Records have pages that are not in the plan.
    #[error(
        "{pages} pages have a record but are not in the plan, the first is {first}: move the shards of another run away"
    )]
    Undeclared { pages: usize, first: PageRef },
    /// Rows of the catalogue differ from the shards.
    #[error(
        "the catalogue's rows of {pages} pages differ from the shards, the first is {first}: `bocr verify \
         --repair` writes it again"
    )]
    IndexDiffers { pages: usize, first: PageRef },
    /// The documents of the catalogue differ from those of the plan.
    #[error("the catalogue's documents differ from the plan's: write the catalogue again with `bocr verify --repair`")]
    DocumentsDiffer,
}

/// A count of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Pages that the plan declares.
    Declared,
    /// Pages with a final record.
    Settled,
    /// Records that are not final.
    Superseded,
    /// Whether every page is settled: 1 or 0.
    Complete,
    /// Records of this shard.
    Pages(StoreFile),
    /// Final records of this shard.
    FinalPages(StoreFile),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Declared => f.write_str("pages declared"),
            Count::Settled => f.write_str("pages settled"),
            Count::Superseded => f.write_str("superseded records"),
            Count::Complete => f.write_str("for `complete`"),
            Count::Pages(file) => write!(f, "records in {}", shard_name(*file)),
            Count::FinalPages(file) => write!(f, "final records in {}", shard_name(*file)),
        }
    }
}
