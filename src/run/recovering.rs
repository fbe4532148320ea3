//! Rank 0's second phase: all ranks that are there seal and read what earlier starts left.

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

/// Longest wait for all ranks to introduce themselves before what earlier starts left is shared among those that have.
const ROLL_CALL: Duration = Duration::from_secs(2);

/// What earlier starts left is being read.
pub(super) struct Recovering {
    roster: Roster,
    step: Step,
}

enum Step {
    /// Ranks introduce themselves, until this moment at the latest.
    RollCall { prepared: Prepared, until: Instant },
    /// The ranks have their shares.
    Awaiting { prepared: Prepared, collected: Collected },
    /// It is worked out how the pages stand.
    Restoring(Pending<Result<Prepared, RunError>>),
}

impl Recovering {
    /// Begins with a roll call; where earlier starts left nothing, there is nothing to share.
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

    /// Takes in what a rank says.
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

    /// A rank whose share has not come in full.
    pub(super) fn awaited_rank(&self) -> Option<RankId> {
        match &self.step {
            Step::Awaiting { collected, .. } => collected.awaited_rank(),
            Step::RollCall { .. } | Step::Restoring(_) => None,
        }
    }

    /// Takes the next step where that is possible: breaks with the ranks and with the run directory whose pages are known.
    ///
    /// # Errors
    /// How the pages stand cannot be known.
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

/// Shares what earlier starts left among these ranks.
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
