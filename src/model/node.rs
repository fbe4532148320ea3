//! Configuration of the nodes.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::{Deserialize, Serialize};

/// How a run uses its nodes. No setting changes what is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSettings {
    /// GPUs of a node by local rank, as indices or UUIDs; an empty list for servers without a GPU. By default those of
    /// `CUDA_VISIBLE_DEVICES`, otherwise those that no process uses. A GPU that another run of this user has is used
    /// with a warning.
    pub gpus: Option<Vec<String>>,
    /// Folder on each node's own disk to which model files are copied before the first server starts, e.g. `$TMPDIR`.
    /// It must exist. The files of an engine that serves later are copied while another engine serves. Later starts
    /// find the copies again; bocr never removes them.
    pub stage: Option<PathBuf>,
    /// Folder on each node's own disk for compiled files of the servers, e.g. `~/cache` where homes are local. By
    /// default a folder in `TMPDIR`, which ends with a job.
    pub cache: Option<PathBuf>,
    /// Number of nodes that may start their servers, or make their first role switch, at the same time, so that
    /// hundreds of nodes do not read one file system at once.
    pub starts_at_once: NonZeroU32,
    /// Time between two such groups of nodes.
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
