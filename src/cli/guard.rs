//! `bocr guard`: the process between a rank and its server.

use std::{path::PathBuf, time::Duration};

use crate::{
    server::{
        LaunchHash,
        guard::{Guarded, guard},
    },
    sys::ExitCode,
};

/// Runs a server until its lease holder says goodbye or goes away, then ends its whole process group
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Milliseconds between SIGTERM and SIGKILL
    #[arg(long, default_value_t = 2000)]
    grace: u64,
    /// Seconds for which the server outlives a lease holder that goes away without a goodbye, and can be taken over
    #[arg(long, default_value_t = 0)]
    linger: u64,
    /// Folder of the server: made private, removed at the end
    #[arg(long)]
    folder: PathBuf,
    /// Identifies what is launched; a rank compares it before it takes the server over
    #[arg(long, env = "BOCR_LAUNCH", default_value = "")]
    launch: String,
    /// Where the server answers; recorded for a rank that takes it over
    #[arg(long, default_value = "")]
    address: String,
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
        linger: Duration::from_secs(arguments.linger),
        folder: arguments.folder.clone(),
        launch: LaunchHash(arguments.launch.clone()),
        address: arguments.address.clone(),
    };
    let code = runtime.block_on(guard(guarded));
    // The thread that reads standard input cannot be joined: leave without waiting for it.
    runtime.shutdown_background();
    Ok(u8::try_from(code?).map_or(ExitCode::Failure, ExitCode::from))
}
