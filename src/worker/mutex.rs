//! Locking a mutex in a program whose panics end the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic aborts the process, so a lock is never seen poisoned.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
