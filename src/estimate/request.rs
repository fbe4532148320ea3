//! What an estimate is asked for, and what it says.

use std::{path::PathBuf, time::Duration};

use serde::{Serialize, Serializer};

use crate::{corpus::Inputs, model::configuration::Configuration, pbs::Select};

use super::{Disk, Documents, Earlier, EstimateTarget, Feasibility, JobSize, PageCost, Reserve, Work};

/// What is asked.
#[derive(Debug, Clone)]
pub struct EstimateRequest {
    /// What is to be read.
    pub inputs: Inputs,
    /// Configuration of the run.
    pub configuration: Configuration,
    /// Whether that was given; if not, servers of the models are reckoned with.
    pub configured: bool,
    /// What the job file asks PBS for.
    pub job: Option<Select>,
    /// Run directory: there already, or to be made.
    pub run_directory: Option<PathBuf>,
    /// Pages that are drawn.
    pub sample: u64,
    /// Reports of earlier runs, or their run directories.
    pub reports: Vec<PathBuf>,
    /// What is to be fitted.
    pub ask: EstimateTarget,
    /// Kept at the end of the job for ending in order.
    pub reserve: Reserve,
}

/// The estimate. Times are in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// What the inputs hold.
    pub documents: Documents,
    /// Profile of stage 1.
    pub profile: String,
    /// Cost of a page, from the sample.
    pub page: PageCost,
    /// Pages of the sample that could not be drawn, and why.
    pub not_drawn: Vec<String>,
    /// What there is to do.
    pub work: Work,
    /// Earlier runs.
    pub earlier: Earlier,
    /// Cores that one GPU of stage 1 keeps busy with drawing pages, on this machine's measure.
    pub drawing_cores: f64,
    /// Renderer children of a rank.
    pub renderers: u32,
    /// Seconds in which rank 0 reads all files once, before the first page.
    pub reading: f64,
    /// Most memory of a rank, its renderer children with it; the servers' is not known here.
    pub rank_memory: u64,
    /// Sizes of a job and how long they take.
    pub table: Vec<JobSize>,
    /// The one that is proposed.
    pub proposed: JobSize,
    /// Walltime of the proposed job, its reserve included.
    #[serde(serialize_with = "seconds")]
    pub walltime: Duration,
    /// Whether that is what was asked.
    pub fit: Feasibility,
    /// Kept at its end.
    #[serde(serialize_with = "seconds")]
    pub reserve: Duration,
    /// For `#PBS -l select=`.
    pub select: String,
    /// What the run directory takes.
    pub disk: Disk,
    /// What the figures rest on, a line each.
    pub assumptions: Vec<String>,
    /// What should be looked at before submitting.
    pub warnings: Vec<String>,
}

/// Bytes a second in which rank 0 reads and fingerprints all files.
pub(super) const READING_RATE: f64 = 500e6;

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
