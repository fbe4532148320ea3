//! Progress on standard error: a bar on a terminal, a plain line at intervals elsewhere.

use std::{
    io::{self, IsTerminal, stderr},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::RoleSwitchTimes;
use crate::{model::Counts, sys::write_stderr};

/// Counts of a run at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Number of pages in the plan.
    pub pages: u64,
    /// Pages with a final verdict.
    pub settled: u64,
    /// Pages settled by an earlier start; included in `settled`.
    pub restored: u64,
    /// Pages read.
    pub read: u64,
    /// Pages read by a later engine after the first had failed; included in `read`.
    pub recovered: u64,
    /// Blank pages.
    pub blank: u64,
    /// Failed pages.
    pub failed: u64,
    /// Pages assigned to ranks.
    pub in_flight: u64,
    /// Role switches of ranks.
    #[serde(default, rename = "role_switches", alias = "turns")]
    pub turns: RoleSwitchTimes,
    /// Seconds since the beginning of this start.
    pub seconds: f64,
    /// Seconds since the first server of this start was ready; `None` before.
    #[serde(default)]
    pub reading_seconds: Option<f64>,
}

impl Snapshot {
    /// The counts at a moment.
    pub fn new(counts: &Counts, in_flight: u64, elapsed: Duration) -> Self {
        Snapshot {
            pages: counts.pages,
            settled: counts.settled(),
            restored: counts.restored,
            read: counts.read,
            recovered: counts.recovered,
            blank: counts.blank,
            failed: counts.failed_total(),
            in_flight,
            turns: RoleSwitchTimes::default(),
            seconds: elapsed.as_secs_f64(),
            reading_seconds: None,
        }
    }

    /// Pages per second since the first server of this start was ready: the start of servers says nothing about the
    /// time that is left.
    pub fn rate(&self) -> f64 {
        (self.settled - self.restored) as f64 / self.reading_seconds.unwrap_or(self.seconds).max(0.001)
    }

    /// Time left at this rate; `None` before the first page.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.rate();
        (rate > 0.0).then(|| Duration::from_secs_f64((self.pages - self.settled) as f64 / rate))
    }

    fn line(&self) -> String {
        let left = self.time_left().map_or("-".into(), |left| format!("{}", indicatif::HumanDuration(left)));
        format!(
            "{}/{} pages, {:.2} pages/s, {} recovered, {} failed, {} in flight, {left} left",
            self.settled,
            self.pages,
            self.rate(),
            self.recovered,
            self.failed,
            self.in_flight
        )
    }
}

/// Shows snapshots. A thread writes them, so that a terminal that hangs delays nothing else.
#[derive(Debug)]
pub struct Progress {
    snapshots: SyncSender<Snapshot>,
    thread: JoinHandle<()>,
}

/// Longest wait for the end of the display.
const FINISH_LIMIT: Duration = Duration::from_secs(1);

impl Progress {
    /// A bar if standard error is a terminal, otherwise a line every `interval`.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub fn new(interval: Duration) -> io::Result<Self> {
        let (snapshots, shown) = sync_channel(1);
        let thread = thread::Builder::new().name("bocr-progress".into());
        let thread = thread.spawn(move || Display::new(interval).show_all(&shown))?;
        Ok(Progress { snapshots, thread })
    }

    /// Shows the snapshot, if one is due. It is skipped if the terminal is slow.
    pub fn show(&self, snapshot: &Snapshot) {
        let _ = self.snapshots.try_send(snapshot.clone());
    }

    /// Ends the display with the last snapshot. Waits for a slow terminal for a moment only.
    pub fn finish(self, snapshot: &Snapshot) {
        let last = Instant::now() + FINISH_LIMIT;
        let wait_until = |done: &dyn Fn() -> bool| {
            while !done() && Instant::now() < last {
                thread::sleep(FINISH_LIMIT / 200);
            }
        };
        wait_until(&|| !matches!(self.snapshots.try_send(snapshot.clone()), Err(TrySendError::Full(_))));
        drop(self.snapshots);
        wait_until(&|| self.thread.is_finished());
    }
}

/// The bar, or the lines.
struct Display {
    bar: Option<ProgressBar>,
    interval: Duration,
    next_line: Duration,
}

impl Display {
    fn new(interval: Duration) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:32} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Display { bar, interval, next_line: Duration::ZERO }
    }

    /// Shows snapshots until the last; of a display of lines, the last has a line.
    fn show_all(mut self, snapshots: &Receiver<Snapshot>) {
        let mut last = None;
        while let Ok(snapshot) = snapshots.recv() {
            last = (!self.show(&snapshot)).then_some(snapshot);
        }
        match (self.bar, last) {
            (Some(bar), _) => bar.finish_and_clear(),
            (None, Some(snapshot)) => print(&snapshot),
            (None, None) => {}
        }
    }

    /// Shows a snapshot; false if no line was due.
    fn show(&mut self, snapshot: &Snapshot) -> bool {
        if let Some(bar) = &self.bar {
            bar.set_length(snapshot.pages);
            bar.set_position(snapshot.settled);
            bar.set_message(snapshot.line());
            return true;
        }
        let elapsed = Duration::from_secs_f64(snapshot.seconds);
        let due = elapsed >= self.next_line;
        if due {
            print(snapshot);
            self.next_line = elapsed + self.interval;
        }
        due
    }
}

fn print(snapshot: &Snapshot) {
    write_stderr(&format!("bocr: {}\n", snapshot.line()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_restored_pages_nor_the_start_of_servers_count_for_the_rate() {
        let counts = Counts { pages: 100, read: 60, restored: 50, ..Counts::default() };
        let snapshot = Snapshot { reading_seconds: Some(5.0), ..Snapshot::new(&counts, 4, Duration::from_secs(105)) };
        assert_eq!(snapshot.rate(), 2.0);
        assert_eq!(snapshot.time_left(), Some(Duration::from_secs(20)));
        assert!(Snapshot::new(&Counts::default(), 0, Duration::ZERO).time_left().is_none());
    }
}
