//! Future events in order of time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// A queue of future events. Events of the same moment come out in the order in which they went in.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    inserted: u64,
    now: Duration,
}

#[derive(Debug)]
struct Entry<T> {
    at: Duration,
    order: u64,
    what: T,
}

impl<T> Timeline<T> {
    pub(super) fn new() -> Self {
        Timeline { heap: BinaryHeap::new(), inserted: 0, now: Duration::ZERO }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn after(&mut self, delay: Duration, what: T) {
        self.inserted += 1;
        self.heap.push(Reverse(Entry { at: self.now + delay, order: self.inserted, what }));
    }

    pub(super) fn next(&mut self) -> Option<T> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
