//! Counts of a run, and how it ends.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Engine, EngineName, EngineNames, FailureClass, RankId};

/// Number of pages by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of pages in the plan.
    pub pages: u64,
    /// Pages read by any engine.
    pub read: u64,
    /// Pages among them of which some content could not be drawn.
    pub incomplete: u64,
    /// Blank pages.
    pub blank: u64,
    /// Pages read by a later engine after the first had failed; included in `read`.
    pub recovered: u64,
    /// Failed pages, by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Pages settled by an earlier start of the run; included in the numbers above.
    pub restored: u64,
    /// Answers that belonged to no open lease and were ignored.
    pub stale: u64,
}

impl Counts {
    /// Number of failed pages.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Number of pages with a final verdict.
    pub fn settled(&self) -> u64 {
        self.read + self.blank + self.failed_total()
    }
}

/// Why a run stops before every page is settled. `E` names the engine: an [`EngineName`] where people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason<E = Engine> {
    /// The deadline of the run.
    Deadline,
    /// SIGTERM, SIGINT or the stop file.
    Requested,
    /// A rank cannot write its records.
    Store,
    /// Pages wait for this engine, and no rank can serve it any more.
    NoEngine(E),
    /// This rank has been silent for too long.
    RankSilent(RankId),
    /// Every server of this engine fails every page.
    AllServersFail(E),
}

impl StopReason {
    /// The reason with the name of its engine.
    pub fn named(self, names: &EngineNames) -> StopReason<EngineName> {
        match self {
            StopReason::Deadline => StopReason::Deadline,
            StopReason::Requested => StopReason::Requested,
            StopReason::Store => StopReason::Store,
            StopReason::NoEngine(engine) => StopReason::NoEngine(names[engine].clone()),
            StopReason::RankSilent(rank) => StopReason::RankSilent(rank),
            StopReason::AllServersFail(engine) => StopReason::AllServersFail(names[engine].clone()),
        }
    }
}

impl fmt::Display for StopReason<EngineName> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::Deadline => f.write_str("the deadline"),
            StopReason::Requested => f.write_str("asked to stop"),
            StopReason::Store => f.write_str("a rank cannot write its records"),
            StopReason::NoEngine(engine) => write!(f, "no rank can serve {engine}"),
            StopReason::AllServersFail(engine) => {
                write!(f, "every {engine} server fails every page; the log of rank 0 has the reason")
            }
            StopReason::RankSilent(rank) => write!(f, "{rank} became silent"),
        }
    }
}

/// How the scheduler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every page is settled.
    Complete,
    /// Pages are left for the next start.
    Stopped(StopReason),
}
