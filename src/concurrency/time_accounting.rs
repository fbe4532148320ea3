//! Time accounting: where a server's time goes.

use std::{fmt, ops::AddAssign, time::Duration};

use crate::model::{NoPages, ServerTime, TimeWithoutPages};

/// Label of the time in which a rank had no pages for a ready server.
const NO_PAGES: &str = "idle: no pages";

/// State of a server during a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ServerActivity {
    /// Not ready yet, at its first start or after a role switch.
    Starting,
    /// Ready.
    Ready {
        /// Mean number of requests in flight.
        in_flight: f64,
        /// Maximum number of requests in flight.
        limit: u32,
        /// Pages on this rank that wait for their image or for a request slot.
        on_their_way: u32,
        /// Why slots are free for which the rank has no pages.
        no_pages: NoPages,
    },
    /// Not ready, after it was ready before.
    Down,
    /// All pages were recalled, or the run ends.
    Draining,
}

impl ServerTime {
    /// Adds a span to the parts that the state gives.
    pub fn spend(&mut self, span: Duration, life: ServerActivity) {
        match life {
            ServerActivity::Starting => self.starting += span,
            ServerActivity::Down => self.down += span,
            ServerActivity::Draining => self.draining += span,
            ServerActivity::Ready { in_flight, limit, on_their_way, no_pages } => {
                let limit = f64::from(limit.max(1));
                let busy = span.mul_f64((in_flight / limit).clamp(0.0, 1.0));
                let rendering = span.mul_f64((f64::from(on_their_way) / limit).min(1.0)).min(span - busy);
                self.busy += busy;
                self.idle_rendering += rendering;
                self.idle_no_pages += span - busy - rendering;
                self.without_pages.spend(span - busy - rendering, no_pages);
            }
        }
    }

    /// The sum of all parts.
    pub fn total(&self) -> Duration {
        self.parts().iter().map(|(_, time)| *time).sum()
    }

    fn parts(&self) -> [(&'static str, Duration); 6] {
        [
            ("busy", self.busy),
            ("idle: rendering", self.idle_rendering),
            (NO_PAGES, self.idle_no_pages),
            ("starting", self.starting),
            ("down", self.down),
            ("draining", self.draining),
        ]
    }
}

impl TimeWithoutPages {
    fn spend(&mut self, span: Duration, cause: NoPages) {
        match cause {
            NoPages::Planning => self.planning += span,
            NoPages::LastPages => self.last_pages += span,
            NoPages::OtherEngine => self.other_engine += span,
            NoPages::Trial => self.trials += span,
            NoPages::Dealing => {}
        }
    }

    fn parts(&self) -> [(&'static str, Duration); 4] {
        [
            ("the plan was not finished", self.planning),
            ("other ranks held the last", self.last_pages),
            ("waiting for another engine", self.other_engine),
            ("suspects in isolation", self.trials),
        ]
    }
}

impl AddAssign for ServerTime {
    fn add_assign(&mut self, other: Self) {
        self.busy += other.busy;
        self.idle_rendering += other.idle_rendering;
        self.idle_no_pages += other.idle_no_pages;
        self.without_pages += other.without_pages;
        self.starting += other.starting;
        self.down += other.down;
        self.draining += other.draining;
    }
}

impl AddAssign for TimeWithoutPages {
    fn add_assign(&mut self, other: Self) {
        self.planning += other.planning;
        self.last_pages += other.last_pages;
        self.other_engine += other.other_engine;
        self.trials += other.trials;
    }
}

/// `busy 93.1 %, idle: no pages 2.0 % (other ranks held the last 1.9 %), …`, without parts that are zero.
impl fmt::Display for ServerTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total().as_secs_f64();
        let spent = self.parts().into_iter().filter(|(_, time)| !time.is_zero());
        for (place, (label, time)) in spent.enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{label} {:.1} %", 100.0 * time.as_secs_f64() / total)?;
            if label == NO_PAGES {
                let causes = self.without_pages.parts().into_iter().filter(|(_, time)| !time.is_zero());
                let causes: Vec<_> = causes
                    .map(|(cause, time)| format!("{cause} {:.1} %", 100.0 * time.as_secs_f64() / total))
                    .collect();
                if !causes.is_empty() {
                    write!(f, " ({})", causes.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_second_is_labelled_once() {
        let mut time = ServerTime::default();
        let ready = |in_flight, on_their_way| ServerActivity::Ready {
            in_flight,
            limit: 32,
            on_their_way,
            no_pages: NoPages::LastPages,
        };
        let lives = [
            ServerActivity::Starting,
            ready(0.0, 0),
            ready(8.0, 4),
            ready(16.0, 100),
            ready(32.0, 64),
            // The limit has just fallen.
            ready(48.0, 0),
            ServerActivity::Down,
            ServerActivity::Draining,
        ];
        for life in lives {
            time.spend(SECOND, life);
        }
        assert_eq!(time.total(), 8 * SECOND);
        assert_eq!(time.busy, Duration::from_millis(250 + 500 + 2000));
        assert_eq!(time.idle_rendering, Duration::from_millis(125 + 500));
        assert_eq!(time.idle_no_pages, Duration::from_millis(1000 + 625));
        assert_eq!(time.without_pages.last_pages, time.idle_no_pages);
    }

    #[test]
    fn parts_that_are_zero_are_left_out() {
        let time = ServerTime { busy: 9 * SECOND, starting: SECOND, ..ServerTime::default() };
        assert_eq!(time.to_string(), "busy 90.0 %, starting 10.0 %");
        let without_pages = TimeWithoutPages { last_pages: SECOND, ..TimeWithoutPages::default() };
        let time = ServerTime { busy: 2 * SECOND, idle_no_pages: 2 * SECOND, without_pages, ..ServerTime::default() };
        assert_eq!(time.to_string(), "busy 50.0 %, idle: no pages 50.0 % (other ranks held the last 25.0 %)");
    }
}
