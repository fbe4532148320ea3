//! The early end of a run: first no more pages are dealt, then pages in flight are recalled, then the shards are
//! sealed.
//!
//! The end of the job's time is a phase of the schedule, not a signal: PBS signals only the first node, late, and
//! leaves the ranks about a second (`docs/facts/pbs.md`, "Signals and walltime").

use std::time::Duration;

use crate::model::{Engine, StopReason};

use super::{
    lease::Assigned,
    page_times::RankTimes,
    protocol::{Action, Tick},
    scheduler::Scheduler,
};

/// When a run must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// By then all shards are sealed and all ranks have ended.
    pub end: Tick,
    /// Time that sealing and ending take. A run with less than twice this time keeps half of its time.
    pub reserve: Duration,
}

impl Deadline {
    /// When pages still in flight are recalled.
    pub(super) fn recall(self) -> Tick {
        Tick(self.end.0 - self.reserve.min(self.end.0 / 2))
    }
}

/// Phases of the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Pages are dealt.
    Dealing,
    /// No more pages are dealt. Pages in flight may end until `until`.
    Draining { reason: StopReason, until: Tick },
    /// Pages in flight have been recalled.
    Recalled { reason: StopReason, since: Tick },
}

impl Phase {
    /// Why the run ends early, if it does.
    pub(super) fn reason(self) -> Option<StopReason> {
        match self {
            Phase::Dealing => None,
            Phase::Draining { reason, .. } | Phase::Recalled { reason, .. } => Some(reason),
        }
    }
}

impl Scheduler {
    /// Starts the early end. If it has started already, the first reason stays.
    pub(super) fn stop(&mut self, reason: StopReason, now: Tick) {
        if self.phase == Phase::Dealing {
            self.phase = Phase::Draining { reason, until: Tick(now.0 + self.policy.drain) };
        }
    }

    /// Sets a deadline, unless the run has an earlier one.
    pub fn limit(&mut self, deadline: Deadline) {
        if self.policy.deadline.is_none_or(|known| deadline.end < known.end) {
            self.policy.deadline = Some(deadline);
        }
    }

    /// Enters the next phase when it is due.
    pub(super) fn advance(&mut self, now: Tick, out: &mut Vec<Action>) {
        if let Some(recall) = self.policy.deadline.map(Deadline::recall) {
            self.phase = match self.phase {
                Phase::Dealing if now.0 + self.most_take() >= recall.0 => {
                    Phase::Draining { reason: StopReason::Deadline, until: recall }
                }
                Phase::Draining { reason, until } => Phase::Draining { reason, until: until.min(recall) },
                phase => phase,
            };
        }
        if let Phase::Draining { reason, until } = self.phase
            && now >= until
        {
            self.phase = Phase::Recalled { reason, since: now };
            out.extend(self.ranks.iter().filter(|(_, state)| state.held > 0).map(|(rank, _)| Action::Recall { rank }));
        }
    }

    /// Stops waiting for pages, halfway from the recall to the deadline, because the other ranks must seal. A rank that
    /// has returned nothing since the recall is lost. Of a rank that has, the leases expire, and it seals with the
    /// rest.
    pub(super) fn leave_behind(&mut self, now: Tick, out: &mut Vec<Action>) {
        let Phase::Recalled { since, .. } = self.phase else { return };
        let late = self.ranks.iter().filter(|(_, state)| state.held > 0);
        let late: Vec<_> = late.map(|(rank, state)| (rank, state.answered.is_some_and(|at| at >= since))).collect();
        for (rank, answers) in late {
            if answers {
                self.expire_all(rank, now, out);
            } else {
                self.rank_lost(rank);
            }
        }
    }

    /// A rank that has been silent for too long is lost, and the run ends early: MPI would wait for it for ever. The
    /// rest of the job starts again without it.
    pub(super) fn notice_silence(&mut self, now: Tick) {
        if let Some((rank, _)) = self.first_silence().filter(|(_, at)| *at <= now) {
            self.rank_lost(rank);
            self.stop(StopReason::RankSilent(rank), now);
        }
    }

    /// Records how long a page took from its assignment to its verdict.
    pub(super) fn time_page(&mut self, engine: Engine, assigned: Assigned, now: Tick) {
        let time = now.0.saturating_sub(assigned.at.0);
        self.last_settled = Some(now);
        self.page_times.add(time);
        self.rank_times
            .entry(engine)
            .and_modify(|times| times.add(time, assigned.load))
            .or_insert_with(|| RankTimes::first(time, assigned.load));
    }

    /// Time within which 95 of 100 pages come back; zero until one has.
    pub(super) fn most_take(&self) -> Duration {
        self.page_times.quantile(95)
    }

    /// Times of pages of the engine; those of another engine until it has read one.
    pub(super) fn rank_times(&self, engine: Engine) -> Option<&RankTimes> {
        self.rank_times.get(&engine).or_else(|| self.rank_times.values().next())
    }
}
