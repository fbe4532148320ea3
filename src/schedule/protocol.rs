//! Events and actions of the scheduler, and their order.

use std::time::Duration;

use crate::model::{
    Answer, Attempt, Engine, FailureClass, LeaseId, MachineFault, Outcome, PageRef, Prior, RankId, Role, Settlement,
    StopReason, Unit,
};

/// Time since the start of the run. The driver reads the clock; the scheduler does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub Duration);

/// An event, reported to the scheduler.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A rank has started.
    RankJoined {
        /// The rank.
        rank: RankId,
        /// Which engines it serves. None is ready yet.
        role: Role,
        /// Maximum number of pages that it may hold at a time.
        credits: u32,
    },
    /// A server of the rank is ready.
    EngineReady {
        /// The rank.
        rank: RankId,
        /// The engine. On a rank that serves one at a time, the others are no longer ready.
        engine: Engine,
    },
    /// The rank will never again serve this engine. It returns the pages that it held for it one by one.
    EngineLost {
        /// The rank.
        rank: RankId,
        /// Its engine.
        engine: Engine,
    },
    /// The rank settled a page; its record is on disk.
    Settled {
        /// The rank.
        rank: RankId,
        /// Verdict, attempts and remaining engines.
        settlement: Settlement,
    },
    /// The rank returns a page because of a machine fault.
    Returned {
        /// The rank.
        rank: RankId,
        /// The page.
        page: PageRef,
        /// The lease of the assignment.
        lease: LeaseId,
        /// The fault that interrupted the page.
        fault: MachineFault,
        /// The page's attempts so far, without their answers: the next rank continues from them.
        attempts: Vec<Attempt>,
        /// The best text of this stage so far.
        text: Option<Answer>,
    },
    /// A sign of life. Every other message of the rank counts as one too.
    Alive {
        /// The rank.
        rank: RankId,
    },
    /// A person, a signal or the store asks the run to stop early.
    StopRequested {
        /// Why the run stops.
        reason: StopReason,
    },
    /// Time has passed. Due at [`super::Scheduler::next_timeout`] at the latest.
    Clock,
}

impl Event {
    /// The rank that sent the event.
    pub(super) fn speaker(&self) -> Option<RankId> {
        match self {
            Event::RankJoined { rank, .. }
            | Event::EngineReady { rank, .. }
            | Event::EngineLost { rank, .. }
            | Event::Settled { rank, .. }
            | Event::Returned { rank, .. }
            | Event::Alive { rank } => Some(*rank),
            Event::StopRequested { .. } | Event::Clock => None,
        }
    }
}

/// An order to the driver. The driver keeps these rules:
///
/// 1. It feeds in [`Event::Settled`] only after the record is synced to disk (journal before verdict).
/// 2. It carries out actions in the order given.
/// 3. It feeds in [`Event::Clock`] at [`super::Scheduler::next_timeout`] at the latest.
/// 4. After [`Action::Finish`] it still feeds in the clock, signs of life and late answers: a rank that becomes silent
///    while it seals is lost, and a late record counts. Then the catalogue is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send the unit to the rank. It never exceeds the rank's credits.
    Assign {
        /// The rank.
        rank: RankId,
        /// The pages.
        unit: Unit,
        /// Earlier attempts, for those pages of the unit that have some.
        priors: Vec<Prior>,
    },
    /// Tell the rank to drop the page, which did not come back in time. Later answers under this lease are stale.
    Expire {
        /// The rank.
        rank: RankId,
        /// The page.
        page: PageRef,
        /// The lease of the assignment.
        lease: LeaseId,
    },
    /// Tell the rank to drop the page, which another rank has read.
    Release {
        /// The rank.
        rank: RankId,
        /// The page.
        page: PageRef,
        /// The lease of the assignment.
        lease: LeaseId,
    },
    /// Tell the rank to return every page that it has not settled.
    Recall {
        /// The rank.
        rank: RankId,
    },
    /// Tell the rank to switch to this engine. The rank holds no pages and serves one engine at a time. No engine is
    /// ready on it until it reports one.
    SwitchRole {
        /// The rank.
        rank: RankId,
        /// The engine to serve from now on.
        engine: Engine,
    },
    /// Restart the rank's server of this engine: it failed pages that other servers read. The rank holds no pages. No
    /// page is given to that server until the rank reports the engine as ready.
    RestartServer {
        /// The rank.
        rank: RankId,
        /// The engine.
        engine: Engine,
    },
    /// Report that the rank's server gets no more pages: after its restart, too, it failed pages that others read.
    GiveServerUp {
        /// The rank.
        rank: RankId,
        /// The engine.
        engine: Engine,
    },
    /// Report why no rank gets pages for the engine any more: all its servers fail all pages. The run goes on with the
    /// other engines as far as it can.
    AllServersFail {
        /// The engine.
        engine: Engine,
        /// Number of pages that failed in a row.
        pages: usize,
        /// Number of their documents.
        documents: usize,
        /// Why the last page failed.
        class: FailureClass,
        /// Explanation of that failure.
        reason: String,
    },
    /// Report why the run ends before its deadline: it could go on only after a role switch, which would come too late.
    TooLate {
        /// The engine that a rank would have to switch to.
        engine: Engine,
        /// Expected duration of the switch.
        turn: Duration,
        /// Time left for pages.
        left: Duration,
    },
    /// The run is over. Emitted once.
    Finish {
        /// Complete, or stopped and why.
        outcome: Outcome,
    },
}
