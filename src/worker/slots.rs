//! Request slots of a server. Their number can change while they are in use.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::mutex::lock;
use crate::model::MachineFault;

/// The request slots of a server.
#[derive(Debug)]
pub(super) struct Slots {
    semaphore: Semaphore,
    number: Mutex<Number>,
}

#[derive(Debug)]
struct Number {
    limit: u32,
    /// Slots in use beyond the limit. They vanish when they are released.
    excess: u32,
}

/// A slot in use.
#[derive(Debug)]
pub(super) struct Slot<'s> {
    slots: &'s Slots,
    permit: Option<SemaphorePermit<'s>>,
}

impl Slots {
    pub(super) fn new(limit: u32) -> Slots {
        Slots { semaphore: Semaphore::new(limit as usize), number: Mutex::new(Number { limit, excess: 0 }) }
    }

    /// Waits for a slot. Slots are given in the order of the calls.
    pub(super) async fn acquire(&self) -> Result<Slot<'_>, MachineFault> {
        let permit = self.semaphore.acquire().await.map_err(|_| MachineFault::Draining)?;
        Ok(Slot { slots: self, permit: Some(permit) })
    }

    pub(super) fn limit(&self) -> u32 {
        self.number().limit
    }

    /// Changes the limit. No slot in use is taken away: one beyond a lower limit vanishes when it is released.
    pub(super) fn set_limit(&self, limit: u32) {
        let mut number = self.number();
        let (more, fewer) = (limit.saturating_sub(number.limit), number.limit.saturating_sub(limit));
        let kept = more.min(number.excess);
        number.excess -= kept;
        self.semaphore.add_permits((more - kept) as usize);
        number.excess += fewer - self.semaphore.forget_permits(fewer as usize) as u32;
        number.limit = limit;
    }

    fn number(&self) -> MutexGuard<'_, Number> {
        lock(&self.number)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut number = self.slots.number();
        if number.excess > 0 {
            number.excess -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        } else {
            // While the lock is held: a limit that is lowered at the same time must find this permit.
            self.permit = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_limit_that_falls_takes_no_slot_away_and_is_kept_afterwards() {
        let slots = Slots::new(3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(slots.acquire().await.unwrap());
        }
        slots.set_limit(1);
        held.truncate(1);
        assert_eq!(slots.semaphore.available_permits(), 0, "two slots vanished with the limit");
        held.clear();
        assert_eq!(slots.semaphore.available_permits(), 1);
        slots.set_limit(4);
        assert_eq!((slots.semaphore.available_permits(), slots.limit()), (4, 4));
    }

    #[tokio::test]
    async fn a_limit_that_rises_again_keeps_what_was_to_go() {
        let slots = Slots::new(4);
        let held = [slots.acquire().await.unwrap(), slots.acquire().await.unwrap(), slots.acquire().await.unwrap()];
        slots.set_limit(1);
        slots.set_limit(3);
        assert_eq!(slots.semaphore.available_permits(), 0);
        drop(held);
        assert_eq!(slots.semaphore.available_permits(), 3);
    }
}
