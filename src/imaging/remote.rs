//! One renderer child, seen from its rank: starts it, sends requests, kills it at the time limit, and explains its
//! loss.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{
    pool_settings::PoolSettings,
    protocol::{self, Response},
};
use crate::sys::scrub_environment;

/// Time limit for a child to load PDFium. A cold network file system takes seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Time for a child to end by itself after its pipe is closed, so that its exit status gives the reason.
const END_LIMIT: Duration = Duration::from_secs(5);
const SIGKILL: i32 = 9;

/// A running child.
pub struct RemoteChild {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Logs the child's standard error, and returns the last line.
    diagnostics: JoinHandle<Option<String>>,
    /// Number of requests that it has answered.
    pub answered: u32,
}

/// The reason why a child cannot be started.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program cannot be run.
    #[error("cannot start the renderer {program}: {source}")]
    Spawn { program: String, source: io::Error },
    /// The child has reported that it cannot work.
    #[error("the renderer cannot work: {0}")]
    Unusable(String),
    /// The child ended, or its first message was not that it is ready.
    #[error("the renderer did not start: {0}")]
    Silent(String),
}

/// How a child was lost with a request in flight.
#[derive(Debug)]
pub enum Loss {
    /// The rank killed it at the time limit.
    Late,
    /// The process ended.
    Died {
        /// Signal or exit status, and the last line of its standard error.
        how: String,
        /// It was killed by SIGKILL: by a user, or by a system that is short of memory.
        killed: bool,
        /// It reached its memory limit.
        out_of_memory: bool,
    },
    /// It wrote something that is not an answer.
    Garbled(String),
}

impl RemoteChild {
    /// Starts a child and waits until it is ready.
    pub async fn start(settings: &PoolSettings) -> Result<Self, StartError> {
        let mut command = Command::new(&settings.program);
        command.arg("render-child").arg("--pdfium").arg(&settings.pdfium);
        command.arg("--memory").arg(settings.child_memory.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        scrub_environment(command.as_std_mut());
        let spawn_error = |source| StartError::Spawn { program: settings.program.display().to_string(), source };
        let mut process = command.spawn().map_err(spawn_error)?;
        let missing = || spawn_error(io::Error::other("it has no pipes"));
        let stderr = process.stderr.take().ok_or_else(missing)?;
        let mut child = RemoteChild {
            input: process.stdin.take().ok_or_else(missing)?,
            output: BufReader::new(process.stdout.take().ok_or_else(missing)?),
            diagnostics: tokio::spawn(log_lines(stderr, process.id())),
            process,
            answered: 0,
        };
        match timeout(START_LIMIT, protocol::receive(&mut child.output)).await {
            Ok(Ok((Response::Ready, _))) => Ok(child),
            Ok(Ok((Response::Unusable(reason), _))) => Err(StartError::Unusable(reason)),
            Ok(Ok(_)) => Err(StartError::Silent("its first message was the answer to a request".into())),
            Ok(Err(error)) => Err(StartError::Silent(child.loss_of(error).await.to_string())),
            Err(_) => Err(StartError::Silent(format!("it was not ready after {} s", START_LIMIT.as_secs()))),
        }
    }

    /// Sends a request, and returns the child with its answer. A lost child is killed and reaped.
    pub async fn ask(mut self, request: &[u8], limit: Duration) -> Result<(Self, Response, Vec<u8>), Loss> {
        let exchange = async {
            self.input.write_all(request).await?;
            protocol::receive(&mut self.output).await
        };
        match timeout(limit, exchange).await {
            Ok(Ok((response, image))) => {
                self.answered += 1;
                Ok((self, response, image))
            }
            Ok(Err(error)) => Err(self.loss_of(error).await),
            Err(_) => {
                kill(&mut self.process).await;
                Err(Loss::Late)
            }
        }
    }

    /// Lets the child end by itself.
    pub async fn end(mut self) {
        drop(self.input);
        if timeout(END_LIMIT, self.process.wait()).await.is_err() {
            kill(&mut self.process).await;
        }
    }

    /// Waits for the end of a child whose pipe has failed, and returns how it was lost.
    async fn loss_of(mut self, error: io::Error) -> Loss {
        drop(self.input);
        let status = match timeout(END_LIMIT, self.process.wait()).await {
            Ok(Ok(status)) => status,
            _ => {
                kill(&mut self.process).await;
                return Loss::Garbled(error.to_string());
            }
        };
        if error.kind() == io::ErrorKind::InvalidData {
            return Loss::Garbled(error.to_string());
        }
        let last_line = timeout(END_LIMIT, self.diagnostics).await.ok().and_then(Result::ok).flatten();
        Loss::died(status, last_line)
    }
}

/// Kills the child and waits a moment for its end. A process that waits for a file system which hangs may not die before
/// the file system answers: the rank goes on without it.
async fn kill(process: &mut Child) {
    let _ = timeout(END_LIMIT, process.kill()).await;
}

impl Loss {
    fn died(status: ExitStatus, last_line: Option<String>) -> Loss {
        let last_line = last_line.unwrap_or_default();
        let how = if last_line.is_empty() { status.to_string() } else { format!("{status}: {last_line}") };
        let out_of_memory = last_line.contains(protocol::OUT_OF_MEMORY);
        Loss::Died { how, killed: status.signal() == Some(SIGKILL), out_of_memory }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Loss::Late => f.write_str("the renderer was too slow"),
            Loss::Died { how, .. } => write!(f, "the renderer died ({how})"),
            Loss::Garbled(what) => write!(f, "the renderer wrote something that is not an answer ({what})"),
        }
    }
}

async fn log_lines(stderr: ChildStderr, process: Option<u32>) -> Option<String> {
    let mut lines = BufReader::new(stderr).lines();
    let mut last = None;
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(process, "renderer: {line}");
        last = Some(line);
    }
    last
}
