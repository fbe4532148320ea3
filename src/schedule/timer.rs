//! What the passing of time brings about.

use crate::model::RankId;

use super::{
    ending::{Deadline, Phase},
    protocol::{Action, Tick},
    scheduler::Scheduler,
};

/// Something that happens when its time has come, unless something else happens before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The oldest lease expires.
    LeaseExpiry,
    /// A rank has not been heard of for too long.
    Silence,
    /// No more pages are dealt, because of the deadline.
    Drain,
    /// What is in flight is called back.
    Recall,
    /// A rank that gave nothing back after the recall is not waited for.
    LeaveBehind,
}

impl Timer {
    /// All of them, in the order in which those fire whose time has come together.
    const ALL: [Timer; 5] = [Timer::Silence, Timer::Drain, Timer::Recall, Timer::LeaveBehind, Timer::LeaseExpiry];
}

impl Scheduler {
    /// When [`super::Event::Clock`] must be told next; earlier does no harm. `None` where nothing waits for the time.
    pub fn next_timeout(&self) -> Option<Tick> {
        Timer::ALL.into_iter().filter_map(|timer| self.due(timer)).min()
    }

    /// Lets everything happen whose time has come.
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

    /// The rank that will be given up first for its silence, and when.
    pub(super) fn first_silence(&self) -> Option<(RankId, Tick)> {
        /// A rank's start takes longer than its longest silence: its program and libraries come over a cold network.
        const START_FACTOR: u32 = 5;
        let limit = self.policy.silence_limit?;
        let known = self.ranks.longest_unheard().map(|(rank, heard)| (rank, Tick(heard.0 + limit)));
        let missing = self.ranks.missing().map(|rank| (rank, Tick(limit * START_FACTOR)));
        known.into_iter().chain(missing).min_by_key(|(rank, at)| (*at, *rank))
    }
}
