//! An engine's server on this rank: brought up, watched, restarted when it dies, given up when it keeps dying.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    engine::{Client, EngineError, Limits, Profile, Reader, ServerAddress},
    model::{
        Engine, MachineFault, RankId,
        configuration::{EngineSettings, ServerSource},
        error::chain,
    },
};

use super::{
    launch::{Launch, LaunchError, Share},
    process::{Server, ServerError},
};

/// How a service is to be run.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// Names the logs and stands in the records.
    pub rank: RankId,
    /// Chooses among configured URLs.
    pub local_rank: u32,
    /// What the server must serve.
    pub profile: Arc<Profile>,
    /// Where the server comes from, and its limits.
    pub settings: EngineSettings,
    /// What this rank gives to it.
    pub share: Share,
    /// Folder for its logs, one a start.
    pub logs: PathBuf,
}

/// What the owner of a service hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceEvent {
    /// A server of this engine is ready; said again after every restart.
    Ready(Engine),
    /// The engine is given up on this rank, for this reason. Said once, as the last.
    Lost(Engine, String),
}

/// One start of a server, ready to be asked.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Which start it is, from 1: a death is reported against it.
    pub start: u32,
    /// Asks it.
    pub reader: Arc<Reader>,
}

#[derive(Debug, Clone)]
enum State {
    Starting,
    Ready(Ready),
    Lost,
}

impl State {
    fn is_start(&self, start: u32) -> bool {
        matches!(self, State::Ready(ready) if ready.start == start)
    }
}

/// The handle of a service. Dropping it ends the server without waiting for its end.
#[derive(Debug)]
pub struct Service {
    state: watch::Sender<State>,
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
    /// Whether another start would end the same way.
    fn is_permanent(&self) -> bool {
        match self {
            StartError::Launch(error) => matches!(error, LaunchError::NoAddress(_)),
            StartError::Engine(error) => !matches!(error, EngineError::Unreachable { .. }),
            StartError::NoUrl => true,
            StartError::Server(_) | StartError::NotRunning(_) => false,
        }
    }
}

impl Service {
    /// Starts the service on the current runtime; `on_event` is called from its task and must not block.
    pub fn start(plan: ServicePlan, on_event: impl Fn(ServiceEvent) + Send + Sync + 'static) -> Service {
        let state = watch::Sender::new(State::Starting);
        let (stop, stopped) = oneshot::channel();
        let on_event = Box::new(on_event);
        let supervisor = Supervisor { plan, on_event, state: state.clone(), server: None };
        Service { state, stop: Some(stop), task: tokio::spawn(supervisor.run(stopped)) }
    }

    /// The server, once it is ready.
    ///
    /// # Errors
    /// The engine is given up on this rank.
    pub async fn ready(&self) -> Result<Ready, MachineFault> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.as_deref() {
            Ok(State::Ready(ready)) => Ok(ready.clone()),
            Ok(State::Starting | State::Lost) | Err(_) => Err(MachineFault::ConnectionLost),
        }
    }

    /// Says that a start's engine is dead, though its process may linger. Nobody is given this start any more; that of
    /// an earlier start changes nothing.
    pub fn report_death(&self, start: u32) {
        self.state.send_if_modified(|state| {
            let dead = state.is_start(start);
            if dead {
                *state = State::Starting;
            }
            dead
        });
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

struct Supervisor {
    plan: ServicePlan,
    on_event: Box<dyn Fn(ServiceEvent) + Send + Sync>,
    state: watch::Sender<State>,
    /// The process of this start, from its launch until it is gone.
    server: Option<Server>,
}

impl Supervisor {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut budget = StartBudget::default();
        for start in 1.. {
            let ended = tokio::select! {
                ended = self.live(start) => ended,
                _ = &mut stopped => break,
            };
            // The next start needs the memory of the GPU that this one still holds.
            self.stop_server().await;
            let (life, reason) = match ended {
                Ok(life) => (life, "the server died".to_owned()),
                Err(error) if error.is_permanent() => {
                    self.give_up(chain(&error));
                    break;
                }
                Err(error) => (Duration::ZERO, format!("the server did not start: {}", chain(&error))),
            };
            tracing::warn!(engine = %self.plan.profile.engine, start, ?life, "{reason}");
            let Some(pause) = budget.after(life) else {
                self.give_up(format!(
                    "{} starts in a row failed or ended early; the last: {reason}",
                    StartBudget::STARTS
                ));
                break;
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut stopped => break,
            }
        }
        self.stop_server().await;
        self.state.send_replace(State::Lost);
    }

    /// One life of a server, from its launch to its death; how long it was ready. The process is left to
    /// [`Supervisor::stop_server`], also when this is dropped.
    async fn live(&mut self, start: u32) -> Result<Duration, StartError> {
        let engine = self.plan.profile.engine;
        let reader = self.bring_up().await?;
        tracing::info!(%engine, start, served_by = ?reader.served_by(), "the server is ready");
        let since = Instant::now();
        self.state.send_replace(State::Ready(Ready { start, reader: Arc::new(reader) }));
        (self.on_event)(ServiceEvent::Ready(engine));
        self.until_death(start).await;
        self.state.send_replace(State::Starting);
        Ok(since.elapsed())
    }

    async fn bring_up(&mut self) -> Result<Reader, StartError> {
        let ServicePlan { rank, profile, settings, logs, share, .. } = &self.plan;
        let limits = Limits {
            first_token: settings.first_token_limit,
            token_gap: settings.token_gap_limit,
            total: settings.total_limit,
        };
        let client = match Launch::new(&settings.server, profile, share)? {
            Some(launch) => {
                let log = unused_log(logs, *rank, profile.engine);
                let client = Client::new(launch.address.clone(), limits, None)?;
                let server = self.server.insert(Server::start(launch, &log)?);
                server.ready(&client, settings.start_limit).await?;
                client
            }
            None => {
                let client = Client::new(self.url()?, limits, None)?;
                if !client.alive().await {
                    return Err(StartError::NotRunning(client.address().clone()));
                }
                client
            }
        };
        Ok(Reader::connect(Profile::clone(profile), client, *rank).await?)
    }

    fn url(&self) -> Result<ServerAddress, StartError> {
        let ServerSource::Url { urls } = &self.plan.settings.server else { return Err(StartError::NoUrl) };
        let index = self.plan.local_rank as usize % urls.len().max(1);
        urls.get(index).map(|url| ServerAddress::Tcp(url.clone())).ok_or(StartError::NoUrl)
    }

    /// Waits until the process ends, or a page reports its engine dead.
    async fn until_death(&mut self, start: u32) {
        let mut state = self.state.subscribe();
        let reported = state.wait_for(|state| !state.is_start(start));
        match &mut self.server {
            None => drop(reported.await),
            Some(server) => tokio::select! {
                () = server.ended() => {}
                _ = reported => {}
            },
        }
    }

    async fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    fn give_up(&self, reason: String) {
        let engine = self.plan.profile.engine;
        tracing::error!(%engine, "the engine is given up on this rank: {reason}");
        self.state.send_replace(State::Lost);
        (self.on_event)(ServiceEvent::Lost(engine, reason));
    }
}

/// How many starts may fail or end early, one after the other, before an engine is given up.
#[derive(Debug, Default)]
struct StartBudget {
    spent: u32,
}

impl StartBudget {
    const STARTS: u32 = 5;
    /// A server that was ready for this long was no false start: the budget is whole again.
    const HEALTHY_LIFE: Duration = Duration::from_secs(600);

    /// The pause after a start whose server was ready for `life`; `None` once the budget is spent.
    fn after(&mut self, life: Duration) -> Option<Duration> {
        if life >= Self::HEALTHY_LIFE {
            self.spent = 0;
        }
        self.spent += 1;
        (self.spent < Self::STARTS).then(|| Duration::from_millis(500) * 2u32.pow(self.spent - 1))
    }
}

/// The next log of this rank's server: the logs of earlier starts are kept.
fn unused_log(logs: &Path, rank: RankId, engine: Engine) -> PathBuf {
    let name = |number: u32| logs.join(format!("server-{:04}-{engine}-{number}.log", rank.0));
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_spent_by_early_deaths_and_refilled_by_a_long_life() {
        let mut budget = StartBudget::default();
        let early = Duration::from_secs(20);
        let pauses: Vec<_> = (0..4).map(|_| budget.after(early).unwrap().as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000]);
        for _ in 0..20 {
            assert_eq!(budget.after(StartBudget::HEALTHY_LIFE), Some(Duration::from_millis(500)));
        }
        assert!((0..3).all(|_| budget.after(early).is_some()));
        assert_eq!(budget.after(Duration::ZERO), None);
    }
}
