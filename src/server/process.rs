//! A running server.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    engine::{Client, ServerAddress},
    process::scrub_environment,
};

use super::launch::Launch;

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
        status: std::process::ExitStatus,
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
}

/// A server process under its guard. Dropping it closes the guard's pipe, which ends the server.
#[derive(Debug)]
pub struct Server {
    address: ServerAddress,
    log: PathBuf,
    guard: Child,
    /// The guard ends the server when this closes. Kept apart from the child, whose `wait` would close it.
    pipe: Option<ChildStdin>,
    /// Folder of its socket. The guard removes it too, where this process is killed.
    _folder: TempDir,
}

impl Server {
    /// Starts the server; its output goes to `log`.
    ///
    /// # Errors
    /// The log cannot be opened or the guard not started.
    pub fn start(launch: Launch, log: &Path) -> Result<Server, ServerError> {
        let log_error = |source| ServerError::Log { path: log.to_owned(), source };
        let output = File::create(log).map_err(log_error)?;
        let errors = output.try_clone().map_err(log_error)?;
        let mut command = std::process::Command::new(&launch.guard);
        command.arg("guard").arg("--remove").arg(launch.folder.path()).arg("--").args(&launch.command);
        scrub_environment(&mut command);
        command.envs(&launch.environment);
        if let Some(gpu) = &launch.gpu {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let mut guard =
            command.spawn().map_err(|source| ServerError::Spawn { program: launch.guard.clone(), source })?;
        let pipe = guard.stdin.take();
        Ok(Server { address: launch.address, log: log.to_owned(), guard, pipe, _folder: launch.folder })
    }

    /// Where it answers.
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Waits until it answers `/health`. Ready means more than that: the caller asks for its model next.
    ///
    /// # Errors
    /// The process ended, or the limit passed.
    pub async fn ready(&mut self, client: &Client, limit: Duration) -> Result<(), ServerError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            if let Ok(Some(status)) = self.guard.try_wait() {
                let tail = tail(&self.log);
                return Err(ServerError::Ended { status, log: self.log.clone(), tail });
            }
            if client.alive().await {
                return Ok(());
            }
            if start.elapsed() >= limit {
                return Err(ServerError::NotReady { limit, log: self.log.clone() });
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Waits until the process ends by itself.
    pub async fn ended(&mut self) {
        // Without the guard there is no server: an error counts as its end.
        let _ = self.guard.wait().await;
    }

    /// Ends the server and waits until its whole process group is gone.
    pub async fn stop(mut self) {
        drop(self.pipe.take());
        if timeout(Duration::from_secs(20), self.guard.wait()).await.is_err() {
            tracing::warn!(log = %self.log.display(), "the server's guard did not end in 20 s");
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
