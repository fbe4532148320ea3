//! How a service gets a server that answers: by waking it, adopting it, starting it, or connecting to a configured URL.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    engine::{Client, EngineError, Limits, Profile, Reader, ServerAddress},
    model::{
        EngineName, RankId,
        configuration::{EngineSettings, ServerSource},
        error::chain,
    },
    node::ModelError,
    sys::seconds_text,
};

use super::{
    control::ShutdownRequest,
    folder::ServerFolder,
    launch::{Launch, LaunchError},
    plan::ServicePlan,
    process::{CheckError, Server, ServerError, answers_by},
    supervisor::Supervisor,
};

/// Between two handshakes with a configured server that does not yet serve its model.
const HANDSHAKE_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("another server answers on the port of this run's server")]
    AnotherOnPort(#[source] EngineError),
    #[error("the server at {0} reports to be healthy, but did not answer a request of one token")]
    Silent(ServerAddress),
    #[error("no URL is configured for this rank: give one for each local rank in engines.X.server.urls")]
    NoUrl,
    #[error("no server answers at {address} after {}: start it, or raise start_limit", seconds_text(*limit))]
    NotRunning { address: ServerAddress, limit: Duration, source: Option<Box<EngineError>> },
}

impl StartError {
    /// Whether another start would fail for the same reason.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            StartError::Launch(error) => matches!(error, LaunchError::NoAddress(_)),
            StartError::Engine(error) => !matches!(error, EngineError::Unreachable { .. }),
            // `NotRunning` comes only after the whole start limit, so another start would not help.
            StartError::NoUrl | StartError::NotRunning { .. } | StartError::Model(_) => true,
            StartError::AnotherOnPort(_) | StartError::Silent(_) | StartError::Server(_) => false,
        }
    }
}

impl From<CheckError> for StartError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Server(error) => error.into(),
            CheckError::Engine(error) => error.into(),
        }
    }
}

impl Supervisor {
    /// The launch of the server; `None` where its URL is configured.
    pub(super) fn launch(&self) -> Result<Option<Launch>, StartError> {
        let plan = &self.plan;
        let folder = || ServerFolder::of(&plan.run_directory, &plan.engine, plan.local_rank);
        Ok(Launch::new(&plan.settings.server, &plan.profile, &plan.share, plan.memory_share, folder)?)
    }

    /// Gets a server that answers. Its process is left to [`Supervisor::end_server`], also when this future is dropped.
    pub(super) async fn bring_up(&mut self) -> Result<Reader, StartError> {
        let Some(mut launch) = self.launch()? else {
            // A configured server uses no memory of this rank's GPU.
            self.admitted = None;
            return self.connect_configured(self.client(self.url()?, None)?).await;
        };
        self.acquire().await;
        if let Some(reader) = self.take_up(&launch).await? {
            return Ok(reader);
        }
        let plan = self.plan.clone();
        let engine = &plan.engine;
        if let Some(gpu) = &launch.gpu {
            // The rank's other engines may have servers that rest on this GPU; they are kept.
            let engines = plan.rank_engines.iter().chain([engine]);
            let kept: Vec<_> = engines.map(|engine| launch.folder.sibling(engine, plan.local_rank)).collect();
            Server::free_gpu_memory(&launch.folder, gpu, &kept).await?;
        }
        if let Some(preparation) = &plan.share.preparation {
            let limit = plan.settings.start_limit;
            if let Some(folder) = preparation.prepare(&launch.command, &mut launch.environment, limit).await? {
                launch.serve_from(&folder);
            }
        }
        let log = unused_log(&plan.logs, plan.rank, engine);
        let client = self.client(launch.address.clone(), launch.key.as_deref())?;
        let server = self.server.insert(Server::start(launch, &log, plan.linger)?);
        server.ready(&client, plan.settings.start_limit).await?;
        server.check_port(&client).await?;
        let on_port = matches!(server.address(), ServerAddress::Tcp(_));
        self.connect(client).await.map_err(|error| match error {
            EngineError::Unauthorized { .. } | EngineError::WrongModel { .. } if on_port => {
                StartError::AnotherOnPort(error)
            }
            error => error.into(),
        })
    }

    /// Connects to a server of a configured URL. It may still be starting, and is waited for up to the start limit.
    async fn connect_configured(&self, client: Client) -> Result<Reader, StartError> {
        let limit = self.plan.settings.start_limit;
        let deadline = Instant::now() + limit;
        let missing = |source| StartError::NotRunning { address: client.address().clone(), limit, source };
        if !client.alive().await {
            tracing::warn!(
                server = %client.address(),
                "no server answers yet: waiting for up to {}",
                seconds_text(limit)
            );
        }
        loop {
            if !answers_by(&client, deadline).await {
                return Err(missing(None));
            }
            match self.connect(client.clone()).await {
                // This rank cannot restart a configured engine that hangs, so the server must answer before any page is
                // sent to it.
                Ok(reader) => return require_canary(reader).await,
                Err(EngineError::Unreachable { .. }) if Instant::now() < deadline => sleep(HANDSHAKE_PAUSE).await,
                Err(error @ EngineError::Unreachable { .. }) => return Err(missing(Some(Box::new(error)))),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Wakes the sleeping server, or adopts the one that an earlier attempt of the run has left, if that was launched
    /// alike and its engine answers; ends it otherwise. A server that is still starting has the rest of its start
    /// limit.
    async fn take_up(&mut self, launch: &Launch) -> Result<Option<Reader>, StartError> {
        let ours = self.server.is_some();
        if !ours {
            self.server = Server::take_over(launch).await?;
        }
        let Some(server) = &mut self.server else { return Ok(None) };
        let engine = &self.plan.engine;
        let log = server.log().map(Path::to_owned).unwrap_or_default();
        let since = Instant::now();
        match wake(&self.plan, server).await {
            Ok(reader) => {
                let whose = if ours { "woke the server up" } else { "adopted the server of an earlier attempt" };
                tracing::info!(%engine, log = %log.display(), took = %seconds_text(since.elapsed()), "{whose}");
                Ok(Some(reader))
            }
            Err(error) => {
                let whose = if ours { "a server that does not wake up" } else { "the server of an earlier attempt" };
                tracing::warn!(%engine, log = %log.display(), "ending {whose}: {}", chain(&error));
                self.end_server(ShutdownRequest::Kill).await;
                Ok(None)
            }
        }
    }

    fn client(&self, address: ServerAddress, key: Option<&str>) -> Result<Client, EngineError> {
        client_of(&self.plan.settings, address, key)
    }

    /// A server that has answered no page yet may compile for the first one for minutes.
    async fn connect(&self, client: Client) -> Result<Reader, EngineError> {
        connect(&self.plan, client, self.plan.settings.start_limit).await
    }

    fn url(&self) -> Result<ServerAddress, StartError> {
        let ServerSource::Url { urls } = &self.plan.settings.server else { return Err(StartError::NoUrl) };
        let index = self.plan.local_rank as usize % urls.len().max(1);
        urls.get(index).map(|url| ServerAddress::Tcp(url.clone())).ok_or(StartError::NoUrl)
    }
}

/// Waits for a server that was started before, wakes it if it sleeps, and sends it a canary request.
async fn wake(plan: &ServicePlan, server: &mut Server) -> Result<Reader, StartError> {
    let client = client_of(&plan.settings, server.address().clone(), server.key())?;
    server.ready(&client, plan.settings.start_limit).await?;
    if server.sleeps() && client.is_sleeping().await? {
        client.wake_up().await?;
    }
    require_canary(connect(plan, client, plan.settings.hang_limit).await?).await
}

/// Waits for the answer to a first page for up to `limit`.
async fn connect(plan: &ServicePlan, client: Client, limit: Duration) -> Result<Reader, EngineError> {
    let reader = Reader::connect(plan.engine.clone(), Profile::clone(&plan.profile), client, plan.rank).await?;
    reader.check_answers(limit).await?;
    Ok(reader)
}

/// The reader, if its engine answers a canary request.
async fn require_canary(reader: Reader) -> Result<Reader, StartError> {
    let client = reader.client();
    if client.answers_canary(&reader.server().model).await {
        Ok(reader)
    } else {
        Err(StartError::Silent(client.address().clone()))
    }
}

pub(super) fn client_of(
    settings: &EngineSettings,
    address: ServerAddress,
    key: Option<&str>,
) -> Result<Client, EngineError> {
    let limits = Limits {
        first_token: settings.first_token_limit,
        token_gap: settings.token_gap_limit,
        total: settings.total_limit,
    };
    Ok(Client::new(address, limits, key)?.with_hang_limit(settings.hang_limit))
}

/// Path of the next log of this rank's server: the logs of earlier starts are kept.
fn unused_log(logs: &Path, rank: RankId, engine: &EngineName) -> PathBuf {
    let name = |number: u32| logs.join(format!("server-{:04}-{engine}-{number}.log", rank.0));
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}
