//! A log file for each rank. Rank 0 also writes warnings to standard error.

use std::{
    fs::File,
    io::{self, IsTerminal},
    path::Path,
    sync::Mutex,
};

use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::model::RankId;

/// Opens `logs/rank-0000.log` in the run directory. `BOCR_LOG` sets the level, by default `info`. A log that cannot be
/// written, because the disk is full or the launcher has ended, does not end the rank.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(run_directory: &Path, rank: RankId) -> io::Result<()> {
    let folder = run_directory.join("logs");
    std::fs::create_dir_all(&folder)?;
    let file = File::options().create(true).append(true).open(folder.join(format!("rank-{:04}.log", rank.0)))?;
    let filter = EnvFilter::try_from_env("BOCR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let to_file =
        fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(Mutex::new(file)).with_filter(filter);
    let to_people = (rank == RankId::COORDINATOR).then(|| {
        fmt::layer()
            .without_time()
            .with_target(false)
            .log_internal_errors(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .with_filter(LevelFilter::WARN)
    });
    // A second run in one process (tests) keeps the first one's log.
    let _ = tracing_subscriber::registry().with(to_file).with(to_people).try_init();
    Ok(())
}

/// A panic that unwinds would leave this rank in `MPI_Finalize`, where it waits for the others, and the job would hang.
/// Release builds abort on a panic anyway; this hook makes every build do so.
pub(super) fn end_the_process_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        default(panic);
        std::process::abort();
    }));
}
