//! Messages between ranks.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::codec::batches;
use crate::{
    model::{
        Answer, Attempt, Capabilities, Engine, LeaseId, MachineFault, NoPages, PageIndex, PageRef, Prior, RankSummary,
        Role, Settlement, StopReason, Unit,
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
    /// Why ranks have no pages for a ready server from now on.
    NoPages(NoPages),
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
    /// Earlier attempts: on another engine, or on a rank that returned the page.
    pub priors: Vec<Prior>,
}

impl Assignment {
    /// The assignment in parts that fit a frame each: parts of the unit under its lease. `priors` is in page order.
    pub fn parts(unit: Unit, priors: Vec<Prior>) -> Vec<Assignment> {
        let mut parts = Vec::new();
        let mut rest = unit;
        let mut batches = batches(priors).into_iter().peekable();
        loop {
            let priors = batches.next().unwrap_or_default();
            let end = match (priors.last(), batches.peek()) {
                (Some(last), Some(_)) => last.page.page.0 + 1,
                _ => rest.first.page.0 + rest.count,
            };
            let count = end - rest.first.page.0;
            parts.push(Assignment { unit: Unit { count, ..rest }, priors });
            let first = PageRef { page: PageIndex(end), ..rest.first };
            rest = Unit { first, count: rest.count - count, ..rest };
            if rest.count == 0 {
                return parts;
            }
        }
    }
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
    Alive {
        /// How often its task side has shown progress since its start. A rank whose number stands still is as good as
        /// silent, although its main thread goes on.
        task_beats: u64,
    },
}

/// A message that ranks exchange.
pub trait Message: Serialize + DeserializeOwned {
    /// The progress of the sender's task side, if the message is a sign of life that tells it.
    fn task_beats(&self) -> Option<u64>;
}

impl Message for ToWorker {
    fn task_beats(&self) -> Option<u64> {
        None
    }
}

impl Message for ToCoordinator {
    fn task_beats(&self) -> Option<u64> {
        match self {
            ToCoordinator::Alive { task_beats } => Some(*task_beats),
            _ => None,
        }
    }
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
    /// Version and build of this program. All ranks must run the same.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        comm::encode,
        model::{AttemptOutcome, DocumentId, Stage},
    };

    #[test]
    fn a_unit_with_long_histories_is_sent_in_parts() {
        let page = |number| PageRef { document: DocumentId(3), page: PageIndex(number) };
        let sample = Attempt::sample(Stage::FIRST, AttemptOutcome::Interrupted(MachineFault::Overloaded));
        let long = vec![Attempt { reason: "r".repeat(500), ..sample }; 3000];
        let unit = Unit { lease: LeaseId(7), engine: Engine::FIRST, first: page(10), count: 8, trial: None };
        // Two pages of the unit have no history.
        let priors: Vec<_> =
            [10, 12, 13, 14, 15, 16].map(|number| Prior { attempts: long.clone(), ..Prior::none(page(number)) }).into();
        let parts = Assignment::parts(unit, priors.clone());
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| encode(&ToWorker::Assign(part.clone())).is_ok()));
        assert!(
            parts.iter().all(|part| part.priors.iter().all(|prior| part.unit.pages().any(|page| page == prior.page)))
        );
        let pages: Vec<_> = parts.iter().flat_map(|part| part.unit.pages()).collect();
        assert_eq!(pages, unit.pages().collect::<Vec<_>>());
        assert_eq!(parts.into_iter().flat_map(|part| part.priors).collect::<Vec<_>>(), priors);
        assert_eq!(Assignment::parts(unit, Vec::new()), [Assignment { unit, priors: Vec::new() }]);
    }
}
