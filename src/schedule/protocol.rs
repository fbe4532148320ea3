//! Events, actions, and their order.

use std::time::Duration;

use crate::model::{
    Answer, Attempt, Engine, LeaseId, MachineFault, Outcome, PageRef, Prior, RankId, Role, Settlement, StopReason, Unit,
};

/// Time since the run began. The driver reads the clock; the scheduler is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub Duration);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A rank reported itself.
    RankJoined {
        /// The rank.
        rank: RankId,
        /// What it is there for; no engine is ready yet.
        role: Role,
        /// Most pages it will hold at a time.
        credits: u32,
    },
    /// A server of the rank is ready.
    EngineReady {
        /// The rank.
        rank: RankId,
        /// Its engine. On a rank that serves one at a time, the other is not ready any more.
        engine: Engine,
    },
    /// The rank will never again serve this engine. The rank gives the pages it held for it back one by one.
    EngineLost {
        /// The rank.
        rank: RankId,
        /// Its engine.
        engine: Engine,
    },
    /// The rank settled a page, durably.
    Settled {
        /// The rank.
        rank: RankId,
        /// How.
        settlement: Settlement,
    },
    /// The rank gives a page back because of a fault that is not the page's.
    Returned {
        /// The rank.
        rank: RankId,
        /// The page.
        page: PageRef,
        /// The assignment.
        lease: LeaseId,
        /// The fault.
        fault: MachineFault,
        /// The page's attempts so far, without their answers: the next rank goes on from there.
        attempts: Vec<Attempt>,
        /// The best text that this stage gave so far.
        text: Option<Answer>,
    },
    /// The rank says that it is there. Whatever else it says means the same.
    Alive {
        /// The rank.
        rank: RankId,
    },
    /// A person, a signal or the store asks the run to stop early.
    StopRequested {
        /// Who asks.
        reason: StopReason,
    },
    /// Time passed. Told at [`super::Scheduler::next_timeout`] at the latest.
    Clock,
}

impl Event {
    /// The rank that is heard by it.
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

/// What the driver must do. Within a step's actions, and between steps, the driver obeys this order:
///
/// 1. A [`Event::Settled`] is only ever fed in after the record is synced to disk (journal before verdict).
/// 2. Actions are carried out in the order given.
/// 3. [`Event::Clock`] is fed in at [`super::Scheduler::next_timeout`] at the latest.
/// 4. After [`Action::Finish`] the clock, signs of life and late answers are still fed in: a rank that falls silent while
///    it seals is given up, and a late record counts. Then the catalogue is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send the unit to the rank. Never exceeds the rank's credits.
    Assign {
        /// The rank.
        rank: RankId,
        /// The pages.
        unit: Unit,
        /// Earlier attempts of those pages of the unit that have some.
        priors: Vec<Prior>,
    },
    /// The page did not come back in time: tell the rank to let it go. What the rank still says of it under this lease
    /// is stale.
    Expire {
        /// The rank.
        rank: RankId,
        /// The page.
        page: PageRef,
        /// The assignment.
        lease: LeaseId,
    },
    /// Tell the rank to give back every page it has not settled.
    Recall {
        /// The rank.
        rank: RankId,
    },
    /// Turn the rank, which holds no pages and serves one engine at a time, over to this one. It is ready for none until
    /// it says so.
    SwitchRole {
        /// The rank.
        rank: RankId,
        /// Its engine from now on.
        engine: Engine,
    },
    /// Tell whoever runs this why the run ends before its deadline: nothing can go on but by a turn, and that would come
    /// too late.
    TooLate {
        /// What a rank would have to turn to.
        engine: Engine,
        /// What that is reckoned to take.
        turn: Duration,
        /// Time left for pages.
        left: Duration,
    },
    /// The run is over. Emitted once.
    Finish {
        /// How.
        outcome: Outcome,
    },
}
