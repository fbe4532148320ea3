//! Messages between ranks.

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        Answer, Attempt, Capabilities, Engine, LeaseId, MachineFault, PageRef, Prior, RankSummary, Role, Settlement,
        StopReason, Unit,
    },
    store::{LatestRecord, UnfinishedFiles},
};

/// A message from rank 0 to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Seal and read these files of earlier starts, and report their records.
    Recover {
        /// Identity of the run directory. All files must carry it.
        run_id: String,
        /// This rank's share.
        share: UnfinishedFiles,
    },
    /// The plan is written to the shared file system: start up to read its pages.
    Begin {
        /// Identity of the run directory.
        run_id: String,
    },
    /// Read these pages.
    Assign(Assignment),
    /// Serve this engine from now on, and not the other.
    SwitchRole(Engine),
    /// Restart the server of this engine: it fails pages that other servers read.
    RestartServer(Engine),
    /// The lease of this page has expired: drop the page and report nothing about it.
    ReleasePage(PageRef, LeaseId),
    /// Return every page that is not settled.
    Recall,
    /// The run is over: seal the journal, stop the servers and report.
    Finish,
    /// Everything is written: end.
    Leave,
    /// A sign of life of rank 0.
    Alive,
}

/// Pages to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The pages, engine and lease.
    pub unit: Unit,
    /// Earlier attempts: on the other engine, or on a rank that returned the page.
    pub priors: Vec<Prior>,
}

/// Records of earlier starts that one rank has read, in parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveredPart {
    /// The latest records of pages.
    pub records: Vec<LatestRecord>,
    /// The highest lease number of any record of the share.
    pub highest_lease: Option<LeaseId>,
    /// Whether this is the rank's last part.
    pub last: bool,
}

/// A message from a worker to rank 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToCoordinator {
    /// The first message of every rank.
    Hello(Hello),
    /// Records of earlier starts.
    Recovered(RecoveredPart),
    /// A server is ready; with its capabilities.
    EngineReady(Engine, Box<Capabilities>),
    /// A server is given up, for this reason.
    EngineLost(Engine, String),
    /// Pages settled; their records are on disk.
    Settled(Vec<Settlement>),
    /// Pages returned unsettled.
    Returned(Vec<Returned>),
    /// This rank has a fault or received a signal: the run must stop early.
    StopRequested(StopReason, String),
    /// The shards are sealed and the servers stopped.
    Finished(RankSummary),
    /// A sign of life of this rank.
    Alive,
}

/// A page that a rank returns unsettled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Returned {
    /// The page.
    pub page: PageRef,
    /// The lease of the assignment.
    pub lease: LeaseId,
    /// The machine fault.
    pub fault: MachineFault,
    /// Its attempts in this start so far, without their answers.
    pub attempts: Vec<Attempt>,
    /// The best text of this stage so far, if it is not too large for a message.
    pub text: Option<Answer>,
}

/// The greeting of a rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of this program. All ranks must run the same.
    pub program_version: String,
    /// Digest of the settings and profiles. All ranks must have the same.
    pub settings: String,
    /// Host name.
    pub host: String,
    /// Position among the ranks of its host, from 0.
    pub local_rank: u32,
    /// The GPU of its servers as an opaque id; `None` without a GPU.
    pub gpu: Option<String>,
    /// Which engines it serves.
    pub role: Role,
    /// Maximum number of pages that it holds.
    pub credits: u32,
}
