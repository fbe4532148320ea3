//! What a run is asked to do.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use super::{reprocess_request::ReprocessRequest, walltime::TimeLimit};
use crate::{corpus::Inputs, model::configuration::Configuration};

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The `bocr` program: a rank starts it again as renderer child, guard and stand-in.
    pub program: PathBuf,
    /// The inputs, beside those that earlier starts had.
    pub inputs: Inputs,
    /// The run directory, on a file system that all ranks share.
    pub run_directory: PathBuf,
    /// The effective configuration.
    pub configuration: Configuration,
    /// Whether the configuration may differ from that of earlier starts where that cannot mix results.
    pub accept_configuration: bool,
    /// Settled pages that are to be read again.
    pub reprocess: Vec<ReprocessRequest>,
    /// Threads for planning.
    pub threads: NonZeroUsize,
    /// When the run must have ended.
    pub time_limit: Option<TimeLimit>,
    /// How long to wait for an earlier start that is about to leave the run directory.
    pub wait: Duration,
    /// How long servers outlive a killed rank, to be adopted by the next start.
    pub linger: Duration,
}
