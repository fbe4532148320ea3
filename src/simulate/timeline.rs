//! Future events in order of time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use super::slab::Slab;

/// A queue of future events. Events of the same moment come out in the order in which they went in.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    /// Time, order and place of each event.
    heap: BinaryHeap<Reverse<(Duration, u64, u32)>>,
    events: Slab<T>,
    inserted: u64,
    now: Duration,
}

impl<T> Timeline<T> {
    pub(super) fn new() -> Self {
        Timeline { heap: BinaryHeap::new(), events: Slab::default(), inserted: 0, now: Duration::ZERO }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn after(&mut self, delay: Duration, what: T) {
        self.inserted += 1;
        let place = self.events.insert(what);
        self.heap.push(Reverse((self.now + delay, self.inserted, place)));
    }

    pub(super) fn next(&mut self) -> Option<T> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.now = at;
        self.events.take(place)
    }
}
