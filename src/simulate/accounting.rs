//! Where the time of the ranks goes.

use std::time::Duration;

use serde::Serialize;

/// Seconds of ranks. A ready rank is busy by the share of its maximum number of requests that is in flight, as in the
/// time accounting of a run; the rest of its time it waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RankSeconds {
    /// Before its first server was ready.
    pub starting: f64,
    /// Requests were in flight.
    pub busy: f64,
    /// It had no page, although some waited at rank 0 or were on their way.
    pub waiting: f64,
    /// It had no page, because no page waited: other ranks held the last ones.
    pub last_pages: f64,
    /// It switched to another engine.
    pub switching: f64,
    /// Its server had died and was not ready again, or will never be.
    pub down: f64,
    /// The rank was lost.
    pub lost: f64,
}

impl RankSeconds {
    /// This share of all.
    pub(super) fn times(&self, share: f64) -> RankSeconds {
        let RankSeconds { starting, busy, waiting, last_pages, switching, down, lost } = *self;
        RankSeconds {
            starting: starting * share,
            busy: busy * share,
            waiting: waiting * share,
            last_pages: last_pages * share,
            switching: switching * share,
            down: down * share,
            lost: lost * share,
        }
    }

    /// The sum.
    pub fn total(&self) -> f64 {
        let RankSeconds { starting, busy, waiting, last_pages, switching, down, lost } = self;
        starting + busy + waiting + last_pages + switching + down + lost
    }
}

impl std::ops::AddAssign for RankSeconds {
    fn add_assign(&mut self, other: RankSeconds) {
        self.starting += other.starting;
        self.busy += other.busy;
        self.waiting += other.waiting;
        self.last_pages += other.last_pages;
        self.switching += other.switching;
        self.down += other.down;
        self.lost += other.lost;
    }
}

/// What a rank does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activity {
    Starting,
    /// A server is ready, with this share of the requests that it takes in flight.
    Ready(f64),
    Switching,
    Down,
    Lost,
}

/// The account of one rank up to a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RankClock {
    until: Duration,
    /// [`LastPages::seconds`] then.
    last_pages: f64,
}

impl RankClock {
    /// The moment.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// The seconds since the moment before, in which the rank did this.
    pub(super) fn advance(&mut self, now: Duration, activity: Activity, last_pages: &LastPages) -> RankSeconds {
        let (seconds, gone) = ((now - self.until).as_secs_f64(), last_pages.seconds(now) - self.last_pages);
        *self = RankClock { until: now, last_pages: self.last_pages + gone };
        let none = RankSeconds::default();
        match activity {
            Activity::Starting => RankSeconds { starting: seconds, ..none },
            Activity::Switching => RankSeconds { switching: seconds, ..none },
            Activity::Down => RankSeconds { down: seconds, ..none },
            Activity::Lost => RankSeconds { lost: seconds, ..none },
            Activity::Ready(load) => {
                let idle = 1.0 - load.min(1.0);
                let last_pages = (idle * gone).min(idle * seconds);
                RankSeconds { busy: seconds * load.min(1.0), waiting: idle * seconds - last_pages, last_pages, ..none }
            }
        }
    }
}

/// How long no page has waited at rank 0.
#[derive(Debug, Default)]
pub(super) struct LastPages {
    since: Option<Duration>,
    before: f64,
}

impl LastPages {
    /// Whether no page waits from now on.
    pub(super) fn set(&mut self, none_waits: bool, now: Duration) {
        match (self.since, none_waits) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.before += (now - since).as_secs_f64();
                self.since = None;
            }
            _ => {}
        }
    }

    fn seconds(&self, now: Duration) -> f64 {
        self.before + self.since.map_or(0.0, |since| now.saturating_sub(since).as_secs_f64())
    }
}
