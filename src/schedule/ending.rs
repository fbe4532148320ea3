//! How a run ends early: first no more pages are dealt, then those in flight are called back, then all is sealed.
//!
//! The end of the job's time is a phase of the schedule and not a signal: PBS tells the first node only, late, and
//! leaves ranks about a second (`docs/facts/pbs.md`, "Signals and walltime").

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
    /// By then everything is sealed and all ranks have ended.
    pub end: Tick,
    /// Time that sealing and ending take. A run that has less than twice as long keeps half of it.
    pub reserve: Duration,
}

impl Deadline {
    /// When pages still in flight are called back.
    pub(super) fn recall(self) -> Tick {
        Tick(self.end.0 - self.reserve.min(self.end.0 / 2))
    }
}

/// How far the run is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Pages are dealt.
    Dealing,
    /// No more pages are dealt; what is in flight may end until then.
    Draining { reason: StopReason, until: Tick },
    /// What was in flight has been called back.
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
    /// Begins to end, unless that has begun already: the first reason stays.
    pub(super) fn stop(&mut self, reason: StopReason, now: Tick) {
        if self.phase == Phase::Dealing {
            self.phase = Phase::Draining { reason, until: Tick(now.0 + self.policy.drain) };
        }
    }

    /// Goes on to the next phase when it is time.
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

    /// A rank that has given nothing back halfway from the recall to the deadline is not waited for: the others must seal.
    /// Of one that has given others back, the pages are not waited for, and it seals with the rest.
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

    /// A rank that nobody has heard of for too long is lost, and the run ends early: what is left of the job starts
    /// again without it, since MPI would wait for it for ever.
    pub(super) fn notice_silence(&mut self, now: Tick) {
        if let Some((rank, _)) = self.first_silence().filter(|(_, at)| *at <= now) {
            self.rank_lost(rank);
            self.stop(StopReason::RankSilent(rank), now);
        }
    }

    /// Remembers how long a page took from its assignment to its verdict.
    pub(super) fn time_page(&mut self, engine: Engine, assigned: Assigned, now: Tick) {
        let time = now.0.saturating_sub(assigned.at.0);
        self.last_settled = Some(now);
        self.page_times.add(time);
        self.rank_times
            .entry(engine)
            .and_modify(|times| times.add(time, assigned.load))
            .or_insert_with(|| RankTimes::first(time, assigned.load));
    }

    /// Time within which 95 of 100 pages come back; zero while none has.
    pub(super) fn most_take(&self) -> Duration {
        self.page_times.quantile(95)
    }

    /// What pages of the engine take of a rank; what those of the other do while it has read none.
    pub(super) fn rank_times(&self, engine: Engine) -> Option<&RankTimes> {
        self.rank_times.get(&engine).or_else(|| self.rank_times.values().next())
    }
}
