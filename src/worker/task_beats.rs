//! Shows whether the runtime of a rank's tasks makes progress.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

/// Beats per silence limit: some may be late.
const BEATS: u32 = 12;

/// A task that counts its own turns. The number stands still while every thread of the runtime is blocked.
#[derive(Debug)]
pub(super) struct TaskBeats(Arc<AtomicU64>);

impl TaskBeats {
    /// Starts the task. A rank without a beat for `silence_limit` is lost.
    pub(super) fn start(runtime: &Handle, silence_limit: Duration) -> TaskBeats {
        let number = Arc::new(AtomicU64::new(0));
        let counted = Arc::downgrade(&number);
        runtime.spawn(async move {
            while let Some(number) = counted.upgrade() {
                number.fetch_add(1, Ordering::Relaxed);
                drop(number);
                sleep(silence_limit / BEATS).await;
            }
        });
        TaskBeats(number)
    }

    pub(super) fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, channel},
        thread,
    };

    use super::*;

    #[test]
    fn the_number_stands_still_while_every_thread_of_the_runtime_is_blocked() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let limit = Duration::from_millis(12);
        let beats = TaskBeats::start(runtime.handle(), limit);
        let after = |number: u64| {
            while beats.number() <= number {
                thread::yield_now();
            }
        };
        after(3);
        let block = |blocked: std::sync::mpsc::Sender<()>, end: Receiver<()>| {
            runtime.spawn(async move {
                let _ = blocked.send(());
                let _ = end.recv();
            });
        };
        let (blocked, is_blocked) = channel();
        let ends: Vec<_> = (0..2)
            .map(|_| {
                let (end, ended) = channel::<()>();
                block(blocked.clone(), ended);
                is_blocked.recv().unwrap();
                end
            })
            .collect();
        let number = beats.number();
        thread::sleep(5 * limit);
        assert_eq!(beats.number(), number);
        drop(ends);
        after(number);
    }
}
