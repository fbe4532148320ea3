//! `bocr guard`: stands between a rank and its server.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use crate::server::guard::{Guarded, guard};

/// Runs a server until standard input closes, then ends its whole process group
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Milliseconds between asking the server to end and ending it
    #[arg(long, default_value_t = 2000)]
    grace: u64,
    /// Folder to remove at the end
    #[arg(long)]
    remove: Option<PathBuf>,
    /// The server's command
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the subcommand; the exit code is the server's.
///
/// # Errors
/// The server cannot be started.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guarded = Guarded {
        command: arguments.command.clone(),
        grace: Duration::from_millis(arguments.grace),
        remove: arguments.remove.clone(),
    };
    let code = runtime.block_on(guard(guarded))?;
    // The thread that reads standard input cannot be joined: leave without waiting for it.
    runtime.shutdown_background();
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
