//! The process between a rank and its server.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, set_child_subreaper, waitpgid};
use tokio::{
    io::{AsyncReadExt, Stdin},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::timeout,
};

/// Longest wait for killed processes to be gone: the driver takes seconds to free the memory of a large GPU.
const REAP_LIMIT: Duration = Duration::from_secs(10);

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

/// A server that cannot be guarded.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// An empty command.
    #[error("no command to guard")]
    NoCommand,
    /// The program is not there or may not be run.
    #[error("cannot start the server's program `{program}`: is it installed, and on the PATH of this node?")]
    Program {
        /// As the command names it.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The operating system refuses signals or the wait for a child.
    #[error("cannot watch the server")]
    Watch(#[from] io::Error),
}

/// Runs the server until it ends by itself, or until standard input closes or a signal comes; then ends its whole
/// process group and waits until it is gone. Returns the server's exit code (128 + the signal that killed it), 0 if it
/// was ended.
///
/// A server asked to end with requests in flight may never do so (vLLM waits for its clients for ever), and a dead
/// engine exits with status 0: so the group is always killed, and the status is only passed on for the log.
///
/// # Errors
/// The program cannot be started. The folder is removed all the same.
pub async fn guard(guarded: Guarded) -> Result<i32, GuardError> {
    let _folder = RemovedAtEnd(guarded.remove);
    let [program, arguments @ ..] = guarded.command.as_slice() else { return Err(GuardError::NoCommand) };
    // From here on a signal ends the server, not the guard alone.
    let mut release = Release::listen()?;
    // Processes that outlive the server become children of this one, which can so wait for their end.
    set_child_subreaper(Some(getpid())).map_err(io::Error::from)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|source| GuardError::Program { program: program.clone(), source })?;
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        () = release.given() => None,
    };
    if let Some(group) = group {
        let grace = status.is_none().then_some(guarded.grace);
        end(&mut child, group, grace).await;
    }
    Ok(status.map_or(0, exit_code))
}

/// Ends the group: politely first, where it has a grace.
async fn end(child: &mut Child, group: Pid, grace: Option<Duration>) {
    if let Some(grace) = grace {
        let _ = kill_process_group(group, Signal::TERM);
        let _ = timeout(grace, child.wait()).await;
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait().await;
    let reap = move || while waitpgid(group, WaitOptions::empty()).is_ok_and(|ended| ended.is_some()) {};
    if timeout(REAP_LIMIT, spawn_blocking(reap)).await.is_err() {
        eprintln!("bocr: processes of the server are still there {REAP_LIMIT:?} after they were killed");
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// What makes a guard end its server.
struct Release {
    signals: [tokio::signal::unix::Signal; 3],
    pipe: Stdin,
}

impl Release {
    fn listen() -> io::Result<Release> {
        let signals =
            [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
        Ok(Release { signals, pipe: tokio::io::stdin() })
    }

    async fn given(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.signals;
        let mut byte = [0u8; 1];
        tokio::select! {
            _ = self.pipe.read(&mut byte) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

struct RemovedAtEnd(Option<PathBuf>);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
