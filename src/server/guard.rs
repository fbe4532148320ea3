//! The guard: the process between a rank and its server.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, getpid, kill_process_group, set_child_subreaper, setpgid, setsid, waitpgid},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Stdin},
    net::{UnixListener, UnixStream},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at},
};

use super::{
    control::{Answer, ShutdownRequest},
    folder::{FOLDER_VARIABLE, FolderError, FolderLock, Record, ServerFolder},
    launch::{GPU_VARIABLE, KEY_VARIABLE},
    launch_hash::LaunchHash,
    limits::REAP,
};
use crate::sys::{RunningProcess, boot_id, remove_dead_segments, seconds_text, write_stderr};

/// How long a guard waits for the lock of the folder. A rank that checks for a guard holds that lock for a moment.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// Interval between checks whether the folder still exists.
const FOLDER_CHECK: Duration = Duration::from_secs(1);

/// Variable that PBS sets to the id of the job.
const JOB_VARIABLE: &str = "PBS_JOBID";

/// What a guard starts and for how long it keeps it.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// Program and arguments of the server.
    pub command: Vec<String>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Orphan grace: how long the server outlives a lease holder that went away without a request. It ends with the
    /// folder.
    pub linger: Duration,
    /// Folder of the server; the guard makes it and removes it at the end.
    pub folder: PathBuf,
    /// What is launched; recorded for the next lease holder.
    pub launch: LaunchHash,
    /// Where the server answers; recorded for the next lease holder.
    pub address: String,
}

/// Why a guard could not do its work.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// An empty command.
    #[error("there is no command to run: give the server's command after --")]
    NoCommand,
    /// The program is missing or may not be executed.
    #[error("cannot start the server's program `{program}`: install it, or put it on the PATH of this node")]
    Program { program: String, source: io::Error },
    /// Another guard holds the lock of the folder.
    #[error("another guard is at work in {0}: end the other run that uses the same run directory on this node")]
    Guarded(PathBuf),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The operating system refuses signals, the wait for a child, or the control socket.
    #[error("cannot watch the server's process")]
    Watch(#[from] io::Error),
}

/// Runs the server until the first of these: it ends by itself; the guard receives a signal; the lease holder sends a
/// [`ShutdownRequest`]; there has been no lease holder for `linger`; the folder is removed, as PBS removes the `TMPDIR`
/// of a job at its end. Then ends the server's whole process group and waits until it is gone. Returns the server's
/// exit code (128 + the signal that killed it), or 0 if the guard ended it.
///
/// The guard leaves the session of the rank: see [`leave_session`].
///
/// The first lease holder is connected by standard input, later ones by the control socket: see the module `control`.
/// Processes that an earlier guard left in the folder are ended first.
///
/// The group is always killed, and the server's exit status is only passed on for the log: a server that is asked to
/// end with requests in flight may never end (vLLM waits for its clients for ever), and a dead engine exits with status
/// 0.
///
/// # Errors
/// The folder is not private to this user, the program cannot be started, or processes do not end. Only in the last
/// case the folder stays, with the record of those processes.
pub async fn guard(guarded: Guarded) -> Result<i32, GuardError> {
    let is_removed = is_removed_with_its_job(&guarded.folder, std::env::var(JOB_VARIABLE).ok().as_deref());
    if is_removed {
        leave_session()?
    } else {
        leave_group()?
    }
    // From here on a signal ends the server as well, and not only the guard.
    let holder = LeaseHolder::First(tokio::io::stdin());
    let mut orphan_guard = OrphanGuard { linger: guarded.linger, holder, signals: Signals::listen()? };
    // Processes that outlive the server become children of the guard, so that it can wait for their end.
    set_child_subreaper(Some(getpid())).map_err(io::Error::from)?;
    let folder = ServerFolder::at(&guarded.folder);
    let clear = async {
        let lock = lock(&folder).await?;
        folder.end_orphans(&lock, Instant::now() + REAP).await?;
        Ok::<_, GuardError>(lock)
    };
    let lock = tokio::select! {
        // An unusable folder is reported even if a shutdown was requested at the same moment.
        biased;
        lock = clear => lock?,
        _ = orphan_guard.await_end(None, &folder) => return Ok(0),
    };
    let (result, deadline) = serve(guarded, &folder, &lock, orphan_guard).await;
    // Ends processes that have left the group. If some remain, the error returns before the record is removed.
    folder.end_orphans(&lock, deadline).await?;
    folder.remove(lock);
    // At the end of a job that PBS kills, this is the last process of the job on its node.
    if let Err(error) = remove_dead_segments() {
        write_stderr(&format!("bocr: cannot remove the shared memory of killed ranks: {error}\n"));
    }
    result
}

/// Makes this process the leader of a session of its own, so that its server outlives the rank. PBS kills the session of
/// a task on another node when the daemon of mpirun ends there, which is at the death of any rank
/// (`docs/facts/pbs.md`, "Sessions").
fn leave_session() -> io::Result<()> {
    match setsid() {
        // The leader of a process group cannot leave its session. A rank starts no guard as one, but a shell may.
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes this process the leader of a process group of its own: mpirun kills the group of a rank.
fn leave_group() -> io::Result<()> {
    Ok(setpgid(None, None)?)
}

/// Whether the folder goes with the job of this id: it lies below a folder with the job's name, such as the `TMPDIR` that
/// PBS makes. Nothing but the removal of its folder tells a guard outside of the job's sessions that the job has ended.
/// Without a job, nothing kills sessions.
fn is_removed_with_its_job(folder: &Path, job: Option<&str>) -> bool {
    let Some(job) = job else { return true };
    let number = job.split('.').next().unwrap_or(job);
    folder.iter().any(|part| part.to_string_lossy().contains(job) || part == number)
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

/// Runs the server once. Also returns the time by which everything it leaves must be gone.
async fn serve(
    guarded: Guarded,
    folder: &ServerFolder,
    lock: &FolderLock,
    mut orphan_guard: OrphanGuard,
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
            request = orphan_guard.await_end(Some(&control), folder) => Ok(Ended::Requested(request)),
        },
        Err(error) => Err(error),
    };
    let grace = matches!(ended, Ok(Ended::Requested(ShutdownRequest::Goodbye))).then_some(guarded.grace);
    let deadline = end(&mut child, group, grace).await;
    let code = ended.map(|ended| match ended {
        Ended::ByItself(status) => exit_code(status),
        Ended::Requested(_) => 0,
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
    Requested(ShutdownRequest),
}

/// Writes the record for the next lease holder, and opens the control socket.
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

/// Ends the group: first by SIGTERM, where there is a grace. Returns the time by which all its processes must be gone.
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
        let limit = seconds_text(REAP);
        write_stderr(&format!("bocr: processes of the server still run {limit} after SIGKILL\n"));
    }
    deadline
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// Keeps the server for its lease holder, and for the orphan grace after that.
struct OrphanGuard {
    linger: Duration,
    holder: LeaseHolder,
    signals: Signals,
}

enum LeaseHolder {
    /// The process that started the guard.
    First(Stdin),
    /// A later process that took the server over.
    Next(UnixStream),
    /// No holder; the orphan grace ends at this time.
    Orphaned(Instant),
}

impl LeaseHolder {
    /// The holder's shutdown request; `None` where the holder went away without one.
    async fn shutdown_request(&mut self) -> Option<ShutdownRequest> {
        let mut byte = [0u8; 1];
        loop {
            let read = match self {
                LeaseHolder::First(pipe) => pipe.read(&mut byte).await,
                LeaseHolder::Next(stream) => stream.read(&mut byte).await,
                LeaseHolder::Orphaned(until) => {
                    sleep_until(*until).await;
                    return Some(ShutdownRequest::Goodbye);
                }
            };
            match read {
                Ok(0) | Err(_) => return None,
                Ok(_) => {
                    if let Some(request) = ShutdownRequest::of(byte[0]) {
                        return Some(request);
                    }
                }
            }
        }
    }
}

impl OrphanGuard {
    /// Waits until the server is to end. Without a control socket there is no holder after the first, and `folder` may
    /// not exist yet.
    async fn await_end(&mut self, control: Option<&UnixListener>, folder: &ServerFolder) -> ShutdownRequest {
        let mut checks = interval(FOLDER_CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = async {
                match control {
                    Some(control) => control.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The loss of a holder is handled before the connection of its successor, which would be refused
                // otherwise.
                biased;
                () = self.signals.received() => return ShutdownRequest::Goodbye,
                // The job has ended, and its GPU may already belong to another one.
                _ = checks.tick() => if control.is_some() && folder.is_gone() {
                    write_stderr(&format!(
                        "bocr: {} was removed, as at the end of a job: ending its server\n",
                        folder.path().display()
                    ));
                    return ShutdownRequest::Kill;
                },
                request = self.holder.shutdown_request() => match request {
                    Some(request) => return request,
                    None => self.holder = LeaseHolder::Orphaned(Instant::now() + self.linger),
                },
                Ok((mut stream, _)) = next => {
                    let free = matches!(self.holder, LeaseHolder::Orphaned(_));
                    let answer = if free { Answer::Held } else { Answer::Busy };
                    // The send buffer of a new socket always has space for one byte, so this does not block.
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

    async fn received(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_job_is_recognised_by_the_id_of_the_job() {
        let is_removed = |folder: &str, job| is_removed_with_its_job(Path::new(folder), job);
        assert!(is_removed("/var/tmp/pbs.7.server/bocr-0-a/chandra-0", Some("7.server")));
        assert!(is_removed("/scratch/7/bocr-0-a/chandra-0", Some("7.server")));
        assert!(!is_removed("/tmp/bocr-7-a/chandra-0", Some("7.server")));
        assert!(is_removed("/tmp/bocr-0-a/chandra-0", None));
    }
}
