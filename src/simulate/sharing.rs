//! A server whose pages in flight share it evenly: each of them progresses at the same speed.
//!
//! All pages progress by one virtual time, and a page ends at a virtual time that is known when it is sent. So a page
//! costs a few operations on a heap, however many others begin or end meanwhile.

use std::{cmp::Ordering, collections::BinaryHeap, time::Duration};

use super::slab::Slab;

/// The pages in flight on a server.
#[derive(Debug)]
pub(super) struct Sharing<T> {
    /// What a page has had of its server that was in flight from the beginning, in mean pages.
    progress: f64,
    /// The time of `progress`.
    at: Duration,
    /// Seconds in which every page progresses by one.
    slowness: f64,
    ends: BinaryHeap<Ending>,
    pages: Slab<T>,
    sent: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ending {
    /// The progress at which it ends.
    progress: f64,
    order: u64,
    place: u32,
}

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Sharing {
            progress: 0.0,
            at: Duration::ZERO,
            slowness: 1.0,
            ends: BinaryHeap::new(),
            pages: Slab::default(),
            sent: 0,
        }
    }
}

impl<T> Sharing<T> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Lets all pages progress until `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        if self.ends.is_empty() {
            // Keeps the sum small, and so exact.
            self.progress = 0.0;
        } else {
            self.progress += now.saturating_sub(self.at).as_secs_f64() / self.slowness;
        }
        self.at = now;
    }

    /// From now on, all pages progress by one in this many seconds.
    pub(super) fn set_slowness(&mut self, slowness: f64) {
        self.slowness = slowness;
    }

    /// Sends a page that needs this much progress. The pages must have progressed until now.
    pub(super) fn send(&mut self, work: f64, page: T) {
        self.sent += 1;
        let place = self.pages.insert(page);
        self.ends.push(Ending { progress: self.progress + work, order: self.sent, place });
    }

    /// When the next page ends, if no other is sent before.
    pub(super) fn next_end(&self) -> Option<Duration> {
        let left = (self.ends.peek()?.progress - self.progress).max(0.0) * self.slowness;
        // Rounded up, so that it has ended by then.
        Some(self.at + Duration::from_secs_f64(left) + Duration::from_nanos(1))
    }

    /// A page that has ended by now.
    pub(super) fn take_ended(&mut self) -> Option<T> {
        /// Progress that is lost when times are rounded.
        const ROUNDING: f64 = 1e-9;
        self.ends.peek().filter(|page| page.progress <= self.progress + ROUNDING)?;
        self.ends.pop().and_then(|end| self.pages.take(end.place))
    }

    /// All pages, in the order in which they would end.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.ends.pop()).filter_map(|end| self.pages.take(end.place)).collect()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let pages = &mut self.pages;
        self.ends.retain(|end| {
            let keeps = pages.get(end.place).is_some_and(&keep);
            if !keeps {
                pages.take(end.place);
            }
            keeps
        });
    }
}

/// The first to end is the greatest.
impl Ord for Ending {
    fn cmp(&self, other: &Self) -> Ordering {
        other.progress.total_cmp(&self.progress).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Ending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ending {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pages at half the speed, of which the shorter ends first; then the other has the server alone.
    #[test]
    fn pages_share_their_server() {
        let seconds = Duration::from_secs_f64;
        let near = |end: Option<Duration>, expected: f64| {
            assert!(end.is_some_and(|end| (end.as_secs_f64() - expected).abs() < 1e-6), "{end:?} {expected}");
        };
        let mut server = Sharing::default();
        server.send(10.0, "long");
        near(server.next_end(), 10.0);
        server.advance(seconds(4.0));
        server.send(2.0, "short");
        server.set_slowness(2.0);
        near(server.next_end(), 8.0);
        let end = server.next_end().unwrap();
        server.advance(end);
        assert_eq!((server.take_ended(), server.take_ended()), (Some("short"), None));
        server.set_slowness(1.0);
        near(server.next_end(), 12.0);
    }
}
