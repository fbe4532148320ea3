//! An engine's server on this rank: brought up, watched, restarted when it dies, given up when it keeps dying.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    engine::{Capabilities, Client, EngineError, Limits, Profile, Reader, ServerAddress},
    model::{
        Engine, EngineSet, MachineFault, RankId,
        configuration::{EngineSettings, ServerSource},
        error::chain,
    },
};

use super::{
    control::Word,
    folder::ServerFolder,
    launch::{Launch, LaunchError, Share},
    model_files::ModelError,
    process::{CheckError, Server, ServerError, answers_by},
    watch::death,
};

/// Between two handshakes with a server that is not ours and not yet what it says that it is.
const HANDSHAKE_PAUSE: Duration = Duration::from_millis(500);

/// How a service is to be run.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// Names the logs and stands in the records.
    pub rank: RankId,
    /// Chooses among configured URLs.
    pub local_rank: u32,
    /// What the server must serve.
    pub profile: Arc<Profile>,
    /// All engines that this rank serves: a server of another one, left on its GPU by an earlier attempt, is in the way.
    pub engines: EngineSet,
    /// Where the server comes from, and its limits.
    pub settings: EngineSettings,
    /// What this rank gives to it.
    pub share: Share,
    /// Names the server's folder on this node, where the next attempt of the run finds it.
    pub run_directory: PathBuf,
    /// Folder for its logs, one a start.
    pub logs: PathBuf,
    /// How long a launched server outlives this rank where it is killed, to be taken over by the next attempt.
    pub linger: Duration,
}

/// What the owner of a service hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceEvent {
    /// A server of this engine is ready, and can do this; said again after every restart.
    Ready(Engine, Box<Capabilities>),
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

/// The handle of a service. Dropping it is as the death of this rank: the server lives on for the plan's linger time.
#[derive(Debug)]
pub struct Service {
    state: watch::Sender<State>,
    /// The start on which a page is tried alone; 0 for none.
    trial: Arc<AtomicU32>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Tells how a server stands.
#[derive(Debug, Clone)]
pub struct LifeWatch(watch::Receiver<State>);

impl LifeWatch {
    /// The server, if it is ready now.
    pub fn ready(&self) -> Option<Ready> {
        match &*self.0.borrow() {
            State::Ready(ready) => Some(ready.clone()),
            State::Starting | State::Lost => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("another server answers on the port of ours")]
    AnotherOnPort(#[source] EngineError),
    #[error("the server at {0} says that it is healthy, but did not answer a request of one token")]
    Silent(ServerAddress),
    #[error("no url is configured for this rank")]
    NoUrl,
    #[error("no server answers at {address}, waited for {limit:?}: start it, or raise start_limit")]
    NotRunning { address: ServerAddress, limit: Duration, source: Option<Box<EngineError>> },
}

impl StartError {
    /// Whether another start would end the same way.
    fn is_permanent(&self) -> bool {
        match self {
            StartError::Launch(error) => matches!(error, LaunchError::NoAddress(_)),
            StartError::Engine(error) => !matches!(error, EngineError::Unreachable { .. }),
            // It has been waited for.
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

impl Service {
    /// Starts the service on the current runtime; `on_event` is called from its task and must not block.
    pub fn start(plan: ServicePlan, on_event: impl Fn(ServiceEvent) + Send + Sync + 'static) -> Service {
        let state = watch::Sender::new(State::Starting);
        let (stop, stopped) = oneshot::channel();
        let on_event = Box::new(on_event);
        let trial = Arc::new(AtomicU32::new(0));
        let supervisor = Supervisor { trial: Arc::clone(&trial), plan, on_event, state: state.clone(), server: None };
        Service { state, trial, stop: Some(stop), task: tokio::spawn(supervisor.run(stopped)) }
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

    /// How the server stands, whoever owns this handle.
    pub fn life(&self) -> LifeWatch {
        LifeWatch(self.state.subscribe())
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

    /// Says that a page suspected of killing its engine is tried alone on this start: its death is the page's doing, and
    /// costs no start of the budget.
    pub fn begin_trial(&self, start: u32) {
        self.trial.store(start, Ordering::SeqCst);
    }

    /// Says that the start has survived the trial.
    pub fn end_trial(&self) {
        self.trial.store(0, Ordering::SeqCst);
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
    trial: Arc<AtomicU32>,
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
                told = &mut stopped => return self.leave(told.is_ok()).await,
            };
            // The next start needs the memory of the GPU that this one still holds. A dead server gets no grace.
            self.end_server(if ended.is_ok() { Word::Kill } else { Word::Goodbye }).await;
            let (life, reason) = match ended {
                Ok((life, cause)) => (life, format!("the server died: {cause}")),
                Err(error) if error.is_permanent() => {
                    self.give_up(chain(&error));
                    break;
                }
                Err(error) => (Duration::ZERO, format!("the server did not start: {}", chain(&error))),
            };
            tracing::warn!(engine = %self.plan.profile.engine, start, ?life, "{reason}");
            if self.trial.swap(0, Ordering::SeqCst) == start {
                tracing::info!("a page was on trial: this start counts for nothing");
                continue;
            }
            let Some(pause) = budget.after(life) else {
                self.give_up(format!(
                    "{} starts in a row failed or ended early; the last: {reason}",
                    StartBudget::STARTS
                ));
                break;
            };
            tokio::select! {
                () = sleep(pause) => {}
                told = &mut stopped => return self.leave(told.is_ok()).await,
            }
        }
    }

    /// The end of the service: told by its owner, or because the owner is gone.
    async fn leave(mut self, told: bool) {
        if told {
            self.end_server(Word::Goodbye).await;
        }
        self.state.send_replace(State::Lost);
    }

    /// One life of a server, from its launch to its death: how long it was ready, and what it died of. The process is
    /// left to [`Supervisor::end_server`], also when this is dropped.
    async fn live(&mut self, start: u32) -> Result<(Duration, String), StartError> {
        let engine = self.plan.profile.engine;
        let reader = Arc::new(self.bring_up().await?);
        tracing::info!(%engine, start, served_by = ?reader.served_by(), "the server is ready");
        let since = Instant::now();
        self.state.send_replace(State::Ready(Ready { start, reader: Arc::clone(&reader) }));
        (self.on_event)(ServiceEvent::Ready(engine, Box::new(reader.server().clone())));
        let cause = self.until_death(start, &reader).await;
        self.state.send_replace(State::Starting);
        Ok((since.elapsed(), cause))
    }

    async fn bring_up(&mut self) -> Result<Reader, StartError> {
        let plan = self.plan.clone();
        let engine = plan.profile.engine;
        let folder = || ServerFolder::of(&plan.run_directory, engine, plan.local_rank);
        let Some(mut launch) = Launch::new(&plan.settings.server, &plan.profile, &plan.share, folder)? else {
            return self.reach(self.client(self.url()?, None)?).await;
        };
        if let Some(reader) = self.adopt(&launch).await? {
            return Ok(reader);
        }
        if let Some(gpu) = &launch.gpu {
            let kept: Vec<_> =
                plan.engines.with(engine).iter().map(|engine| launch.folder.beside(engine, plan.local_rank)).collect();
            Server::make_room(&launch.folder, gpu, &kept).await?;
        }
        if let Some(care) = &plan.share.care {
            care.prepare(&mut launch).await?;
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

    /// A server that is not ours. It may be starting too, and is waited for as one of ours.
    async fn reach(&self, client: Client) -> Result<Reader, StartError> {
        let limit = self.plan.settings.start_limit;
        let deadline = Instant::now() + limit;
        let missing = |source| StartError::NotRunning { address: client.address().clone(), limit, source };
        if !client.alive().await {
            tracing::warn!(server = %client.address(), "no server answers yet: it is waited for, {limit:?} at most");
        }
        loop {
            if !answers_by(&client, deadline).await {
                return Err(missing(None));
            }
            match self.connect(client.clone()).await {
                Ok(reader) => {
                    // An engine that hangs is not restarted here: nobody is to be sent to it.
                    let answers = client.sings(&reader.server().model).await;
                    return if answers { Ok(reader) } else { Err(StartError::Silent(client.address().clone())) };
                }
                Err(EngineError::Unreachable { .. }) if Instant::now() < deadline => sleep(HANDSHAKE_PAUSE).await,
                Err(error @ EngineError::Unreachable { .. }) => return Err(missing(Some(Box::new(error)))),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes over the server that an earlier attempt of the run has left, if it is the one that would be launched and
    /// its engine answers; ends it otherwise. One that is still starting has the rest of its time.
    async fn adopt(&mut self, launch: &Launch) -> Result<Option<Reader>, StartError> {
        let Some(server) = Server::take_over(&launch.folder, &launch.hash).await? else { return Ok(None) };
        let server = self.server.insert(server);
        let (address, key, log) = (server.address().clone(), server.key().map(str::to_owned), server.log());
        let log = log.map(Path::to_owned).unwrap_or_default();
        let settings = &self.plan.settings;
        let client = client_of(settings, address, key.as_deref())?;
        if server.ready(&client, settings.start_limit).await.is_ok()
            && let Ok(reader) = self.connect(client).await
            && reader.client().sings(&reader.server().model).await
        {
            tracing::info!(log = %log.display(), "adopted the server of an earlier attempt");
            return Ok(Some(reader));
        }
        tracing::warn!(log = %log.display(), "ending the server of an earlier attempt: it does not answer");
        self.end_server(Word::Kill).await;
        Ok(None)
    }

    fn client(&self, address: ServerAddress, key: Option<&str>) -> Result<Client, EngineError> {
        client_of(&self.plan.settings, address, key)
    }

    async fn connect(&self, client: Client) -> Result<Reader, EngineError> {
        Reader::connect(Profile::clone(&self.plan.profile), client, self.plan.rank).await
    }

    fn url(&self) -> Result<ServerAddress, StartError> {
        let ServerSource::Url { urls } = &self.plan.settings.server else { return Err(StartError::NoUrl) };
        let index = self.plan.local_rank as usize % urls.len().max(1);
        urls.get(index).map(|url| ServerAddress::Tcp(url.clone())).ok_or(StartError::NoUrl)
    }

    /// Waits until the process ends, a page reports its engine dead, or it shows from outside; says what it was.
    async fn until_death(&mut self, start: u32, reader: &Reader) -> String {
        let mut state = self.state.subscribe();
        let reported = state.wait_for(|state| !state.is_start(start));
        let ended = async {
            match &mut self.server {
                Some(server) => server.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => "its process ended".into(),
            _ = reported => "a page was told so".into(),
            death = death(reader.client(), &reader.server().model, self.plan.settings.hang_limit) => death.to_string(),
        }
    }

    async fn end_server(&mut self, word: Word) {
        if let Some(server) = self.server.take()
            && let Err(error) = server.end(word).await
        {
            tracing::error!(engine = %self.plan.profile.engine, "{}", chain(&error));
        }
    }

    fn give_up(&self, reason: String) {
        let engine = self.plan.profile.engine;
        tracing::error!(%engine, "the engine is given up on this rank: {reason}");
        self.state.send_replace(State::Lost);
        (self.on_event)(ServiceEvent::Lost(engine, reason));
    }
}

fn client_of(settings: &EngineSettings, address: ServerAddress, key: Option<&str>) -> Result<Client, EngineError> {
    let limits = Limits {
        first_token: settings.first_token_limit,
        token_gap: settings.token_gap_limit,
        total: settings.total_limit,
    };
    Ok(Client::new(address, limits, key)?.with_hang_limit(settings.hang_limit))
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

    /// The pause after a start whose server was ready for `life`; `None` once the budget is spent. The first death of a
    /// server that was ready needs none: the fault is most likely not in how it is started.
    fn after(&mut self, life: Duration) -> Option<Duration> {
        if life >= Self::HEALTHY_LIFE {
            self.spent = 0;
        }
        self.spent += 1;
        let pause = match self.spent {
            1 if life > Duration::ZERO => Duration::ZERO,
            spent => Duration::from_millis(500) * 2u32.pow(spent - 1),
        };
        (self.spent < Self::STARTS).then_some(pause)
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
        assert_eq!(pauses, [0, 1000, 2000, 4000]);
        for _ in 0..20 {
            assert_eq!(budget.after(StartBudget::HEALTHY_LIFE), Some(Duration::ZERO));
        }
        assert_eq!(StartBudget::default().after(Duration::ZERO), Some(Duration::from_millis(500)), "a false start");
        assert!((0..3).all(|_| budget.after(early).is_some()));
        assert_eq!(budget.after(Duration::ZERO), None);
    }
}
