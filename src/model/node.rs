//! What a run may be told of the nodes that it works on.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::{Deserialize, Serialize};

/// How a run treats its nodes. None of it changes what is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSettings {
    /// GPUs of a node by local rank, indices or UUIDs; none, for servers without a GPU. When absent, those of
    /// `CUDA_VISIBLE_DEVICES`, else those that nobody uses. One that another run of this user has is taken with a warning.
    pub gpus: Option<Vec<String>>,
    /// Folder of each node's own disk to which model files are copied before the first server starts, e.g. `$TMPDIR`; it
    /// must be there. That of an engine that waits for its turn is copied while the other serves. Copies are found again by later starts, and never removed.
    pub stage: Option<PathBuf>,
    /// Folder of each node's own disk for what servers compile, e.g. `~/cache` where homes are local; when absent, one in
    /// `TMPDIR`, which ends with a job.
    pub cache: Option<PathBuf>,
    /// Nodes that may start their servers at the same time, or come to their first turn, so that hundreds do not read one file system at once.
    pub starts_at_once: NonZeroU32,
    /// Time between one such group of nodes and the next.
    #[serde(with = "duration")]
    pub start_interval: Duration,
}

impl Default for NodeSettings {
    fn default() -> Self {
        NodeSettings {
            gpus: None,
            stage: None,
            cache: None,
            starts_at_once: NonZeroU32::MIN.saturating_add(31),
            start_interval: Duration::from_secs(20),
        }
    }
}
