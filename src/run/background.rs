//! A thread of rank 0 for work that waits for disks or child processes. The main thread must keep sending signs of
//! life.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
};

use super::error::RunError;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs jobs one after the other. When this is dropped, the thread ends after its current job, and
/// nothing waits for it.
#[derive(Debug)]
pub(super) struct Background {
    jobs: Sender<Job>,
}

/// The result of a job that may not be done yet.
#[derive(Debug)]
pub(super) struct Pending<R>(Receiver<R>);

impl Background {
    pub(super) fn start() -> io::Result<Background> {
        let (jobs, queue) = channel::<Job>();
        std::thread::Builder::new()
            .name("bocr-rank-0".into())
            .spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Background { jobs })
    }

    /// Gives a job to the thread.
    pub(super) fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Pending<R> {
        let (done, result) = channel();
        let job = move || {
            let _ = done.send(work());
        };
        // If the thread has ended, the sender of the result is gone too, and polling reports that.
        let _ = self.jobs.send(Box::new(job));
        Pending(result)
    }
}

impl<R> Pending<R> {
    /// The result, once it is available.
    ///
    /// # Errors
    /// A defect: the thread has ended, or the result was taken before.
    pub(super) fn poll(&self) -> Result<Option<R>, RunError> {
        match self.0.try_recv() {
            Ok(result) => Ok(Some(result)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(RunError::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_in_order_and_its_result_comes_once() {
        let background = Background::start().unwrap();
        let first = background.run(|| 1);
        let second = background.run(|| 2);
        while second.poll().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(first.poll().unwrap(), Some(1));
        assert!(matches!(first.poll(), Err(RunError::Busy)));
    }
}
