//! Signals that ask the launcher for the end.

use std::{
    fs, future, io,
    task::{Context, Poll},
};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// Signals that ask for the end, heard from the moment that this value is made.
#[derive(Debug)]
pub(super) struct Signals(Vec<unix::Signal>);

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP. Those that were ignored when this process began stay so: of a launcher
    /// under `nohup` nobody asks for the end by closing a terminal.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn listen() -> io::Result<Signals> {
        let ignored = ignored_mask(&fs::read_to_string("/proc/self/status")?)?;
        let wanted = [Signal::TERM, Signal::INT, Signal::HUP].map(Signal::as_raw);
        let heard = wanted.into_iter().filter(|number| ignored & (1 << (number - 1)) == 0);
        Ok(Signals(heard.map(|number| unix::signal(SignalKind::from_raw(number))).collect::<io::Result<_>>()?))
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        let any = |context: &mut Context<'_>| {
            // The first that is ready ends the wait; where none is, all have been polled, and any of them wakes it.
            match self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        };
        future::poll_fn(any).await;
    }
}

/// The signals that a process ignores, in the form of its status in `/proc`: bit 0 is signal 1.
fn ignored_mask(status: &str) -> io::Result<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::Error::other("/proc/self/status does not tell the ignored signals"))
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
