//! Inputs of a worker.

use std::{path::PathBuf, time::Duration};

use crate::model::configuration::Configuration;

/// Inputs of a worker.
#[derive(Debug, Clone)]
pub struct WorkerRequest {
    /// Path of the `bocr` program. A rank starts it again as renderer child, guard and stand-in.
    pub program: PathBuf,
    /// The run directory, on a file system that all ranks share.
    pub run_directory: PathBuf,
    /// The directory that names the servers and has their logs: see [`crate::run::RunRequest::home`].
    pub home: PathBuf,
    /// The effective configuration.
    pub configuration: Configuration,
    /// Digest of the settings. All ranks of a run must have the same.
    pub settings_digest: String,
    /// Orphan grace: how long servers stay after their rank was killed, so that the next start can adopt them.
    pub linger: Duration,
}
