//! Every rank's side of the run: it receives pages, writes records to disk and reports verdicts.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use tokio::{
    runtime::{Handle, Runtime},
    task::{AbortHandle, JoinSet},
};
use tracing::Instrument;

use crate::{
    comm::{Assignment, Hello, LocalPosition, ToCoordinator, ToWorker, batches},
    model::{Engine, LeaseId, PageRef, RankId, Role, StopReason},
    server::{DesiredState, GpuPermits, Ready, ReportedDeath},
    store,
    sys::{ExitCode, PROGRAM_VERSION, host_name},
};

use super::{
    context::{Context, LocalEvent, give_back},
    engine_setup::{EngineSetup, cores_of, set_up_engines},
    error::WorkerError,
    page::work_on_page,
    rank_engine::{RankEngine, RankPlan},
    recovered_parts::recovered_parts,
    request::WorkerRequest,
    resident_servers::{ResidentServers, stop_all, task_runtime},
    role_switches::RoleSwitches,
    start_up::StartUp,
    task_beats::TaskBeats,
};

/// A rank's worker, driven by its main thread. The main thread waits for no server, no child process and no disk.
pub struct Worker {
    request: WorkerRequest,
    rank: RankId,
    /// The greeting of this rank to rank 0.
    hello: Hello,
    /// Its share of the node's cores.
    cores: usize,
    switches: RoleSwitches,
    stage: WorkerStage,
    pages: JoinSet<()>,
    /// Tasks of pages in progress, so that each can be aborted.
    under_way: BTreeMap<(PageRef, LeaseId), AbortHandle>,
    events: Sender<LocalEvent>,
    inbox: Receiver<LocalEvent>,
    runtime: Handle,
    task_beats: TaskBeats,
    /// Where the servers come from and go to, if they outlive this worker.
    resident: Option<Arc<ResidentServers>>,
    /// Declared last, so that it is dropped last: fields above may have tasks on it.
    _tasks: Tasks,
}

/// Stage of the worker. Each stage owns what it needs.
enum WorkerStage {
    /// There is no plan yet. The servers start meanwhile.
    Waiting(BTreeMap<Engine, RankEngine>),
    /// A thread reads the plan and starts the renderers; it has the engines. Messages that rank 0 sends meanwhile are
    /// kept here.
    StartingUp(Vec<ToWorker>),
    Reading(Arc<Context>),
    /// Rank 0 has ordered the worker to finish: a thread seals the shards and stops the servers.
    Ending,
}

impl Worker {
    /// Starts the servers of this rank, one of `ranks`, or takes over `resident` ones. Pages may come after
    /// [`ToWorker::Begin`].
    ///
    /// # Errors
    /// Profiles, GPU or settings of the engines are not usable; or the system refuses threads or signal handlers.
    pub fn start(
        rank: RankId,
        ranks: u32,
        local: LocalPosition,
        request: WorkerRequest,
        resident: Option<Arc<ResidentServers>>,
    ) -> Result<Worker, WorkerError> {
        let role = request.configuration.engines.roles().of(rank, ranks);
        let (runtime, tasks) = match &resident {
            Some(servers) => (servers.runtime().clone(), Tasks(None)),
            None => {
                let runtime = task_runtime()?;
                (runtime.handle().clone(), Tasks(Some(runtime)))
            }
        };
        let (events, inbox) = channel();
        let setups = set_up_engines(&request, rank, role, local)?;
        let cores = cores_of(&setups);
        let silence_limit = request.configuration.schedule.silence_limit;
        let hello = Hello {
            program_version: PROGRAM_VERSION.into(),
            settings: request.settings_digest.clone(),
            host: host_name(),
            local_rank: local.rank,
            gpu: setups.values().find_map(|setup| setup.share.gpu.clone()),
            role,
            credits: credits(role, &setups),
        };
        listen_for_signals(&runtime, &events)?;
        let rank_plan = RankPlan {
            rank,
            local_rank: local.rank,
            role,
            configuration: &request.configuration,
            run_directory: request.run_directory.clone(),
            home: request.home.clone(),
            linger: request.linger,
            gpu_permits: GpuPermits::default(),
        };
        let (engines, switches) = start_engines(&runtime, setups, &rank_plan, &events, resident.as_deref())?;
        Ok(Worker {
            request,
            rank,
            hello,
            cores,
            switches,
            stage: WorkerStage::Waiting(engines),
            pages: JoinSet::new(),
            under_way: BTreeMap::new(),
            events,
            inbox,
            task_beats: TaskBeats::start(&runtime, silence_limit),
            runtime,
            resident,
            _tasks: tasks,
        })
    }

    /// The greeting of this rank to rank 0.
    pub fn hello(&self) -> Hello {
        self.hello.clone()
    }

    /// Its share of the node's cores.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// How often the runtime of this rank's tasks has shown progress. It stands still if all its threads hang.
    pub fn task_beats(&self) -> u64 {
        self.task_beats.number()
    }

    /// The runtime of this rank's tasks.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Handles a message of rank 0. Results come out of [`Worker::poll`].
    ///
    /// # Errors
    /// The message does not fit the worker's stage, or the system refuses a thread.
    pub fn handle(&mut self, message: ToWorker) -> Result<(), WorkerError> {
        let waits = matches!(
            message,
            ToWorker::Assign(_)
                | ToWorker::ReleasePage(..)
                | ToWorker::NoPages(_)
                | ToWorker::Recall
                | ToWorker::Finish
        );
        if let (WorkerStage::StartingUp(held), true) = (&mut self.stage, waits) {
            held.push(message);
            return Ok(());
        }
        match message {
            ToWorker::Recover { run_id, share } => self.recover(run_id, share)?,
            ToWorker::Begin { run_id } => self.start_up(run_id)?,
            ToWorker::Assign(assignment) => self.assign(assignment)?,
            ToWorker::ReleasePage(page, lease) => {
                if let Some(task) = self.under_way.remove(&(page, lease)) {
                    task.abort();
                }
            }
            ToWorker::NoPages(cause) => {
                if let WorkerStage::Reading(context) = &self.stage {
                    context.engines.values().for_each(|engine| engine.limiter.set_no_pages(cause));
                }
            }
            ToWorker::Recall => {
                if let WorkerStage::Reading(context) = &self.stage {
                    context.engines.values().for_each(|engine| engine.limiter.drain());
                    context.recall.send_replace(true);
                }
            }
            ToWorker::SwitchRole(engine) => {
                if let Some(Ready { reader, .. }) = self.switches.switch_to(engine) {
                    let _ = self.events.send(LocalEvent::EngineReady(engine, Box::new(reader.server().clone())));
                }
            }
            ToWorker::RestartServer(engine) => {
                if let WorkerStage::Reading(context) = &self.stage
                    && let Some(engine) = context.engines.get(&engine)
                    && let Some(ready) = engine.service.life().ready()
                {
                    engine.service.report_death(ready.start, ReportedDeath::FailsPages);
                }
            }
            ToWorker::Finish => self.finish()?,
            // The main thread ends. The servers were stopped in `finish`.
            ToWorker::Leave | ToWorker::Alive => {}
        }
        Ok(())
    }

    /// Waits up to `wait` for an event and gives the messages to rank 0. Verdicts that are ready together are sent
    /// together.
    ///
    /// # Errors
    /// A background job of this rank has failed: start-up, recovery or the end.
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<ToCoordinator>, WorkerError> {
        let mut messages = Vec::new();
        let (mut settled, mut returned) = (Vec::new(), Vec::new());
        let mut next = self.inbox.recv_timeout(wait).ok();
        while let Some(event) = next {
            match event {
                LocalEvent::EngineReady(engine, server) => messages.push(ToCoordinator::EngineReady(engine, server)),
                LocalEvent::EngineLost(engine, reason) => messages.push(ToCoordinator::EngineLost(engine, reason)),
                LocalEvent::Durable(settlements) => settled.extend(settlements),
                LocalEvent::Returned(page) => returned.push(page),
                LocalEvent::StoreFailed(reason, lost) => {
                    returned.extend(lost.into_iter().map(give_back));
                    messages.push(ToCoordinator::StopRequested(StopReason::Store, reason));
                }
                LocalEvent::Signal => {
                    let reason = format!("{} received a stop signal (SIGTERM or SIGINT)", self.rank);
                    messages.push(ToCoordinator::StopRequested(StopReason::Requested, reason));
                }
                LocalEvent::Recovered(recovered) => {
                    messages.extend(recovered_parts(recovered?).into_iter().map(ToCoordinator::Recovered))
                }
                LocalEvent::StartedUp(context) => self.started_up(*context?)?,
                LocalEvent::Finished(summary) => messages.push(ToCoordinator::Finished(summary?)),
            }
            next = self.inbox.try_recv().ok();
        }
        messages.extend(batches(settled).into_iter().map(ToCoordinator::Settled));
        messages.extend(batches(returned).into_iter().map(ToCoordinator::Returned));
        // Finished tasks are removed; their results have arrived as events.
        while self.pages.try_join_next().is_some() {}
        Ok(messages)
    }

    /// Seals and reads this rank's share of the files of earlier starts.
    fn recover(&self, run_id: String, share: store::UnfinishedFiles) -> Result<(), WorkerError> {
        let (events, run_directory) = (self.events.clone(), self.request.run_directory.clone());
        let wait = self.request.configuration.schedule.silence_limit;
        in_background("bocr-recover", move || {
            let recovered = store::recover(&run_directory, &share, &run_id, wait);
            let _ = events.send(LocalEvent::Recovered(recovered.map_err(WorkerError::from)));
        })
    }

    /// Reads the plan and starts the renderers and the store.
    fn start_up(&mut self, run_id: String) -> Result<(), WorkerError> {
        let WorkerStage::Waiting(engines) = std::mem::replace(&mut self.stage, WorkerStage::StartingUp(Vec::new()))
        else {
            return Err(WorkerError::TooEarly);
        };
        let start_up = StartUp {
            rank: self.rank,
            run_id,
            credits: self.hello.credits,
            program: self.request.program.clone(),
            run_directory: self.request.run_directory.clone(),
            configuration: self.request.configuration.clone(),
            cores: self.cores,
            engines,
            events: self.events.clone(),
        };
        let (events, runtime) = (self.events.clone(), self.runtime.clone());
        in_background("bocr-begin", move || {
            let context = start_up.context(&runtime);
            let _ = events.send(LocalEvent::StartedUp(context.map(Box::new)));
        })
    }

    fn started_up(&mut self, context: Context) -> Result<(), WorkerError> {
        let held = match std::mem::replace(&mut self.stage, WorkerStage::Reading(Arc::new(context))) {
            WorkerStage::StartingUp(held) => held,
            WorkerStage::Waiting(_) | WorkerStage::Reading(_) | WorkerStage::Ending => {
                return Err(WorkerError::TooEarly);
            }
        };
        if self.resident.is_some() {
            self.report_ready_servers();
        }
        held.into_iter().try_for_each(|message| self.handle(message))
    }

    /// Reports the servers that were ready before this worker took them.
    fn report_ready_servers(&self) {
        let WorkerStage::Reading(context) = &self.stage else { return };
        for (engine, entry) in &context.engines {
            if let Some(Ready { reader, .. }) = entry.service.life().ready() {
                let _ = self.events.send(LocalEvent::EngineReady(*engine, Box::new(reader.server().clone())));
            }
        }
    }

    fn assign(&mut self, assignment: Assignment) -> Result<(), WorkerError> {
        let WorkerStage::Reading(context) = &self.stage else { return Err(WorkerError::TooEarly) };
        let Assignment { unit, priors } = assignment;
        self.under_way.retain(|_, task| !task.is_finished());
        let mut priors: BTreeMap<PageRef, _> = priors.into_iter().map(|prior| (prior.page, prior)).collect();
        for page in unit.pages() {
            let task = work_on_page(Arc::clone(context), unit, page, priors.remove(&page));
            let name = &context.documents[page.document.index()].name;
            let span = tracing::info_span!("page", rank = self.rank.0, document = %name, page = page.page.number());
            let held = context.engines.get(&unit.engine).map(|engine| engine.limiter.hold(unit.trial));
            let working = async move {
                let _held = held;
                task.await;
            };
            let task = self.pages.spawn_on(working.instrument(span), &self.runtime);
            self.under_way.insert((page, unit.lease), task);
        }
        Ok(())
    }

    /// Seals the shards, stops the servers or puts them back, and sums up. Pages that are still in progress no longer belong to this rank.
    fn finish(&mut self) -> Result<(), WorkerError> {
        let WorkerStage::Reading(context) = std::mem::replace(&mut self.stage, WorkerStage::Ending) else {
            return Err(WorkerError::TooEarly);
        };
        context.engines.values().for_each(|engine| engine.limiter.drain());
        let mut pages = std::mem::take(&mut self.pages);
        // The tasks that are left hang, or have sent all their results.
        pages.abort_all();
        let (events, runtime, resident) = (self.events.clone(), self.runtime.clone(), self.resident.clone());
        in_background("bocr-finish", move || {
            runtime.block_on(async { while pages.join_next().await.is_some() {} });
            let summary = match Arc::into_inner(context) {
                None => Err(WorkerError::Busy),
                Some(context) => {
                    // The servers end meanwhile: PBS may kill this process before a large journal is sealed.
                    let mut stopping = None;
                    let summary = context.close(|services| match resident {
                        Some(resident) => resident.put_back(services),
                        None => stopping = Some(runtime.spawn(stop_all(services))),
                    });
                    // A stop that panicked has ended too.
                    let _ = stopping.map(|stopping| runtime.block_on(stopping));
                    summary
                }
            };
            let _ = events.send(LocalEvent::Finished(summary));
        })
    }
}

/// Maximum number of pages that a rank of this role holds.
fn credits(role: Role, setups: &BTreeMap<Engine, EngineSetup>) -> u32 {
    let credits = setups.values().map(|setup| setup.in_flight.credits());
    match role {
        // Such a rank holds pages of one engine at a time.
        Role::OneAtATime(_) => credits.max().unwrap_or_default(),
        Role::One(_) | Role::Together(_) => credits.sum(),
    }
}

/// The first signal asks rank 0 to stop the run; a second one ends the process.
fn listen_for_signals(runtime: &Handle, events: &Sender<LocalEvent>) -> Result<(), WorkerError> {
    use tokio::signal::unix::{SignalKind, signal};
    let _guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).map_err(WorkerError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(WorkerError::Runtime)?;
    let events = events.clone();
    runtime.spawn(async move {
        for signals in 1.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if signals > 1 {
                ExitCode::StoppedEarly.exit();
            }
            let _ = events.send(LocalEvent::Signal);
        }
    });
    Ok(())
}

/// Starts the servers of a rank, unless they are resident and run. Engines that rest come first: a server that an
/// earlier attempt left of them must release the GPU before the others start.
fn start_engines(
    runtime: &Handle,
    setups: BTreeMap<Engine, EngineSetup>,
    rank_plan: &RankPlan<'_>,
    events: &Sender<LocalEvent>,
    resident: Option<&ResidentServers>,
) -> Result<(BTreeMap<Engine, RankEngine>, RoleSwitches), WorkerError> {
    let _guard = runtime.enter();
    let mut running = resident.map(|servers| servers.take(events)).unwrap_or_default();
    // A server that the last run gave up is started again.
    running.retain(|_, service| !service.life().is_lost());
    let mut engines = BTreeMap::new();
    let mut switches = RoleSwitches::default();
    let (first, resting): (Vec<_>, Vec<_>) =
        setups.into_iter().partition(|(engine, _)| rank_plan.role.first().contains(*engine));
    let resting = resting.into_iter().map(|setup| (setup, DesiredState::Rest));
    for ((engine, setup), desired_state) in resting.chain(first.into_iter().map(|setup| (setup, DesiredState::Serve))) {
        let started = match (running.remove(&engine), resident) {
            (Some(service), _) => RankEngine::with_server(engine, setup, rank_plan, service),
            (None, Some(resident)) => {
                RankEngine::start(engine, setup, desired_state, rank_plan, resident.on_event(engine))?
            }
            (None, None) => {
                let events = events.clone();
                let on_event = move |event| drop(events.send(LocalEvent::of_service(engine, event)));
                RankEngine::start(engine, setup, desired_state, rank_plan, on_event)?
            }
        };
        if matches!(rank_plan.role, Role::OneAtATime(_)) {
            switches.add(engine, &started.service);
        }
        engines.insert(engine, started);
    }
    // The last run may have left another engine at work.
    if let (Some(_), Some(first)) = (resident, rank_plan.role.first().iter().next()) {
        switches.switch_to(first);
    }
    Ok((engines, switches))
}

/// The runtime of a rank's tasks. The end of the process does not wait for a thread that hangs on a file system.
struct Tasks(Option<Runtime>);

impl Drop for Tasks {
    fn drop(&mut self) {
        /// Longest wait for tasks that are about to end.
        const WAIT: Duration = Duration::from_secs(2);
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(WAIT);
        }
    }
}

/// Runs work that waits for disks, children or servers on its own thread. The main thread must keep sending signs of
/// life.
fn in_background(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), WorkerError> {
    let named = std::thread::Builder::new().name(name.into());
    named.spawn(work).map(drop).map_err(|source: io::Error| WorkerError::Runtime(source))
}
