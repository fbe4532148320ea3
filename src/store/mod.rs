//! Stores the records of settled pages: journal, shard, catalogue, reader, export.
//!
//! A rank appends every record to its *journal* ([`Writer`]). A full journal is sealed: it becomes an immutable HDF5
//! *shard*. The *catalogue* shows all shards as one table. `docs/store.md` describes the files for readers who use
//! h5py. No other module uses HDF5, and this module does not depend on how a page was read.
//!
//! One global lock of the library serialises all HDF5 calls. A rank therefore seals on one thread, which is not a
//! worker of the async runtime.

mod audit;
pub mod catalogue;
mod cells;
mod codes;
mod error;
mod export;
mod fitted;
mod frame;
mod hdf;
mod journal;
mod journal_lock;
mod journal_reader;
mod latest;
mod layout;
mod numbering;
mod problem;
mod queue;
mod reader;
mod recover;
mod repair;
mod rows;
mod seal;
mod shard;
mod shard_reader;
mod tables;
mod verify;
mod writer;

pub use audit::Corruption;
pub use error::StoreError;
pub use export::{ExportFormat, ExportOptions, ExportSummary, export};
pub use fitted::fitted;
pub use frame::{FRAME_HEADER, FrameKind};
pub use journal::{JOURNAL_HEADER, JournalHeader, JournalWriter, Provenance};
pub use journal_reader::{Damage, JournalReader};
pub use latest::{BestText, IndexEntry, Latest, LatestRecord, Settled, Summary, latest_records};
pub use layout::{Layout, StoreFile};
pub use problem::{Count, Problem};
pub use reader::Reader;
pub use recover::{Recovered, UnfinishedFile, UnfinishedFiles, read_only_view, recover};
pub use repair::{Repaired, repair};
pub use seal::{Kept, SealStep, Sealed, seal, seal_observed};
pub use shard_reader::{EarlierAttempts, ShardReader, attempts};
pub use verify::{VerifyReport, verify};
pub use writer::{Refused, StoreEvent, Writer, WriterSummary};
