//! An engine's server on this rank: brought up, watched, restarted when it dies, given up when it keeps dying.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    engine::{Client, EngineError, Limits, Profile, Reader, ServerAddress},
    model::{
        Engine, MachineFault, RankId,
        configuration::{EngineSettings, ServerSource},
    },
    server::{Launch, LaunchError, Server, ServerError, Share},
};

use super::worker::LocalEvent;

/// Starts that may fail or end in a death before the engine is given up on this rank.
const STARTS: u32 = 5;

/// How a service is to be run.
#[derive(Debug, Clone)]
pub(super) struct ServicePlan {
    pub(super) rank: RankId,
    pub(super) local_rank: u32,
    pub(super) profile: Arc<Profile>,
    pub(super) settings: EngineSettings,
    pub(super) share: Share,
    /// Where its logs go.
    pub(super) logs: PathBuf,
}

/// One start of a server, ready to be asked.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    /// Which start it is: a death is reported against it.
    pub(super) start: u32,
    pub(super) reader: Arc<Reader>,
}

#[derive(Debug, Clone)]
enum State {
    Starting,
    Ready(Ready),
    Lost,
}

/// The handle of a service.
#[derive(Debug)]
pub(super) struct Service {
    state: watch::Receiver<State>,
    deaths: mpsc::UnboundedSender<u32>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("no url is configured for this rank")]
    NoUrl,
    #[error("no server answers at {0}")]
    NotRunning(ServerAddress),
}

impl StartError {
    /// Whether another start could end otherwise.
    fn is_permanent(&self) -> bool {
        matches!(self, StartError::Launch(_) | StartError::NoUrl)
            || matches!(self, StartError::Engine(error) if !matches!(error, EngineError::Unreachable { .. }))
    }
}

impl Service {
    /// Starts the service; `events` hears when its engine is ready, and when it is given up.
    pub(super) fn start(plan: ServicePlan, events: Sender<LocalEvent>) -> Service {
        let (state_sender, state) = watch::channel(State::Starting);
        let (deaths, reported) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let supervisor = Supervisor { plan, events, state: state_sender, deaths: reported };
        let task = tokio::spawn(supervisor.run(stopped));
        Service { state, deaths, stop: Some(stop), task }
    }

    /// The server, once it is ready.
    ///
    /// # Errors
    /// The engine is given up on this rank.
    pub(super) async fn ready(&self) -> Result<Ready, MachineFault> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Ready(ready) => return Ok(ready.clone()),
                State::Lost => return Err(MachineFault::ConnectionLost),
                State::Starting => {}
            }
            if state.changed().await.is_err() {
                return Err(MachineFault::ConnectionLost);
            }
        }
    }

    /// Says that a start's engine is dead, though its process may linger.
    pub(super) fn report_death(&self, start: u32) {
        let _ = self.deaths.send(start);
    }

    /// Stops the server and waits until it is gone.
    pub(super) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = self.task.await;
    }
}

struct Supervisor {
    plan: ServicePlan,
    events: Sender<LocalEvent>,
    state: watch::Sender<State>,
    deaths: mpsc::UnboundedReceiver<u32>,
}

impl Supervisor {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        for start in 1..=STARTS {
            tokio::select! {
                () = self.one_start(start) => {}
                _ = &mut stopped => return,
            }
            if matches!(*self.state.borrow(), State::Lost) {
                break;
            }
            tokio::select! {
                () = sleep(Duration::from_millis(500) * 2u32.pow(start - 1)) => {}
                _ = &mut stopped => return,
            }
        }
        if !matches!(*self.state.borrow(), State::Lost) {
            self.give_up(format!("its server died or failed to start {STARTS} times"));
        }
        let _ = stopped.await;
    }

    /// One life of a server, from its launch to its death. The server is gone when this returns or is dropped.
    async fn one_start(&mut self, start: u32) {
        let engine = self.plan.profile.engine;
        match self.bring_up().await {
            Err(error) => {
                let chain = error_chain(&error);
                tracing::warn!(%engine, start, "the server did not start: {chain}");
                if error.is_permanent() {
                    self.give_up(chain);
                }
            }
            Ok((server, reader)) => {
                tracing::info!(%engine, start, served_by = ?reader.served_by(), "the server is ready");
                self.state.send_replace(State::Ready(Ready { start, reader: Arc::new(reader) }));
                let _ = self.events.send(LocalEvent::EngineReady(engine));
                self.until_death(server, start).await;
                self.state.send_replace(State::Starting);
                tracing::warn!(%engine, start, "the server died");
            }
        }
    }

    async fn bring_up(&self) -> Result<(Option<Server>, Reader), StartError> {
        let ServicePlan { rank, profile, settings, logs, .. } = &self.plan;
        let limits = Limits {
            first_token: settings.first_token_limit,
            token_gap: settings.token_gap_limit,
            total: settings.total_limit,
        };
        let launch = Launch::new(&settings.server, profile, &self.plan.share)?;
        let (server, client) = match launch {
            Some(launch) => {
                let log = unused_log(logs, *rank, profile.engine);
                let client = Client::new(launch.address.clone(), limits, None)?;
                let mut server = Server::start(&launch, &log)?;
                server.ready(&client, settings.start_limit).await?;
                (Some(server), client)
            }
            None => {
                let client = Client::new(self.url()?, limits, None)?;
                if !client.stays_alive(Duration::ZERO).await {
                    return Err(StartError::NotRunning(client.address().clone()));
                }
                (None, client)
            }
        };
        let reader = Reader::connect(Profile::clone(profile), client, *rank).await?;
        Ok((server, reader))
    }

    fn url(&self) -> Result<ServerAddress, StartError> {
        let ServerSource::Url { urls } = &self.plan.settings.server else { return Err(StartError::NoUrl) };
        let index = self.plan.local_rank as usize % urls.len().max(1);
        urls.get(index).map(|url| ServerAddress::Tcp(url.clone())).ok_or(StartError::NoUrl)
    }

    /// Waits until the process ends, or a page reports its engine dead.
    async fn until_death(&mut self, server: Option<Server>, start: u32) {
        let reported = async {
            while let Some(reported) = self.deaths.recv().await {
                if reported == start {
                    return;
                }
            }
        };
        match server {
            None => reported.await,
            Some(mut server) => {
                tokio::select! {
                    () = server.ended() => {}
                    () = reported => {}
                }
                server.stop().await;
            }
        }
    }

    fn give_up(&self, reason: String) {
        let engine: Engine = self.plan.profile.engine;
        tracing::error!(%engine, "the engine is given up on this rank: {reason}");
        self.state.send_replace(State::Lost);
        let _ = self.events.send(LocalEvent::EngineLost(engine, reason));
    }
}

/// The next log of this rank's server: the logs of earlier starts are kept.
fn unused_log(logs: &Path, rank: RankId, engine: Engine) -> PathBuf {
    let name = |number: u32| logs.join(format!("server-{:04}-{engine}-{number}.log", rank.0));
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}

/// An error with all its causes.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
