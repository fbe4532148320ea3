//! Every rank's side of the run: pages come in, records go to the disk, verdicts go out.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
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
    comm::{Assignment, Hello, LocalPosition, ToCoordinator, ToWorker},
    model::{Engine, LeaseId, PageRef, RankId, Role, StopReason, configuration::Configuration},
    server::{Admission, Claim, Duty, Service, ServiceEvent, ServicePlan},
    store,
};

use super::{
    beginning::Beginning,
    context::{Context, LocalEvent},
    error::RunError,
    pacing::Pacer,
    page::{PageTask, work},
    planned::{PlannedEngine, cores_of, planned_engines},
    recovery::parts,
    run::RunRequest,
    settings,
    turns::TurnSwitches,
};

/// Most pages of one message: failed ones carry their attempts, and a frame has a limit.
const BATCH: usize = 256;

/// The same of pages that are given back, which may have text with them ([`super::page::LARGEST_TEXT`]).
const RETURNED_BATCH: usize = 32;

/// A rank's worker, driven by its main thread, which waits for no server, no child, and no disk but that of its log.
pub(super) struct Worker {
    rank: RankId,
    role: Role,
    local: LocalPosition,
    /// Digest of the settings, for rank 0 to compare.
    settings: String,
    program: PathBuf,
    configuration: Configuration,
    run_directory: PathBuf,
    /// How long servers outlive this rank where it is killed.
    linger: Duration,
    planned: BTreeMap<Engine, PlannedEngine>,
    services: BTreeMap<Engine, Service>,
    pacers: BTreeMap<Engine, Pacer>,
    turns: TurnSwitches,
    stage: Stage,
    pages: JoinSet<()>,
    /// Pages under way, to be let go one by one.
    under_way: BTreeMap<(PageRef, LeaseId), AbortHandle>,
    events: Sender<LocalEvent>,
    inbox: Receiver<LocalEvent>,
    runtime: Handle,
    /// Declared last: everything above may have tasks on it.
    _tasks: Tasks,
}

/// How far the worker is.
enum Stage {
    /// No plan yet.
    Waiting,
    /// The plan is read and the renderers are started; what has come meanwhile.
    Beginning(Vec<ToWorker>),
    Reading(Arc<Context>),
    /// Told to finish.
    Ending,
}

impl Worker {
    /// Starts the servers of this rank, one of `ranks`. Pages can come after [`ToWorker::Begin`].
    pub(super) fn start(
        rank: RankId,
        ranks: u32,
        local: LocalPosition,
        request: &RunRequest,
    ) -> Result<Worker, RunError> {
        let role = request.configuration.roles.of(rank, ranks);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("bocr-tasks")
            .enable_all()
            .build()
            .map_err(RunError::Runtime)?;
        let (events, inbox) = channel();
        let mut worker = Worker {
            rank,
            role,
            local,
            settings: settings::digest(&request.configuration)?,
            planned: planned_engines(request, rank, role, local)?,
            program: request.program.clone(),
            configuration: request.configuration.clone(),
            run_directory: request.run_directory.clone(),
            linger: request.linger,
            services: BTreeMap::new(),
            pacers: BTreeMap::new(),
            turns: TurnSwitches::new(events.clone()),
            stage: Stage::Waiting,
            pages: JoinSet::new(),
            under_way: BTreeMap::new(),
            events,
            inbox,
            runtime: runtime.handle().clone(),
            _tasks: Tasks(Some(runtime)),
        };
        worker.listen_for_signals()?;
        worker.start_services()?;
        Ok(worker)
    }

    /// How this rank introduces itself.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            program_version: env!("CARGO_PKG_VERSION").into(),
            settings: self.settings.clone(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            local_rank: self.local.rank,
            gpu: self.planned.values().find_map(|planned| planned.share.gpu.clone()),
            role: self.role,
            credits: self.credits(),
        }
    }

    /// Most pages that it will hold.
    fn credits(&self) -> u32 {
        let credits = self.planned.values().map(|planned| planned.in_flight.credits());
        match self.role {
            // It holds pages of one engine at a time.
            Role::InTurn => credits.max().unwrap_or_default(),
            Role::One(_) | Role::Together => credits.sum(),
        }
    }

    /// Its cores, until it reads.
    pub(super) fn cores(&self) -> usize {
        cores_of(&self.planned)
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Does what rank 0 says. What comes of it comes out of [`Worker::poll`].
    pub(super) fn handle(&mut self, message: ToWorker) -> Result<(), RunError> {
        let waits = matches!(message, ToWorker::Assign(_) | ToWorker::LetGo(..) | ToWorker::Recall | ToWorker::Finish);
        if let (Stage::Beginning(held), true) = (&mut self.stage, waits) {
            held.push(message);
            return Ok(());
        }
        match message {
            ToWorker::Recover { run_id, share } => self.recover(run_id, share)?,
            ToWorker::Begin { run_id } => self.begin(run_id)?,
            ToWorker::Assign(assignment) => self.assign(assignment)?,
            ToWorker::LetGo(page, lease) => {
                if let Some(task) = self.under_way.remove(&(page, lease)) {
                    task.abort();
                }
            }
            ToWorker::Recall => {
                if let Stage::Reading(context) = &self.stage {
                    context.engines.values().for_each(|engine| engine.pacer.drain());
                    context.recall.send_replace(true);
                }
            }
            ToWorker::Turn(engine) => self.turns.turn_to(engine),
            ToWorker::Finish => self.finish()?,
            ToWorker::Leave => self.stop_services(),
            ToWorker::Alive => {}
        }
        Ok(())
    }

    /// What happened on this rank, waiting for it up to `wait`. Verdicts of one wait travel together.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Vec<ToCoordinator>, RunError> {
        let mut messages = Vec::new();
        let (mut settled, mut returned) = (Vec::new(), Vec::new());
        let mut next = self.inbox.recv_timeout(wait).ok();
        while let Some(event) = next {
            match event {
                LocalEvent::EngineReady(engine, server) => messages.push(ToCoordinator::EngineReady(engine, server)),
                LocalEvent::EngineLost(engine, reason) => messages.push(ToCoordinator::EngineLost(engine, reason)),
                LocalEvent::Durable(records) => {
                    settled.extend(self.context().into_iter().flat_map(|context| context.settlements(&records)))
                }
                LocalEvent::Returned(page) => returned.push(page),
                LocalEvent::StoreFailed(reason) => {
                    returned.extend(self.context().into_iter().flat_map(|context| context.take_unsynced()));
                    messages.push(ToCoordinator::StopRequested(StopReason::Store, reason));
                }
                LocalEvent::Signal => {
                    let reason = format!("{} was asked to stop by a signal", self.rank);
                    messages.push(ToCoordinator::StopRequested(StopReason::Requested, reason));
                }
                LocalEvent::Recovered(recovered) => {
                    messages.extend(parts(recovered?).into_iter().map(ToCoordinator::Recovered))
                }
                LocalEvent::Begun(context) => self.begun(*context?)?,
                LocalEvent::Finished(summary) => messages.push(ToCoordinator::Finished(summary?)),
            }
            next = self.inbox.try_recv().ok();
        }
        messages.extend(settled.chunks(BATCH).map(|batch| ToCoordinator::Settled(batch.to_vec())));
        messages.extend(returned.chunks(RETURNED_BATCH).map(|batch| ToCoordinator::Returned(batch.to_vec())));
        // Finished tasks are let go; their results have come as events.
        while self.pages.try_join_next().is_some() {}
        Ok(messages)
    }

    fn context(&self) -> Option<&Arc<Context>> {
        match &self.stage {
            Stage::Reading(context) => Some(context),
            Stage::Waiting | Stage::Beginning(_) | Stage::Ending => None,
        }
    }

    /// The first signal asks rank 0 for an orderly end; a second one ends the process.
    fn listen_for_signals(&self) -> Result<(), RunError> {
        use tokio::signal::unix::{SignalKind, signal};
        let _guard = self.runtime.enter();
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Runtime)?;
        let events = self.events.clone();
        self.runtime.spawn(async move {
            for signals in 1.. {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if signals > 1 {
                    std::process::exit(75);
                }
                let _ = events.send(LocalEvent::Signal);
            }
        });
        Ok(())
    }

    /// Engines that rest first: what an earlier attempt left of them must have left the GPU before others start.
    fn start_services(&mut self) -> Result<(), RunError> {
        let _guard = self.runtime.enter();
        let role = self.role;
        let admission = Admission::default();
        let (first, resting): (Vec<_>, Vec<_>) =
            self.planned.iter().partition(|(engine, _)| role.first().contains(**engine));
        let resting = resting.into_iter().map(|planned| (planned, Duty::Rest));
        for ((engine, planned), duty) in resting.chain(first.into_iter().map(|planned| (planned, Duty::Serve))) {
            let plan = ServicePlan {
                rank: self.rank,
                local_rank: self.local.rank,
                profile: Arc::clone(&planned.profile),
                claim: Claim::new(role, *engine, &self.configuration.engines)?,
                admission: admission.clone(),
                duty,
                settings: self.configuration.engines.of(*engine).clone(),
                share: planned.share.clone(),
                run_directory: self.run_directory.clone(),
                logs: self.run_directory.join("logs"),
                linger: self.linger,
            };
            let events = self.events.clone();
            let on_event = move |event| {
                let _ = events.send(match event {
                    ServiceEvent::Ready(engine, server) => LocalEvent::EngineReady(engine, server),
                    ServiceEvent::Lost(engine, reason) => LocalEvent::EngineLost(engine, reason),
                });
            };
            let service = Service::start(plan, on_event);
            let mut pacer = Pacer::new(planned.in_flight);
            let file = self.run_directory.join("logs").join(format!("pace-{:04}-{engine}.jsonl", self.rank.0));
            pacer.watch(&self.runtime, planned.in_flight, service.life(), file);
            if role == Role::InTurn {
                self.turns.add(*engine, &service);
            }
            self.pacers.insert(*engine, pacer);
            self.services.insert(*engine, service);
        }
        Ok(())
    }

    /// Seals and reads this rank's share of what earlier starts left.
    fn recover(&self, run_id: String, share: store::Leftovers) -> Result<(), RunError> {
        let (events, run_directory) = (self.events.clone(), self.run_directory.clone());
        let wait = self.configuration.schedule.silence_limit;
        in_background("bocr-recover", move || {
            let recovered = store::recover(&run_directory, &share, &run_id, wait);
            let _ = events.send(LocalEvent::Recovered(recovered.map_err(RunError::from)));
        })
    }

    /// Reads the frozen plan and starts renderers and the store.
    fn begin(&mut self, run_id: String) -> Result<(), RunError> {
        self.stage = Stage::Beginning(Vec::new());
        let beginning = Beginning {
            rank: self.rank,
            run_id,
            credits: self.credits(),
            program: self.program.clone(),
            run_directory: self.run_directory.clone(),
            configuration: self.configuration.clone(),
            planned: std::mem::take(&mut self.planned),
            services: std::mem::take(&mut self.services),
            pacers: std::mem::take(&mut self.pacers),
            events: self.events.clone(),
        };
        let (events, runtime) = (self.events.clone(), self.runtime.clone());
        in_background("bocr-begin", move || {
            let context = beginning.context(&runtime);
            let _ = events.send(LocalEvent::Begun(context.map(Box::new)));
        })
    }

    fn begun(&mut self, context: Context) -> Result<(), RunError> {
        let held = match std::mem::replace(&mut self.stage, Stage::Reading(Arc::new(context))) {
            Stage::Beginning(held) => held,
            Stage::Waiting | Stage::Reading(_) | Stage::Ending => return Err(RunError::TooEarly),
        };
        held.into_iter().try_for_each(|message| self.handle(message))
    }

    fn assign(&mut self, assignment: Assignment) -> Result<(), RunError> {
        let Stage::Reading(context) = &self.stage else { return Err(RunError::TooEarly) };
        let Assignment { unit, priors } = assignment;
        self.under_way.retain(|_, task| !task.is_finished());
        let mut priors: BTreeMap<PageRef, _> = priors.into_iter().map(|prior| (prior.page, prior)).collect();
        for page in unit.pages() {
            let task = PageTask::new(Arc::clone(context), unit, page, priors.remove(&page));
            let name = &context.documents[page.document.index()].name;
            let span = tracing::info_span!("page", rank = self.rank.0, document = %name, page = page.page.number());
            let held = context.engines.get(&unit.engine).map(|engine| engine.pacer.hold());
            let working = async move {
                let _held = held;
                work(task).await;
            };
            let task = self.pages.spawn_on(working.instrument(span), &self.runtime);
            self.under_way.insert((page, unit.lease), task);
        }
        Ok(())
    }

    /// Seals what is left, stops the servers and sums up. Pages that are still under way are none of this rank's any more.
    fn finish(&mut self) -> Result<(), RunError> {
        let Stage::Reading(context) = std::mem::replace(&mut self.stage, Stage::Ending) else {
            return Err(RunError::TooEarly);
        };
        context.engines.values().for_each(|engine| engine.pacer.drain());
        let mut pages = std::mem::take(&mut self.pages);
        // What is left hangs, or has said all that it had to say.
        pages.abort_all();
        let (events, runtime) = (self.events.clone(), self.runtime.clone());
        in_background("bocr-finish", move || {
            runtime.block_on(async { while pages.join_next().await.is_some() {} });
            let summary = match Arc::into_inner(context) {
                None => Err(RunError::Busy),
                Some(context) => {
                    let (services, summary) = context.close();
                    runtime.block_on(stop_all(services));
                    summary
                }
            };
            let _ = events.send(LocalEvent::Finished(summary));
        })
    }

    fn stop_services(&mut self) {
        let services = std::mem::take(&mut self.services);
        self.runtime.block_on(stop_all(services));
    }
}

/// The runtime of a rank's tasks. A thread of it that reads from a file system that hangs is not waited for: the process
/// ends without it.
struct Tasks(Option<Runtime>);

impl Drop for Tasks {
    fn drop(&mut self) {
        /// Longest wait for what is about to end.
        const WAIT: Duration = Duration::from_secs(2);
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(WAIT);
        }
    }
}

async fn stop_all(services: BTreeMap<Engine, Service>) {
    futures_util::future::join_all(services.into_values().map(Service::stop)).await;
}

/// Work that waits for disks, children or servers, off the main thread, which must keep giving signs of life.
fn in_background(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    let named = std::thread::Builder::new().name(name.into());
    named.spawn(work).map(drop).map_err(|source: io::Error| RunError::Runtime(source))
}
