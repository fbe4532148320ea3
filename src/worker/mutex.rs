//! Locks a mutex in a program whose panics abort the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex. A panic aborts the process, so a poisoned lock is never seen.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
