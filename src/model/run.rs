//! How a run stands and how it ends.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Engine, FailureClass, RankId};

/// How many pages ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pages of the plan.
    pub pages: u64,
    /// Read by either engine.
    pub read: u64,
    /// Blank.
    pub blank: u64,
    /// Read by the second engine after the first had failed; included in `read`.
    pub recovered: u64,
    /// Failed for good, by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Settled by an earlier start of the run; included in the numbers above.
    pub restored: u64,
    /// Answers that belonged to no open lease and were ignored.
    pub stale: u64,
}

impl Counts {
    /// Pages that failed for good.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Pages with a final verdict.
    pub fn settled(&self) -> u64 {
        self.read + self.blank + self.failed_total()
    }
}

/// Why a run stops before every page is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The run's own deadline.
    Deadline,
    /// SIGTERM, SIGINT or the stop file.
    Requested,
    /// A rank cannot write its records.
    Store,
    /// No rank can serve this engine any more, and pages wait for it.
    NoEngine(Engine),
    /// This rank has not been heard of for too long.
    RankSilent(RankId),
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::Deadline => f.write_str("the deadline"),
            StopReason::Requested => f.write_str("asked to stop"),
            StopReason::Store => f.write_str("a rank cannot write its records"),
            StopReason::NoEngine(engine) => write!(f, "no rank can serve {engine}"),
            StopReason::RankSilent(rank) => write!(f, "{rank} has fallen silent"),
        }
    }
}

/// How the dealing of pages ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every page is settled.
    Complete,
    /// Pages are left for the next start.
    Stopped(StopReason),
}
