//! The request for an estimate, and the estimate.

use std::{path::PathBuf, time::Duration};

use serde::{Serialize, Serializer};

use crate::{corpus::Inputs, model::configuration::Configuration, pbs::Select};

use super::{Disk, Documents, Earlier, EstimateTarget, Feasibility, JobSize, PageCost, Reserve, Work};

/// The request for an estimate.
#[derive(Debug, Clone)]
pub struct EstimateRequest {
    /// The inputs of the run.
    pub inputs: Inputs,
    /// The configuration of the run.
    pub configuration: Configuration,
    /// Whether the user gave a configuration. If not, the estimate is for servers of the models.
    pub configured: bool,
    /// The resources that the job file requests from PBS.
    pub job: Option<Select>,
    /// The run directory, which need not exist.
    pub run_directory: Option<PathBuf>,
    /// Number of pages to render as a sample.
    pub sample: u64,
    /// Reports of earlier runs, or their run directories.
    pub reports: Vec<PathBuf>,
    /// The size of the job that the user asks for.
    pub ask: EstimateTarget,
    /// Time reserved at the end of the job for an orderly end.
    pub reserve: Reserve,
}

/// The estimate. Times are in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The documents of the inputs.
    pub documents: Documents,
    /// Name of the profile of stage 1.
    pub profile: String,
    /// Mean cost of a page, from the sample.
    pub page: PageCost,
    /// Pages of the sample that could not be rendered, each with the reason.
    pub not_drawn: Vec<String>,
    /// The work of the run.
    pub work: Work,
    /// Figures of earlier runs.
    pub earlier: Earlier,
    /// Cores that must render pages to keep one GPU of stage 1 busy, measured on this machine.
    pub drawing_cores: f64,
    /// Number of renderer children of a rank.
    pub renderers: u32,
    /// Seconds in which rank 0 reads all files once, before the first page.
    pub reading: f64,
    /// The most memory of a rank and its renderer children, in bytes; the servers' memory is not known here.
    pub rank_memory: u64,
    /// Several sizes of a job with their times.
    pub table: Vec<JobSize>,
    /// The proposed size.
    pub proposed: JobSize,
    /// Walltime of the proposed job with its reserve, in seconds.
    #[serde(serialize_with = "seconds")]
    pub walltime: Duration,
    /// Whether the proposed job is enough.
    pub fit: Feasibility,
    /// The part of `walltime` that is reserved for the end, in seconds.
    #[serde(serialize_with = "seconds")]
    pub reserve: Duration,
    /// The value of `#PBS -l select=`.
    pub select: String,
    /// The disk space that the run directory needs.
    pub disk: Disk,
    /// The assumptions and sources of the figures, one line each.
    pub assumptions: Vec<String>,
    /// What the user should check before submitting, one line each.
    pub warnings: Vec<String>,
}

/// Bytes a second at which rank 0 reads and fingerprints all files. Assumed.
pub(super) const READING_RATE: f64 = 500e6;

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
