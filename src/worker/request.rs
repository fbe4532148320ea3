//! What a rank is asked to do.

use std::{path::PathBuf, time::Duration};

use crate::model::configuration::Configuration;

/// What a rank is asked to do.
#[derive(Debug, Clone)]
pub struct WorkerRequest {
    /// The `bocr` program: a rank starts it again as renderer child, guard and stand-in.
    pub program: PathBuf,
    /// The run directory, on a file system that all ranks share.
    pub run_directory: PathBuf,
    /// The effective configuration.
    pub configuration: Configuration,
    /// Digest of the settings, which all ranks of a run must share.
    pub settings_digest: String,
    /// How long servers outlive a killed rank, to be adopted by the next start.
    pub linger: Duration,
}
