//! A running server, under its guard.

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
    time::{Instant, sleep, timeout},
};

use crate::{
    engine::{Client, EngineError, ServerAddress},
    process::scrub_environment,
};

use super::{
    control::{Asked, Word, ask, say},
    folder::{FolderError, ServerFolder},
    launch::{Launch, LaunchHash},
};

/// Longest wait for another holder of the server to go: an earlier attempt of the run that is dying.
const HOLDER_LIMIT: Duration = Duration::from_secs(30);

/// Longest wait for a guard that was told to end its server: its grace, the time for killed processes to go, and some.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A server that did not come up or did not stay.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The log cannot be written.
    #[error("cannot write the server's log {path}")]
    Log {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The guard cannot be started.
    #[error("cannot start {program}")]
    Spawn {
        /// This program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("the server ended before it was ready ({status}); the end of its log {log}:\n{tail}")]
    Ended {
        /// Its exit status.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// It is not ready in time.
    #[error("the server was not ready after {limit:?}; see its log {log}, or raise start_limit")]
    NotReady {
        /// The limit.
        limit: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// Another rank of another attempt holds it.
    #[error(
        "the guard in {folder} still serves another after {limit:?}: end the other run that works in the same run \
         directory on this node"
    )]
    Held {
        /// The server's folder.
        folder: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },
    /// What answers on the server's port was not started by us.
    #[error("the server at {0} answers who has no key: it is another's, on the same port")]
    Stranger(ServerAddress),
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// A server that we hold: it lives for as long as this does, and for its guard's linger time after that, unless it is
/// ended.
#[derive(Debug)]
pub struct Server {
    address: ServerAddress,
    key: Option<String>,
    log: Option<PathBuf>,
    folder: ServerFolder,
    holder: Holder,
}

/// Our end of the connection to the guard.
#[derive(Debug)]
enum Holder {
    /// Of a guard that we started. The pipe is kept apart from the child, whose `wait` would close it.
    Started { guard: Child, pipe: Option<ChildStdin> },
    /// Of a guard that an earlier attempt started.
    TookOver(UnixStream),
}

impl Server {
    /// Starts the server; its output goes to `log`. Without us it lives for another `linger`, in whole seconds.
    ///
    /// # Errors
    /// The log cannot be opened or the guard not started.
    pub fn start(launch: Launch, log: &Path, linger: Duration) -> Result<Server, ServerError> {
        let log_error = |source| ServerError::Log { path: log.to_owned(), source };
        let output = File::create(log).map_err(log_error)?;
        let errors = output.try_clone().map_err(log_error)?;
        let mut command = std::process::Command::new(&launch.guard);
        command.arg("guard").arg("--folder").arg(launch.folder.path());
        command.args(["--linger", &linger.as_secs().to_string()]);
        if let ServerAddress::Tcp(url) = &launch.address {
            command.args(["--url", url]);
        }
        command.arg("--").args(&launch.command);
        scrub_environment(&mut command);
        command.envs(&launch.environment).env("BOCR_LAUNCH", &launch.hash.0);
        if let Some(gpu) = &launch.gpu {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let mut guard =
            command.spawn().map_err(|source| ServerError::Spawn { program: launch.guard.clone(), source })?;
        let pipe = guard.stdin.take();
        let holder = Holder::Started { guard, pipe };
        Ok(Server {
            address: launch.address,
            key: launch.key,
            log: Some(log.to_owned()),
            folder: launch.folder,
            holder,
        })
    }

    /// Takes over the server that an earlier attempt has left in this folder; `None` where there is none. A server of
    /// another launch is ended. Whether the server is of any use must be asked of it.
    ///
    /// # Errors
    /// Another holds it and does not go; the folder is not private.
    pub async fn take_over(folder: &ServerFolder, launch: &LaunchHash) -> Result<Option<Server>, ServerError> {
        let deadline = Instant::now() + HOLDER_LIMIT;
        loop {
            if folder.exists()?
                && let Asked::Held(stream) = ask(folder).await
            {
                let holder = Holder::TookOver(stream);
                let Some(record) = folder.record() else {
                    let address = ServerAddress::Unix(folder.socket());
                    let server = Server { address, key: None, log: None, folder: folder.clone(), holder };
                    server.end(Word::Goodbye).await?;
                    return Ok(None);
                };
                let address = record.url.map_or_else(|| ServerAddress::Unix(folder.socket()), ServerAddress::Tcp);
                let server = Server { address, key: record.key, log: record.log, folder: folder.clone(), holder };
                if record.launch == *launch {
                    return Ok(Some(server));
                }
                tracing::info!(folder = %folder.path().display(), "ending the server of an earlier attempt: it was launched otherwise");
                server.end(Word::Goodbye).await?;
                return Ok(None);
            }
            // Held by another, or its guard is only just starting or ending. An orphan would answer in the place of the
            // next server: it goes before that is started.
            if end_unguarded(folder).await? {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Err(ServerError::Held { folder: folder.path().to_owned(), limit: HOLDER_LIMIT });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where it answers.
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// The key that it wants.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Where it writes.
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Waits until it answers `/health`. Ready means more than that: the caller asks for its model next.
    ///
    /// # Errors
    /// The process ended, or the limit passed.
    pub async fn ready(&mut self, client: &Client, limit: Duration) -> Result<(), ServerError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            if let Holder::Started { guard, .. } = &mut self.holder
                && let Ok(Some(status)) = guard.try_wait()
            {
                let log = self.log.clone().unwrap_or_default();
                return Err(ServerError::Ended { status, tail: tail(&log), log });
            }
            if client.alive().await {
                return Ok(());
            }
            if start.elapsed() >= limit {
                return Err(ServerError::NotReady { limit, log: self.log.clone().unwrap_or_default() });
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Makes sure that what answers on the server's port is the server: two servers can listen on one port (facts on
    /// real servers, death), but only ours knows our key. Says so loudly where others than this node can reach it.
    ///
    /// # Errors
    /// It is another's, or gives no answer.
    pub async fn check_port(&self, client: &Client) -> Result<(), CheckError> {
        let ServerAddress::Tcp(url) = &self.address else { return Ok(()) };
        if self.key.is_some() && !client.refuses_strangers().await? {
            return Err(ServerError::Stranger(self.address.clone()).into());
        }
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        if let Some(open) = port.and_then(super::port::open_address) {
            tracing::warn!(
                "THE SERVER AT {url} LISTENS ON {open}, WHERE OTHER MACHINES REACH IT: put `--host 127.0.0.1` into its \
                 launch command, or use {{socket}}"
            );
        }
        Ok(())
    }

    /// Waits until the process ends by itself.
    pub async fn ended(&mut self) {
        self.holder.ended().await;
    }

    /// Ends the server and waits until its whole process group is gone.
    ///
    /// # Errors
    /// It does not go.
    pub async fn end(mut self, word: Word) -> Result<(), ServerError> {
        match &mut self.holder {
            Holder::Started { pipe, .. } => {
                if let Some(mut pipe) = pipe.take() {
                    say(word, &mut pipe).await;
                }
            }
            Holder::TookOver(stream) => say(word, stream).await,
        }
        if timeout(END_LIMIT, self.holder.ended()).await.is_err() {
            tracing::warn!(folder = %self.folder.path().display(), "the server's guard did not end in {END_LIMIT:?}: killed");
            self.holder.kill();
            self.holder.ended().await;
        }
        self.end_orphans().await
    }

    /// A guard removes its folder as its last act. One that was killed leaves its server and the folder to us.
    async fn end_orphans(&self) -> Result<(), ServerError> {
        let deadline = Instant::now() + END_LIMIT;
        while !end_unguarded(&self.folder).await? {
            if Instant::now() > deadline {
                return Err(ServerError::Held { folder: self.folder.path().to_owned(), limit: END_LIMIT });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Ends what a killed guard has left; whether nobody is in the folder now.
async fn end_unguarded(folder: &ServerFolder) -> Result<bool, FolderError> {
    if !folder.exists()? {
        return Ok(true);
    }
    let Some(lock) = folder.lock()? else { return Ok(false) };
    folder.end_orphans(&lock).await?;
    folder.remove(lock);
    Ok(true)
}

/// Why a server on a port is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is not ours.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// It does not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Holder {
    /// Waits for the end of the guard, which is that of the server.
    async fn ended(&mut self) {
        match self {
            // Without the guard there is no server: an error counts as its end.
            Holder::Started { guard, .. } => drop(guard.wait().await),
            Holder::TookOver(stream) => {
                let mut byte = [0u8; 1];
                while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
            }
        }
    }

    fn kill(&mut self) {
        match self {
            Holder::Started { guard, .. } => drop(guard.start_kill()),
            Holder::TookOver(stream) => {
                let id = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(Pid::from_raw);
                if let Some(id) = id {
                    let _ = kill_process(id, Signal::KILL);
                }
            }
        }
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
