//! The process between a rank and its server.

use std::{path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    process::Command,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// What to guard.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// Program and arguments of the server.
    pub command: Vec<String>,
    /// Time between asking the server to end and ending it.
    pub grace: Duration,
    /// Folder of the server's socket, removed at the end.
    pub remove: Option<PathBuf>,
}

/// Runs the server until it ends by itself, or until standard input closes or a signal comes; then ends its whole
/// process group. Returns the server's exit code, 0 if it was ended.
///
/// A server asked to end with requests in flight may never do so (vLLM waits for its clients for ever), and a dead
/// engine exits with status 0: so the group is always killed, and the status is only passed on for the log.
///
/// # Errors
/// The program cannot be started.
pub async fn guard(guarded: Guarded) -> std::io::Result<i32> {
    let [program, arguments @ ..] = guarded.command.as_slice() else {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no command to guard"));
    };
    let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).process_group(0).spawn()?;
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut release = tokio::io::stdin();
    let mut byte = [0u8; 1];
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        _ = release.read(&mut byte) => None,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        _ = hangup.recv() => None,
    };
    if let Some(group) = group {
        if status.is_none() {
            let _ = kill_process_group(group, Signal::TERM);
            let _ = timeout(guarded.grace, child.wait()).await;
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait().await;
    }
    if let Some(folder) = guarded.remove {
        let _ = std::fs::remove_dir_all(folder);
    }
    Ok(status.map_or(0, |status| status.code().unwrap_or(1)))
}
