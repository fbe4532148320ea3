//! The inputs and options of a run.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use super::{reprocess_request::ReprocessRequest, walltime::TimeLimit};
use crate::{corpus::Inputs, model::configuration::Configuration};

/// The inputs and options of a run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Path of the `bocr` program. A rank starts it again as renderer child, guard and stand-in.
    pub program: PathBuf,
    /// The inputs, in addition to those of earlier starts.
    pub inputs: Inputs,
    /// The run directory, on a file system that all ranks share.
    pub run_directory: PathBuf,
    /// The directory of the servers, the logs, the status file and the stop file: the run directory, or that of the
    /// experiment which the run is a part of.
    pub home: PathBuf,
    /// The effective configuration.
    pub configuration: Configuration,
    /// Whether the configuration may differ from that of earlier starts, as far as that cannot mix results.
    pub accept_configuration: bool,
    /// Settled pages to be read again.
    pub reprocess: Vec<ReprocessRequest>,
    /// Number of threads for planning.
    pub threads: NonZeroUsize,
    /// When the run must have ended; `None` without a limit.
    pub time_limit: Option<TimeLimit>,
    /// How long to wait for an earlier start that is about to release the run directory.
    pub wait: Duration,
    /// Orphan grace: how long servers stay after their rank was killed, so that the next start can adopt them.
    pub linger: Duration,
}
