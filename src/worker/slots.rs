//! Request slots of a server, and the pages that wait for one. The number of slots can change while they are in use.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot::{self, Receiver, Sender};

use super::mutex::lock;
use crate::{
    concurrency::{Length, WaitingPages},
    model::MachineFault,
};

/// The request slots of a server.
#[derive(Debug)]
pub(super) struct Slots(Mutex<State>);

#[derive(Debug)]
struct State {
    limit: u32,
    /// Slots in use. More than the limit, if it was lowered meanwhile.
    used: u32,
    waiting: WaitingPages<Sender<()>>,
}

/// A slot in use.
#[derive(Debug)]
pub(super) struct Slot<'s>(&'s Slots);

/// Waits for a slot. One that was given to a page whose task has ended meanwhile is released.
struct Turn<'s> {
    slots: &'s Slots,
    given: Receiver<()>,
}

impl Slots {
    /// Slots for so many requests, on a rank that holds at most `credits` pages.
    pub(super) fn new(limit: u32, credits: u32) -> Slots {
        Slots(Mutex::new(State { limit, used: 0, waiting: WaitingPages::new(credits) }))
    }

    /// Waits for a slot. The longest of the waiting pages gets the next one: see [`WaitingPages`].
    pub(super) async fn acquire(&self, length: Length) -> Result<Slot<'_>, MachineFault> {
        let mut turn = {
            let mut state = self.state();
            if state.used < state.limit {
                state.used += 1;
                return Ok(Slot(self));
            }
            let (sender, given) = oneshot::channel();
            state.waiting.push(length, sender);
            Turn { slots: self, given }
        };
        (&mut turn.given).await.map_err(|_| MachineFault::Draining)?;
        Ok(Slot(self))
    }

    pub(super) fn limit(&self) -> u32 {
        self.state().limit
    }

    /// Changes the limit. No slot in use is taken away: one beyond a lower limit vanishes when it is released.
    pub(super) fn set_limit(&self, limit: u32) {
        let mut state = self.state();
        state.limit = limit;
        state.give();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    fn release(&self) {
        let mut state = self.state();
        state.used -= 1;
        state.give();
    }
}

impl State {
    /// Gives the free slots to pages that wait.
    fn give(&mut self) {
        while self.used < self.limit
            && let Some(page) = self.waiting.pop()
        {
            // The task of a page that was dropped does not wait any more.
            self.used += u32::from(page.send(()).is_ok());
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.given.try_recv().is_ok() {
            self.slots.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const PAGE: Length = Length(1.0);

    fn used(slots: &Slots) -> u32 {
        slots.state().used
    }

    #[tokio::test]
    async fn a_limit_that_falls_takes_no_slot_away_and_is_kept_afterwards() {
        let slots = Slots::new(3, 6);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(slots.acquire(PAGE).await.unwrap());
        }
        slots.set_limit(1);
        let mut waits = pin!(slots.acquire(PAGE));
        assert!(waits.as_mut().now_or_never().is_none());
        held.truncate(1);
        assert!(waits.as_mut().now_or_never().is_none(), "two slots vanished with the limit");
        held.clear();
        assert!(waits.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_limit_that_rises_is_given_to_the_pages_that_wait() {
        let slots = Slots::new(1, 6);
        let held = slots.acquire(PAGE).await.unwrap();
        let mut waits = pin!(slots.acquire(PAGE));
        assert!(waits.as_mut().now_or_never().is_none());
        slots.set_limit(2);
        let other = waits.await.unwrap();
        assert_eq!((used(&slots), slots.limit()), (2, 2));
        drop((held, other));
        assert_eq!(used(&slots), 0);
    }

    #[tokio::test]
    async fn the_longest_page_gets_the_next_slot() {
        let slots = Slots::new(1, 6);
        let held = slots.acquire(PAGE).await.unwrap();
        let (mut short, mut long) = (pin!(slots.acquire(PAGE)), pin!(slots.acquire(Length(3.0))));
        assert!(short.as_mut().now_or_never().is_none() && long.as_mut().now_or_never().is_none());
        drop(held);
        assert!(short.as_mut().now_or_never().is_none());
        drop(long.await.unwrap());
        assert!(short.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_page_that_no_longer_waits_takes_no_slot() {
        let slots = Slots::new(1, 6);
        let held = slots.acquire(PAGE).await.unwrap();
        for is_given_before in [true, false] {
            let mut gone = Box::pin(slots.acquire(Length(3.0)));
            assert!((&mut gone).now_or_never().is_none());
            if is_given_before {
                slots.set_limit(2);
                drop(gone);
                slots.set_limit(1);
            } else {
                drop(gone);
            }
        }
        drop(held);
        assert_eq!(used(&slots), 0);
        assert!(slots.acquire(PAGE).now_or_never().is_some());
    }
}
