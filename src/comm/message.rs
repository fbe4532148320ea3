//! What is said between ranks.

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        Answer, Attempt, Capabilities, Engine, LeaseId, MachineFault, PageRef, Prior, RankSummary, Role, Settlement,
        StopReason, Unit,
    },
    store::{LatestRecord, UnfinishedFiles},
};

/// From rank 0 to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Seal and read these files of earlier starts, and tell how their pages stand.
    Recover {
        /// Identity of the run directory, which all of them must carry.
        run_id: String,
        /// This rank's share.
        share: UnfinishedFiles,
    },
    /// The plan is frozen on the shared file system: get ready to read pages of it.
    Begin {
        /// Identity of the run directory.
        run_id: String,
    },
    /// Read these pages.
    Assign(Assignment),
    /// Serve this engine from now on, and not the other.
    SwitchRole(Engine),
    /// The lease of this page has expired: let it go, and say nothing of it.
    LetGo(PageRef, LeaseId),
    /// Give back every page that is not settled.
    Recall,
    /// The run is over: seal what is left, stop the servers, report.
    Finish,
    /// Everything is written: leave.
    Leave,
    /// Rank 0 is there.
    Alive,
}

/// Pages to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The pages, engine and lease.
    pub unit: Unit,
    /// Earlier attempts: on the other engine, or on a rank that gave the page back.
    pub priors: Vec<Prior>,
}

/// What one rank found of earlier starts, in parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveredPart {
    /// How pages stand.
    pub records: Vec<LatestRecord>,
    /// The highest lease that any record of the share carries.
    pub highest_lease: Option<LeaseId>,
    /// Whether this is the rank's last part.
    pub last: bool,
}

/// From a worker to rank 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToCoordinator {
    /// The first word of every rank.
    Hello(Hello),
    /// How the pages stand that earlier starts settled.
    Recovered(RecoveredPart),
    /// A server is ready, and can do this.
    EngineReady(Engine, Box<Capabilities>),
    /// A server is given up, for this reason.
    EngineLost(Engine, String),
    /// Pages settled; their records are on disk.
    Settled(Vec<Settlement>),
    /// Pages given back.
    Returned(Vec<Returned>),
    /// This rank cannot go on as it should: the run must stop early.
    StopRequested(StopReason, String),
    /// All is sealed and stopped.
    Finished(RankSummary),
    /// This rank is there.
    Alive,
}

/// A page that a rank gives back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Returned {
    /// The page.
    pub page: PageRef,
    /// The assignment.
    pub lease: LeaseId,
    /// The fault, which is not the page's.
    pub fault: MachineFault,
    /// Its attempts so far, without their answers.
    pub attempts: Vec<Attempt>,
    /// The best text that this stage gave so far, if it is of a bounded size.
    pub text: Option<Answer>,
}

/// How a rank introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of this program; all ranks must run the same.
    pub program_version: String,
    /// Digest of its settings and profiles; all ranks must have the same.
    pub settings: String,
    /// Host name.
    pub host: String,
    /// Position among the ranks of its host.
    pub local_rank: u32,
    /// The GPU it drives, as an opaque id, if any.
    pub gpu: Option<String>,
    /// What it is there for.
    pub role: Role,
    /// Most pages it will hold.
    pub credits: u32,
}
