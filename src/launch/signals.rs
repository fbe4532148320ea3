//! Signals that ask the launcher to stop.

use std::{
    fs, future, io,
    task::{Context, Poll},
};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// The signals. They are received from the moment that this value exists.
#[derive(Debug)]
pub(super) struct Signals(Vec<unix::Signal>);

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP. Signals that were ignored when this process started stay ignored: under
    /// `nohup`, closing the terminal must not stop the launcher.
    ///
    /// # Errors
    /// The system refuses signal handlers.
    pub(super) fn listen() -> io::Result<Signals> {
        let ignored = ignored_mask(&fs::read_to_string("/proc/self/status")?)?;
        let wanted = [Signal::TERM, Signal::INT, Signal::HUP].map(Signal::as_raw);
        let heard = wanted.into_iter().filter(|number| ignored & (1 << (number - 1)) == 0);
        Ok(Signals(heard.map(|number| unix::signal(SignalKind::from_raw(number))).collect::<io::Result<_>>()?))
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        let any = |context: &mut Context<'_>| {
            // Stops at the first signal that is ready. If none is, all were polled, and any of them wakes the task.
            if self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        future::poll_fn(any).await;
    }
}

/// The signals that a process ignores, as in its status in `/proc`: bit 0 is signal 1.
fn ignored_mask(status: &str) -> io::Result<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::Error::other("/proc/self/status does not list the ignored signals (SigIgn)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        assert_eq!(ignored_mask("Name:\tbocr\nSigIgn:\t0000000000001001\nSigCgt:\t0\n").unwrap(), 0x1001);
        assert!(ignored_mask("Name:\tbocr\n").is_err());
    }
}
