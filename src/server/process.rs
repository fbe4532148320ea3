//! A running server and the connection to its guard.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    engine::{Client, EngineError, ServerAddress},
    sys::scrub_environment,
};

use super::{
    control::{Answer, ShutdownRequest, request_status, send_request},
    folder::{FolderError, Record, ServerFolder},
    launch::{GPU_VARIABLE, Launch},
    limits::{END, GRACE, HOLDER, REAP},
};
use crate::sys::seconds_text;

/// Why a server did not start, did not become ready, or did not end.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The log cannot be written.
    #[error("cannot write the server's log {path}")]
    Log { path: PathBuf, source: std::io::Error },
    /// The guard cannot be started.
    #[error("cannot start {program}: check that it is installed on this node")]
    Spawn { program: PathBuf, source: std::io::Error },
    /// The server ended before it was ready. The status is known only where the guard is a child of this process.
    #[error("the server ended before it was ready ({}); the end of its log {log}:\n{tail}", described(*status))]
    Ended { status: Option<ExitStatus>, log: PathBuf, tail: String },
    /// The server is not ready in time.
    #[error("the server was not ready after {}: read its log {log}, or raise start_limit", seconds_text(*limit))]
    NotReady { limit: Duration, log: PathBuf },
    /// Another process holds the lease of the server.
    #[error(
        "another run still holds the server in {folder} after {}: end the other run that uses the same run directory \
         on this node", seconds_text(*limit)
    )]
    Held { folder: PathBuf, limit: Duration },
    /// This run did not start the server that answers on the port.
    #[error("the server at {0} answered without the run's key: another process owns that port")]
    Stranger(ServerAddress),
    /// The server's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// A server whose lease this process holds. It lives for as long as this value, and for its guard's orphan grace after
/// that, unless it is ended by [`Server::end`].
#[derive(Debug)]
pub struct Server {
    address: ServerAddress,
    key: Option<String>,
    log: Option<PathBuf>,
    folder: ServerFolder,
    /// Start of the server, as far as it is known.
    since: Instant,
    sleeps: bool,
    has_answered: bool,
    link: Link,
}

/// The connection to the guard.
#[derive(Debug)]
enum Link {
    /// A guard that this process started. The pipe is separate from the child, whose `wait` would close it.
    Started { guard: Child, pipe: Option<ChildStdin> },
    /// A guard that an earlier attempt started.
    TookOver(UnixStream),
}

impl Server {
    /// Starts the server; its output goes to `log`. It outlives this process by `linger`, in whole seconds.
    ///
    /// # Errors
    /// The log cannot be opened, or the guard cannot be started.
    pub fn start(launch: Launch, log: &Path, linger: Duration) -> Result<Server, ServerError> {
        let log_error = |source| ServerError::Log { path: log.to_owned(), source };
        let output = File::create(log).map_err(log_error)?;
        let errors = output.try_clone().map_err(log_error)?;
        let mut command = std::process::Command::new(&launch.guard);
        command.arg("guard").arg("--folder").arg(launch.folder.path());
        command.args(["--linger", &linger.as_secs().to_string(), "--grace", &GRACE.as_millis().to_string()]);
        command.args(["--address", &launch.address.to_string()]);
        command.arg("--").args(&launch.command);
        scrub_environment(&mut command);
        command.envs(&launch.environment).env("BOCR_LAUNCH", &launch.hash.0);
        if let Some(gpu) = &launch.gpu {
            command.env(GPU_VARIABLE, gpu);
        }
        let mut command = Command::from(command);
        // No group of its own: the leader of a group could not leave the session.
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let mut guard =
            command.spawn().map_err(|source| ServerError::Spawn { program: launch.guard.clone(), source })?;
        let pipe = guard.stdin.take();
        Ok(Server {
            address: launch.address,
            key: launch.key,
            log: Some(log.to_owned()),
            folder: launch.folder,
            since: Instant::now(),
            sleeps: launch.sleeps,
            has_answered: false,
            link: Link::Started { guard, pipe },
        })
    }

    /// A server whose guard has given this process the lease. Without a record it can only be ended.
    fn taken_over(folder: &ServerFolder, record: Option<Record>, stream: UnixStream) -> Server {
        let (address, key, log) = record.map(|record| (record.address, record.key, record.log)).unwrap_or_default();
        let age = folder.record_age().and_then(|age| Instant::now().checked_sub(age));
        Server {
            address: match address.strip_prefix("unix:") {
                Some(socket) => ServerAddress::Unix(socket.into()),
                None => ServerAddress::Tcp(address),
            },
            key,
            log,
            folder: folder.clone(),
            since: age.unwrap_or_else(Instant::now),
            sleeps: false,
            // Unknown; assumed, so that a later end is an orderly one.
            has_answered: true,
            link: Link::TookOver(stream),
        }
    }

    /// Takes over the server that an earlier attempt has left in the folder of this launch; `None` where there is none.
    /// A server that was launched otherwise is ended. The caller must check whether the server still works.
    ///
    /// # Errors
    /// Another process keeps the lease, or the folder is not private.
    pub async fn take_over(launch: &Launch) -> Result<Option<Server>, ServerError> {
        let folder = &launch.folder;
        let deadline = Instant::now() + HOLDER;
        loop {
            if folder.exists()?
                && let Some((Answer::Held, stream)) = request_status(folder).await
            {
                let record = folder.record();
                let alike = record.as_ref().is_some_and(|record| record.launch == launch.hash);
                let mut server = Server::taken_over(folder, record, stream);
                if alike {
                    return Ok(Some(Server { sleeps: launch.sleeps, ..server }));
                }
                tracing::info!(
                    folder = %folder.path().display(),
                    "ending the server of an earlier attempt: it was started by another command"
                );
                server.end(ShutdownRequest::Goodbye).await?;
                return Ok(None);
            }
            // Another process holds the lease, or the guard is just starting or ending. Orphaned processes are ended
            // before the next server starts: they would answer in its place.
            if end_unguarded(folder).await? {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Err(ServerError::Held { folder: folder.path().to_owned(), limit: HOLDER });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the run's servers on this GPU that have no lease holder and whose folders are not in `kept`. An earlier
    /// attempt of the run left them, and they have the memory that the next server needs.
    ///
    /// # Errors
    /// A server does not end.
    pub async fn free_gpu_memory(folder: &ServerFolder, gpu: &str, kept: &[ServerFolder]) -> Result<(), ServerError> {
        let deadline = Instant::now() + END;
        for other in folder.other_folders().iter().filter(|other| !kept.contains(other)) {
            let is_on_gpu = || other.record().is_some_and(|record| record.gpu.as_deref() == Some(gpu));
            // A guard that is just ending its server still has the record: wait for it.
            while is_on_gpu() && Instant::now() < deadline && other.exists()? {
                match request_status(other).await {
                    Some((Answer::Busy, _)) => break,
                    Some((Answer::Held, stream)) => {
                        tracing::info!(
                            folder = %other.path().display(),
                            gpu,
                            "ending a server of an earlier attempt: it holds the memory of this GPU"
                        );
                        Server::taken_over(other, other.record(), stream).end(ShutdownRequest::Goodbye).await?;
                    }
                    None => drop(end_unguarded(other).await?),
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Ends the server of a folder, if no process holds its lease within `limit`. Returns whether it has ended.
    ///
    /// # Errors
    /// The folder is not private, or the server does not end.
    pub(super) async fn end_orphan(folder: &ServerFolder, limit: Duration) -> Result<bool, ServerError> {
        let deadline = Instant::now() + limit;
        while folder.exists()? {
            match request_status(folder).await {
                Some((Answer::Held, stream)) => {
                    Server::taken_over(folder, folder.record(), stream).end(ShutdownRequest::Goodbye).await?;
                }
                Some((Answer::Busy, _)) => {}
                // The guard is just starting or ending, or was killed.
                None => drop(end_unguarded(folder).await?),
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(true)
    }

    /// The address at which the server answers.
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// The key that the server demands.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The file with the server's output.
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Whether the server has sleep mode.
    pub fn sleeps(&self) -> bool {
        self.sleeps
    }

    /// Whether the server has been ready; assumed for a server of an earlier attempt.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Waits until the server answers `/health`, up to `limit` after its start. The caller checks the served model
    /// next.
    ///
    /// # Errors
    /// The process ended, or the limit passed.
    pub async fn ready(&mut self, client: &Client, limit: Duration) -> Result<(), ServerError> {
        let log = || self.log.clone().unwrap_or_default();
        tokio::select! {
            answers = answers_by(client, self.since + limit) => if !answers {
                return Err(ServerError::NotReady { limit, log: log() });
            },
            status = self.link.ended() => return Err(ServerError::Ended { status, tail: tail(&log()), log: log() }),
        }
        self.has_answered = true;
        Ok(())
    }

    /// Checks that the process that answers on the server's port is this server: two servers can listen on one port
    /// (`docs/facts/vllm.md`, "Deaths"), but only this one knows the key. Warns where other machines can reach the
    /// port.
    ///
    /// # Errors
    /// Another server answers, or none.
    pub async fn check_port(&self, client: &Client) -> Result<(), CheckError> {
        let ServerAddress::Tcp(url) = &self.address else { return Ok(()) };
        if self.key.is_some() && !client.requires_key().await? {
            return Err(ServerError::Stranger(self.address.clone()).into());
        }
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        if let Some(open) = port.and_then(super::port::open_address) {
            tracing::warn!(
                "THE SERVER AT {url} LISTENS ON {open}, SO OTHER MACHINES CAN REACH IT: add `--host 127.0.0.1` to \
                 its launch command, or use {{socket}}"
            );
        }
        Ok(())
    }

    /// Waits until the server's process ends by itself.
    pub async fn ended(&mut self) {
        self.link.ended().await;
    }

    /// Ends the server and waits until its whole process group is gone. After a cancelled wait this may be called
    /// again.
    ///
    /// # Errors
    /// The server does not end.
    pub async fn end(&mut self, request: ShutdownRequest) -> Result<(), ServerError> {
        match &mut self.link {
            Link::Started { pipe, .. } => {
                if let Some(mut pipe) = pipe.take() {
                    send_request(request, &mut pipe).await;
                }
            }
            Link::TookOver(stream) => send_request(request, stream).await,
        }
        if timeout(END, self.link.ended()).await.is_err() {
            tracing::warn!(
                folder = %self.folder.path().display(),
                "the server's guard did not end within {}: it was killed",
                seconds_text(END)
            );
            self.link.kill();
        }
        // A guard removes its folder as its last act. A guard that was killed leaves its server and the folder to this
        // rank.
        let deadline = Instant::now() + REAP;
        while !end_unguarded(&self.folder).await? {
            if Instant::now() > deadline {
                return Err(ServerError::Held { folder: self.folder.path().to_owned(), limit: END + REAP });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Waits until the server answers `/health` with 200; false if it has not by the deadline. It is asked at least once.
pub(super) async fn answers_by(client: &Client, deadline: Instant) -> bool {
    let mut pause = Duration::from_millis(20);
    while !client.alive().await {
        if Instant::now() >= deadline {
            return false;
        }
        sleep_until(deadline.min(Instant::now() + pause)).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    true
}

/// Ends what a killed guard has left. True if the folder has no guard now.
async fn end_unguarded(folder: &ServerFolder) -> Result<bool, FolderError> {
    if !folder.exists()? {
        return Ok(true);
    }
    let Some(lock) = folder.lock()? else { return Ok(false) };
    folder.end_orphans(&lock, Instant::now() + REAP).await?;
    folder.remove(lock);
    Ok(true)
}

/// Why a server on a port cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is not the server that this process started.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// It does not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Link {
    /// Waits for the end of the guard, which follows that of the server. Returns its exit status where it is a child of
    /// this process.
    async fn ended(&mut self) -> Option<ExitStatus> {
        match self {
            // Without the guard there is no server, so an error counts as its end.
            Link::Started { guard, .. } => guard.wait().await.ok(),
            Link::TookOver(stream) => {
                let mut byte = [0u8; 1];
                while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
                None
            }
        }
    }

    fn kill(&mut self) {
        match self {
            Link::Started { guard, .. } => drop(guard.start_kill()),
            Link::TookOver(stream) => {
                let id = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(Pid::from_raw);
                if let Some(id) = id {
                    let _ = kill_process(id, Signal::KILL);
                }
            }
        }
    }
}

fn described(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "its guard has ended".to_owned(), |status| status.to_string())
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
