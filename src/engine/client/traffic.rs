//! Counters over all streams from one server: whether its engine makes progress, and its throughput.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Tokens received and requests in flight.
#[derive(Debug)]
pub struct Traffic {
    tokens: AtomicU64,
    prompt_tokens: AtomicU64,
    finished: AtomicU64,
    in_flight: AtomicU32,
    /// Requests in flight, summed over time.
    area: Mutex<Area>,
    since: Instant,
    /// Time of the last token, or of the first request after none was in flight: microseconds after `since`.
    moved: AtomicU64,
}

/// Sums over all streams so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrafficCounts {
    /// Tokens received.
    pub generated_tokens: u64,
    /// Prompt tokens of the requests that have got their first token, where the server reports them with it.
    pub prompt_tokens: u64,
    /// Requests that have ended, in whatever way.
    pub finished: u64,
    /// Requests in flight summed over time, request-seconds.
    pub in_flight_seconds: f64,
}

/// Requests in flight summed over time, up to a moment.
#[derive(Debug)]
struct Area {
    requests: u32,
    until: Instant,
    seconds: f64,
}

impl Area {
    fn change(&mut self, now: Instant, by: i32) {
        self.seconds += f64::from(self.requests) * now.saturating_duration_since(self.until).as_secs_f64();
        self.requests = self.requests.saturating_add_signed(by);
        self.until = now;
    }
}

impl Default for Traffic {
    fn default() -> Self {
        let since = Instant::now();
        Traffic {
            tokens: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            area: Mutex::new(Area { requests: 0, until: since, seconds: 0.0 }),
            since,
            moved: AtomicU64::new(0),
        }
    }
}

impl Traffic {
    /// Counts a request as in flight until the returned value is dropped.
    pub(in crate::engine) fn begin(&self) -> InFlight<'_> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            self.move_now();
        }
        self.area().change(Instant::now(), 1);
        InFlight(self)
    }

    /// Counts the prompt tokens of a request that gets its first token.
    pub(in crate::engine) fn prompt(&self, tokens: u32) {
        self.prompt_tokens.fetch_add(tokens.into(), Ordering::Relaxed);
    }

    /// The sums so far.
    pub fn counts(&self) -> TrafficCounts {
        let mut area = self.area();
        area.change(Instant::now(), 0);
        TrafficCounts {
            generated_tokens: self.tokens(),
            prompt_tokens: self.prompt_tokens.load(Ordering::Relaxed),
            finished: self.finished.load(Ordering::Relaxed),
            in_flight_seconds: area.seconds,
        }
    }

    fn area(&self) -> std::sync::MutexGuard<'_, Area> {
        self.area.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a token and notes its time.
    pub(in crate::engine) fn token(&self) {
        self.move_now();
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// Tokens received so far, on all streams.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Time since the last token while requests are in flight; `None` where none is.
    pub fn since_last_token(&self) -> Option<Duration> {
        let moved = Duration::from_micros(self.moved.load(Ordering::Relaxed));
        (self.in_flight.load(Ordering::Relaxed) > 0).then(|| self.since.elapsed().saturating_sub(moved))
    }

    /// Restarts the time since the last token: other evidence shows that the engine makes progress.
    pub fn move_now(&self) {
        self.moved.fetch_max(self.since.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}

/// A request in flight.
pub(in crate::engine) struct InFlight<'t>(&'t Traffic);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.finished.fetch_add(1, Ordering::Relaxed);
        self.0.area().change(Instant::now(), -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_of_requests_in_flight_and_ends_with_any_token() {
        let since = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let traffic = Traffic { since, ..Traffic::default() };
        let long = |silence: Option<Duration>| silence.unwrap() >= Duration::from_secs(10);
        assert_eq!(traffic.since_last_token(), None);
        let first = traffic.begin();
        assert!(!long(traffic.since_last_token()), "counted from the first request");
        traffic.moved.store(0, Ordering::Relaxed);
        let second = traffic.begin();
        assert!(long(traffic.since_last_token()), "a further request breaks no silence");
        traffic.token();
        assert!(!long(traffic.since_last_token()));
        drop(first);
        assert!(traffic.since_last_token().is_some());
        drop(second);
        assert_eq!((traffic.since_last_token(), traffic.tokens()), (None, 1));
        traffic.prompt(4000);
        let counts = traffic.counts();
        assert_eq!((counts.generated_tokens, counts.prompt_tokens, counts.finished), (1, 4000, 2));
    }
    #[test]
    fn requests_in_flight_are_summed_over_time() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut area = Area { requests: 0, until: begin, seconds: 0.0 };
        for (seconds, by) in [(1, 1), (3, 1), (6, -2), (11, 0)] {
            area.change(after(seconds), by);
        }
        assert_eq!(area.seconds, 8.0);
    }
}
