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
    io::{AsyncReadExt, AsyncWriteExt, Stdin},
    net::{UnixListener, UnixStream},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{
    control::{Answer, ShutdownRequest},
    folder::{FOLDER_VARIABLE, FolderError, FolderLock, Record, ServerFolder},
    launch::{GPU_VARIABLE, KEY_VARIABLE},
    launch_hash::LaunchHash,
    limits::REAP,
};
use crate::sys::{RunningProcess, boot_id, seconds_text};

/// How long a guard waits for the folder. Whoever only looks whether it is guarded holds it for a moment.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// What to guard.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// Program and arguments of the server.
    pub command: Vec<String>,
    /// Time between asking the server to end and ending it.
    pub grace: Duration,
    /// How long the server outlives a holder that goes away without a goodbye.
    pub linger: Duration,
    /// Folder of the server, made here and removed at the end.
    pub folder: PathBuf,
    /// What is launched, for the next holder.
    pub launch: LaunchHash,
    /// Where the server answers, for the next holder.
    pub address: String,
}

/// A server that cannot be guarded.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// An empty command.
    #[error("there is no command to run: give the server's command after --")]
    NoCommand,
    /// The program is not there or may not be run.
    #[error("cannot start the server's program `{program}`: install it, or put it on the PATH of this node")]
    Program {
        /// As the command names it.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// Another guard is at work.
    #[error("another guard is at work in {0}: end the other run that uses the same run directory on this node")]
    Guarded(PathBuf),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The operating system refuses signals, the wait for a child, or the control socket.
    #[error("cannot watch the server's process")]
    Watch(#[from] io::Error),
}

/// Runs the server until it ends by itself, a signal comes, its holder says goodbye, or there has been no holder for
/// `linger`; then ends its whole process group and waits until it is gone. Returns the server's exit code (128 + the
/// signal that killed it), 0 if it was ended.
///
/// The first holder has standard input, those after it connect to the control socket: see the module `control`. What an
/// earlier guard left in the folder is ended first.
///
/// A server asked to end with requests in flight may never do so (vLLM waits for its clients for ever), and a dead
/// engine exits with status 0: so the group is always killed, and the status is only passed on for the log.
///
/// # Errors
/// The folder is not ours, the program cannot be started, or processes do not go. The folder, with the record of them,
/// stays in the last case only.
pub async fn guard(guarded: Guarded) -> Result<i32, GuardError> {
    // From here on a signal ends the server, not the guard alone.
    let holder = LeaseHolder::First(tokio::io::stdin());
    let mut custody = OrphanGuard { linger: guarded.linger, holder, signals: Signals::listen()? };
    // Processes that outlive the server become children of this one, which can so wait for their end.
    set_child_subreaper(Some(getpid())).map_err(io::Error::from)?;
    let folder = ServerFolder::at(&guarded.folder);
    let clear = async {
        let lock = lock(&folder).await?;
        folder.end_orphans(&lock, Instant::now() + REAP).await?;
        Ok::<_, GuardError>(lock)
    };
    let lock = tokio::select! {
        // A folder that is refused is said even if nobody waits for it any more.
        biased;
        lock = clear => lock?,
        _ = custody.await_end(None) => return Ok(0),
    };
    let (result, deadline) = serve(guarded, &folder, &lock, custody).await;
    // Those that have left the group. The record is needed again for those that do not go.
    folder.end_orphans(&lock, deadline).await?;
    folder.remove(lock);
    result
}

async fn lock(folder: &ServerFolder) -> Result<FolderLock, GuardError> {
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        if let Some(lock) = folder.lock()? {
            return Ok(lock);
        }
        if Instant::now() > deadline {
            return Err(GuardError::Guarded(folder.path().to_owned()));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// One life of the server; with it, until when what it leaves must be gone.
async fn serve(
    guarded: Guarded,
    folder: &ServerFolder,
    lock: &FolderLock,
    mut custody: OrphanGuard,
) -> (Result<i32, GuardError>, Instant) {
    folder.clear_control(lock);
    let mut child = match spawn(&guarded.command, folder) {
        Ok(child) => child,
        Err(error) => return (Err(error), Instant::now() + REAP),
    };
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    let ended = match prepare(&guarded, group, folder, lock) {
        Ok(control) => tokio::select! {
            status = child.wait() => status.map(Ended::ByItself),
            word = custody.await_end(Some(&control)) => Ok(Ended::Told(word)),
        },
        Err(error) => Err(error),
    };
    let grace = matches!(ended, Ok(Ended::Told(ShutdownRequest::Goodbye))).then_some(guarded.grace);
    let deadline = end(&mut child, group, grace).await;
    let code = ended.map(|ended| match ended {
        Ended::ByItself(status) => exit_code(status),
        Ended::Told(_) => 0,
    });
    (code.map_err(GuardError::from), deadline)
}

fn spawn(command: &[String], folder: &ServerFolder) -> Result<Child, GuardError> {
    let [program, arguments @ ..] = command else { return Err(GuardError::NoCommand) };
    let mut command = Command::new(program);
    command.args(arguments).env(FOLDER_VARIABLE, folder.path()).stdin(Stdio::null()).process_group(0);
    command.spawn().map_err(|source| GuardError::Program { program: program.clone(), source })
}

/// How the server's life ended.
enum Ended {
    ByItself(ExitStatus),
    Told(ShutdownRequest),
}

/// What the next holder needs.
fn prepare(
    guarded: &Guarded,
    group: Option<Pid>,
    folder: &ServerFolder,
    lock: &FolderLock,
) -> io::Result<UnixListener> {
    let group = group.map_or(0, |group| group.as_raw_nonzero().get());
    let record = Record {
        launch: guarded.launch.clone(),
        address: guarded.address.clone(),
        key: std::env::var(KEY_VARIABLE).ok(),
        group,
        started: RunningProcess::of(group).map_or(0, |leader| leader.started),
        boot: boot_id(),
        gpu: std::env::var(GPU_VARIABLE).ok(),
        log: RunningProcess::this().and_then(|this| this.open_file(2)),
    };
    folder.write(&record, lock)?;
    UnixListener::bind(folder.control())
}

/// Ends the group: politely first, where it has a grace. Returns until when it and all else must be gone.
async fn end(child: &mut Child, group: Option<Pid>, grace: Option<Duration>) -> Instant {
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    if let Some(grace) = grace {
        let _ = signal(Signal::TERM);
        let _ = timeout(grace, child.wait()).await;
    }
    let _ = signal(Signal::KILL);
    let deadline = Instant::now() + REAP;
    let reap = move || {
        while group.is_some_and(|group| waitpgid(group, WaitOptions::empty()).is_ok_and(|ended| ended.is_some())) {}
    };
    let reaped = async {
        let _ = child.wait().await;
        let _ = spawn_blocking(reap).await;
    };
    if timeout_at(deadline, reaped).await.is_err() {
        eprintln!("bocr: processes of the server still run {} after SIGKILL", seconds_text(REAP));
    }
    deadline
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// Who wants the server to live, and what ends it.
struct OrphanGuard {
    linger: Duration,
    holder: LeaseHolder,
    signals: Signals,
}

enum LeaseHolder {
    /// Whoever started the guard.
    First(Stdin),
    /// Whoever took the server over.
    Next(UnixStream),
    /// Nobody, until then.
    Nobody(Instant),
}

impl LeaseHolder {
    /// The holder's last word; `None` where it went away without one.
    async fn word(&mut self) -> Option<ShutdownRequest> {
        let mut byte = [0u8; 1];
        loop {
            let read = match self {
                LeaseHolder::First(pipe) => pipe.read(&mut byte).await,
                LeaseHolder::Next(stream) => stream.read(&mut byte).await,
                LeaseHolder::Nobody(until) => {
                    sleep_until(*until).await;
                    return Some(ShutdownRequest::Goodbye);
                }
            };
            match read {
                Ok(0) | Err(_) => return None,
                Ok(_) => {
                    if let Some(word) = ShutdownRequest::of(byte[0]) {
                        return Some(word);
                    }
                }
            }
        }
    }
}

impl OrphanGuard {
    /// Waits until the server is to end. Without a control socket nobody comes after the first holder.
    async fn await_end(&mut self, control: Option<&UnixListener>) -> ShutdownRequest {
        loop {
            let next = async {
                match control {
                    Some(control) => control.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A holder that has gone is seen before the one that comes in its place.
                biased;
                () = self.signals.lease_lost() => return ShutdownRequest::Goodbye,
                word = self.holder.word() => match word {
                    Some(word) => return word,
                    None => self.holder = LeaseHolder::Nobody(Instant::now() + self.linger),
                },
                Ok((mut stream, _)) = next => {
                    let free = matches!(self.holder, LeaseHolder::Nobody(_));
                    let answer = if free { Answer::Held } else { Answer::Busy };
                    // One byte always fits into an empty socket.
                    if stream.write_all(&[answer as u8]).await.is_ok() && free {
                        self.holder = LeaseHolder::Next(stream);
                    }
                }
            }
        }
    }
}

struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Signals> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(signal);
        Ok(Signals([terminate?, interrupt?, hangup?]))
    }

    async fn lease_lost(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
