//! What comes over all streams from one server: whether its engine moves.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Tokens received and requests in flight.
#[derive(Debug)]
pub struct Traffic {
    tokens: AtomicU64,
    in_flight: AtomicU32,
    since: Instant,
    /// Of the last token, or of the first request after none was in flight: microseconds after `since`.
    moved: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        let since = Instant::now();
        Traffic { tokens: AtomicU64::new(0), in_flight: AtomicU32::new(0), since, moved: AtomicU64::new(0) }
    }
}

impl Traffic {
    /// Counts a request for as long as the value lives.
    pub(super) fn begin(&self) -> InFlight<'_> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            self.move_now();
        }
        InFlight(self)
    }

    /// Counts a token.
    pub(super) fn token(&self) {
        self.move_now();
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// Tokens received so far, on all streams.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// How long the requests in flight have been without a token; `None` where there is none.
    pub fn silence(&self) -> Option<Duration> {
        let moved = Duration::from_micros(self.moved.load(Ordering::Relaxed));
        (self.in_flight.load(Ordering::Relaxed) > 0).then(|| self.since.elapsed().saturating_sub(moved))
    }

    /// Begins a new silence: the engine is known to move in another way.
    pub fn move_now(&self) {
        self.moved.fetch_max(self.since.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}

/// A request in flight.
pub(super) struct InFlight<'t>(&'t Traffic);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
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
        assert_eq!(traffic.silence(), None);
        let first = traffic.begin();
        assert!(!long(traffic.silence()), "counted from the first request");
        traffic.moved.store(0, Ordering::Relaxed);
        let second = traffic.begin();
        assert!(long(traffic.silence()), "a further request breaks no silence");
        traffic.token();
        assert!(!long(traffic.silence()));
        drop(first);
        assert!(traffic.silence().is_some());
        drop(second);
        assert_eq!((traffic.silence(), traffic.tokens()), (None, 1));
    }
}
