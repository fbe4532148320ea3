//! A log file for each rank. Rank 0 also writes warnings to standard error.
//!
//! Both are written by threads of their own, through bounded queues: a disk or a terminal that hangs must not hold up
//! the threads of the rank. Lines that do not fit the queue are dropped and counted.

use std::{
    fs::File,
    io::{self, Write},
    mem::ManuallyDrop,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::LevelFilter,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    comm::ToCoordinator,
    model::{RankId, RankSummary},
    sys::on_one_line,
};

/// Maximum number of lines that wait for a disk or a terminal.
const QUEUE: usize = 16_384;

/// Longest wait for the last lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The outputs of this process. A second run in one process (tests) keeps those of the first.
static OUTPUTS: OnceLock<Vec<Output>> = OnceLock::new();

/// Opens `logs/rank-0000.log` in the run directory. `BOCR_LOG` sets the level, by default `info`. A log that cannot be
/// written, because the disk is full or hangs, does not end the rank.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(run_directory: &Path, rank: RankId) -> io::Result<()> {
    let folder = run_directory.join("logs");
    std::fs::create_dir_all(&folder)?;
    let file = File::options().create(true).append(true).open(folder.join(format!("rank-{:04}.log", rank.0)))?;
    let mut first = false;
    let outputs = OUTPUTS.get_or_init(|| {
        first = true;
        let mut outputs = vec![Output::new("bocr-log", file)];
        if rank == RankId::COORDINATOR {
            outputs.push(Output::new("bocr-warnings", io::stderr()));
        }
        outputs
    });
    if first {
        let filter = EnvFilter::try_from_env("BOCR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let to_file =
            outputs.first().map(|output| fmt::layer().with_ansi(false).with_writer(output.clone()).with_filter(filter));
        let to_people = outputs.get(1).map(|output| {
            let layer = fmt::layer().without_time().with_target(false).with_ansi(false);
            layer.with_writer(output.clone()).with_filter(LevelFilter::WARN)
        });
        let _ = tracing_subscriber::registry().with(to_file).with(to_people).try_init();
    }
    Ok(())
}

/// Number of lines that were dropped so far.
fn dropped_lines() -> u64 {
    OUTPUTS.get().into_iter().flatten().map(Output::dropped).sum()
}

/// The message of a worker; the summary at its end with the number of dropped lines.
pub(super) fn with_log_count(message: ToCoordinator) -> ToCoordinator {
    match message {
        ToCoordinator::Finished(summary) => {
            ToCoordinator::Finished(RankSummary { dropped_log_lines: dropped_lines(), ..summary })
        }
        message => message,
    }
}

/// Waits until all lines are written, at most [`FLUSH_LIMIT`].
pub(super) fn flush() {
    let last = Instant::now() + FLUSH_LIMIT;
    let outputs = || OUTPUTS.get().into_iter().flatten();
    while outputs().any(|output| !output.is_idle()) && Instant::now() < last {
        std::thread::sleep(FLUSH_LIMIT / 200);
    }
}

/// A panic that unwinds would leave this rank in `MPI_Finalize`, where it waits for the others, and the job would hang.
/// Release builds abort on a panic anyway; this hook makes every build do so.
pub(super) fn end_the_process_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        default(panic);
        flush();
        std::process::abort();
    }));
}

/// An output of the log, and the thread that writes it.
#[derive(Clone)]
struct Output {
    queue: NonBlocking,
    lines: Arc<Lines>,
    /// Never dropped: to drop it ends the thread, and prints a message of its own if the thread hangs.
    _thread: Arc<ManuallyDrop<WorkerGuard>>,
}

/// Numbers of lines of an output.
#[derive(Debug, Default)]
struct Lines {
    given: AtomicU64,
    written: AtomicU64,
    /// Lines whose writing failed.
    failed: AtomicU64,
}

impl Output {
    fn new(thread: &str, to: impl Write + Send + 'static) -> Output {
        let lines = Arc::new(Lines::default());
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).thread_name(thread);
        let (queue, guard) = builder.finish(PrintableLines { to, lines: Arc::clone(&lines) });
        Output { queue, lines, _thread: Arc::new(ManuallyDrop::new(guard)) }
    }

    /// Number of lines that did not fit the queue or could not be written.
    fn dropped(&self) -> u64 {
        self.queue.error_counter().dropped_lines() as u64 + self.lines.failed.load(Ordering::Acquire)
    }

    fn is_idle(&self) -> bool {
        self.lines.written.load(Ordering::Acquire) + self.dropped() >= self.lines.given.load(Ordering::Acquire)
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = NonBlocking;

    fn make_writer(&'a self) -> NonBlocking {
        // An event makes one writer and writes one line.
        self.lines.given.fetch_add(1, Ordering::AcqRel);
        self.queue.clone()
    }
}

/// Writes each event on one line, without control characters: it may hold names of files and messages of servers.
struct PrintableLines<W> {
    to: W,
    lines: Arc<Lines>,
}

impl<W: Write> Write for PrintableLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let written = writeln!(self.to, "{}", on_one_line(text.trim_end_matches('\n')));
        let count = if written.is_ok() { &self.lines.written } else { &self.lines.failed };
        count.fetch_add(1, Ordering::AcqRel);
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Hangs until the test ends.
    struct Hanging(Receiver<()>);

    impl Write for Hanging {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_hangs_holds_nobody_up_and_what_it_drops_is_counted() {
        let (end, ended) = channel();
        let output = Output::new("test-hanging", Hanging(ended));
        let more = 100;
        for _ in 0..QUEUE + more {
            output.make_writer().write_all(b"line\n").unwrap();
        }
        // The thread may have taken one line out of the queue.
        assert!((more as u64 - 1..=more as u64).contains(&output.dropped()), "{}", output.dropped());
        assert!(!output.is_idle());
        drop(end);
        while !output.is_idle() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let lines = Arc::new(Lines::default());
        let mut written = Vec::new();
        let mut writer = PrintableLines { to: &mut written, lines: Arc::clone(&lines) };
        writer.write_all("a\u{1b}[2J\nbocr: b\r\n".as_bytes()).unwrap();
        assert_eq!(written, b"a\\u001b[2J\\nbocr: b\\u000d\n");
        assert_eq!(lines.written.load(Ordering::Acquire), 1);
    }
}
