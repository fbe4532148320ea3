//! Timers: what happens when time passes.

use crate::model::RankId;

use super::{
    ending::{Deadline, Phase},
    protocol::{Action, Tick},
    scheduler::Scheduler,
};

/// A timer. It fires at its time, unless another event makes it unnecessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The oldest lease expires.
    LeaseExpiry,
    /// A rank has been silent for too long.
    Silence,
    /// No more pages are dealt, because of the deadline.
    Drain,
    /// Pages in flight are recalled.
    Recall,
    /// A rank that returned nothing after the recall is no longer waited for.
    LeaveBehind,
}

impl Timer {
    /// All timers. Those that are due together fire in this order.
    const ALL: [Timer; 5] = [Timer::Silence, Timer::Drain, Timer::Recall, Timer::LeaveBehind, Timer::LeaseExpiry];
}

impl Scheduler {
    /// When [`super::Event::Clock`] is due next; an earlier one does no harm. `None` if no timer is set.
    pub fn next_timeout(&self) -> Option<Tick> {
        Timer::ALL.into_iter().filter_map(|timer| self.due(timer)).min()
    }

    /// Fires all timers that are due.
    pub(super) fn handle_timeout(&mut self, now: Tick, out: &mut Vec<Action>) {
        for timer in Timer::ALL {
            while self.due(timer).is_some_and(|due| due <= now) {
                self.expire_timer(timer, now, out);
            }
        }
    }

    fn due(&self, timer: Timer) -> Option<Tick> {
        if self.finished && timer != Timer::Silence {
            return None;
        }
        let recall = self.policy.deadline.map(Deadline::recall);
        match (timer, self.phase) {
            (Timer::Silence, _) => self.first_silence().map(|(_, at)| at),
            (Timer::LeaseExpiry, _) => self.next_expiry(),
            (Timer::Drain, Phase::Dealing) => recall.map(|at| Tick(at.0.saturating_sub(self.most_take()))),
            (Timer::Recall, Phase::Draining { until, .. }) => Some(recall.map_or(until, |at| until.min(at))),
            (Timer::LeaveBehind, Phase::Recalled { since, .. }) => {
                let holds = self.ranks.iter().any(|(_, state)| state.held > 0);
                let end = self.policy.deadline.filter(|_| holds)?.end;
                Some(Tick(since.0 + end.0.saturating_sub(since.0) / 2))
            }
            _ => None,
        }
    }

    fn expire_timer(&mut self, timer: Timer, now: Tick, out: &mut Vec<Action>) {
        match timer {
            Timer::LeaseExpiry => self.expire_leases(now, out),
            Timer::Silence => self.notice_silence(now),
            Timer::Drain | Timer::Recall => self.advance(now, out),
            Timer::LeaveBehind => self.leave_behind(now, out),
        }
    }

    /// The rank that will be lost next because of its silence, and when.
    pub(super) fn first_silence(&self) -> Option<(RankId, Tick)> {
        /// A rank needs longer to start than between two messages: its program and libraries come over a cold network.
        const START_FACTOR: u32 = 5;
        let limit = self.policy.silence_limit?;
        let known = self.ranks.longest_unheard().map(|(rank, heard)| (rank, Tick(heard.0 + limit)));
        let missing = self.ranks.missing().map(|rank| (rank, Tick(limit * START_FACTOR)));
        known.into_iter().chain(missing).min_by_key(|(rank, at)| (*at, *rank))
    }
}
