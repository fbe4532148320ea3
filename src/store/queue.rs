//! A bounded queue between threads that can be closed without losing its items.
//!
//! A channel of the standard library drops the items that are in it when the receiver ends. Here a push either fails
//! and returns the item, or [`Queue::pop`] or [`Queue::close`] returns it.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Items in order, at most a fixed number of them.
#[derive(Debug)]
pub(super) struct Queue<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    /// An item was pushed.
    filled: Condvar,
    /// An item was taken, or the queue was closed.
    emptied: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// An open queue for `capacity` items.
    pub(super) fn new(capacity: usize) -> Self {
        let state = Mutex::new(State { items: VecDeque::new(), closed: false });
        Queue { capacity, state, filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Adds an item and waits while the queue is full. A closed queue returns the item.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let is_full = |state: &mut State<T>| !state.closed && state.items.len() >= self.capacity;
        let mut state = self.emptied.wait_while(self.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes the next item. Waits for one until `deadline`, or without limit if that is `None`. Returns `None` at the
    /// deadline.
    pub(super) fn pop(&self, deadline: Option<Instant>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                self.emptied.notify_one();
                return Some(item);
            }
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) if wait.is_zero() => return None,
                Some(wait) => self.filled.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Refuses all further items and returns those that are still in the queue.
    pub(super) fn close(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.closed = true;
        self.emptied.notify_all();
        std::mem::take(&mut state.items)
    }

    /// Takes the lock. A poisoned lock is taken too: no code that can panic runs under it, so the state is valid.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn every_item_is_taken_or_returned_when_the_queue_closes_under_its_writers() {
        let queue = Queue::new(3);
        thread::scope(|scope| {
            let push = |first: u32| (first..first + 1000).filter_map(|item| queue.push(item).err()).collect::<Vec<_>>();
            let writers: Vec<_> = [0, 1000, 2000].map(|first| scope.spawn(move || push(first))).into();
            let mut items: Vec<u32> = (0..1500).filter_map(|_| queue.pop(None)).collect();
            items.extend(queue.close());
            for writer in writers {
                items.extend(writer.join().unwrap());
            }
            items.sort();
            assert_eq!(items, (0..3000).collect::<Vec<_>>());
        });
        assert_eq!(queue.push(1), Err(1));
    }

    #[test]
    fn an_empty_queue_is_waited_for_until_the_deadline() {
        let queue = Queue::<u32>::new(1);
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(queue.pop(Some(deadline)), None);
        assert!(Instant::now() >= deadline);
    }
}
