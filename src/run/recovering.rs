//! Rank 0's second phase: the ranks that have reported seal and read the files of earlier starts.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use super::{
    background::{Background, Pending},
    coordinator::Outgoing,
    error::RunError,
    preparation::Prepared,
    recovery::Collected,
    request::RunRequest,
    roster::Roster,
};
use crate::{
    comm::{ToCoordinator, ToWorker},
    model::RankId,
};

/// Longest wait for all ranks to report. After it the files of earlier starts are shared among those that have.
const ROLL_CALL: Duration = Duration::from_secs(2);

/// The phase in which the files of earlier starts are read.
pub(super) struct Recovering {
    roster: Roster,
    step: Step,
}

enum Step {
    /// Ranks report, until this moment at the latest.
    RollCall { prepared: Prepared, until: Instant },
    /// The ranks work on their shares.
    Awaiting { prepared: Prepared, collected: Collected },
    /// The state of every page is computed.
    Restoring(Pending<Result<Prepared, RunError>>),
}

impl Recovering {
    /// Starts with the roll call. If earlier starts left no files, there is nothing to share.
    pub(super) fn start(
        roster: Roster,
        prepared: Prepared,
        request: &RunRequest,
        background: &Background,
    ) -> Recovering {
        let step = if prepared.leftovers.is_empty() {
            restore(prepared, Collected::from_ranks(Vec::new()), request, background)
        } else {
            Step::RollCall { prepared, until: Instant::now() + ROLL_CALL }
        };
        Recovering { roster, step }
    }

    /// Handles a message of a rank.
    ///
    /// # Errors
    /// The rank asks the run to stop, or the message is out of phase.
    pub(super) fn record(&mut self, rank: RankId, message: ToCoordinator) -> Result<(), RunError> {
        match (&mut self.step, message) {
            (Step::Awaiting { collected, .. }, ToCoordinator::Recovered(part)) => collected.add(rank, part),
            (_, message) => self.roster.record(rank, message)?,
        }
        Ok(())
    }

    /// A rank whose share has not fully arrived.
    pub(super) fn awaited_rank(&self) -> Option<RankId> {
        match &self.step {
            Step::Awaiting { collected, .. } => collected.awaited_rank(),
            Step::RollCall { .. } | Step::Restoring(_) => None,
        }
    }

    /// Takes the next step if it is possible. Breaks with the ranks and the run directory once the state of all pages
    /// is known.
    ///
    /// # Errors
    /// The state of the pages cannot be determined.
    pub(super) fn advance(
        self,
        ranks: u32,
        request: &RunRequest,
        background: &Background,
        out: &mut Outgoing,
    ) -> Result<ControlFlow<(Roster, Prepared), Recovering>, RunError> {
        let Recovering { roster, step } = self;
        let step = match step {
            Step::RollCall { prepared, until } => {
                let present = roster.ranks();
                if present.len() < ranks as usize && Instant::now() < until {
                    Step::RollCall { prepared, until }
                } else {
                    let collected = share(&prepared, present, out);
                    Step::Awaiting { prepared, collected }
                }
            }
            Step::Awaiting { prepared, collected } if collected.awaited_rank().is_none() => {
                restore(prepared, collected, request, background)
            }
            Step::Restoring(pending) => match pending.poll()? {
                Some(prepared) => return Ok(ControlFlow::Break((roster, prepared?))),
                None => Step::Restoring(pending),
            },
            step @ Step::Awaiting { .. } => step,
        };
        Ok(ControlFlow::Continue(Recovering { roster, step }))
    }
}

/// Shares the files of earlier starts among these ranks.
fn share(prepared: &Prepared, present: Vec<RankId>, out: &mut Outgoing) -> Collected {
    let ranks = NonZeroUsize::new(present.len()).unwrap_or(NonZeroUsize::MIN);
    let shares = prepared.leftovers.clone().shares(ranks);
    let mut awaited = Vec::new();
    for (rank, share) in present.into_iter().zip(shares) {
        if !share.is_empty() {
            out.push((rank, ToWorker::Recover { run_id: prepared.plan.run_id.clone(), share }));
            awaited.push(rank);
        }
    }
    Collected::from_ranks(awaited)
}

fn restore(mut prepared: Prepared, collected: Collected, request: &RunRequest, background: &Background) -> Step {
    let request = request.clone();
    Step::Restoring(background.run(move || prepared.restore(&request, collected).map(|()| prepared)))
}
