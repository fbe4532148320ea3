//! Every rank's side of the run: pages come in, records go to the disk, verdicts go out.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::Instrument;

use crate::{
    comm::{Assignment, Hello, LocalPosition, ToCoordinator, ToWorker},
    corpus,
    model::{
        Attempt, Document, Engine, EngineSet, PageRef, RankId, StopReason, configuration::Configuration, error::chain,
    },
    report::RankSummary,
    server::{Service, ServiceEvent, ServicePlan},
    store::{Provenance, StoreEvent, Writer},
};

use super::{
    context::{Context, LocalEvent, RankEngine},
    image_memory::ImageMemory,
    page::{PageTask, work},
    planned::{PlannedEngine, planned_engines, renderer_pool},
    run::{RunError, RunRequest},
};

/// Most pages of one message: failed ones carry their attempts, and a frame has a limit.
const BATCH: usize = 256;

/// A rank's worker, driven by its main thread.
pub(super) struct Worker {
    rank: RankId,
    local: LocalPosition,
    program: PathBuf,
    configuration: Configuration,
    run_directory: PathBuf,
    planned: BTreeMap<Engine, PlannedEngine>,
    services: BTreeMap<Engine, Service>,
    context: Option<Arc<Context>>,
    pages: JoinSet<()>,
    events: Sender<LocalEvent>,
    inbox: Receiver<LocalEvent>,
    /// Declared last: everything above may have tasks on it.
    runtime: Runtime,
}

impl Worker {
    /// Starts the servers of this rank. Pages can come after [`ToWorker::Begin`].
    pub(super) fn start(rank: RankId, local: LocalPosition, request: &RunRequest) -> Result<Worker, RunError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("bocr-tasks")
            .enable_all()
            .build()
            .map_err(RunError::Runtime)?;
        let (events, inbox) = channel();
        let mut worker = Worker {
            rank,
            local,
            planned: planned_engines(request, rank, local)?,
            program: request.program.clone(),
            configuration: request.configuration.clone(),
            run_directory: request.run_directory.clone(),
            services: BTreeMap::new(),
            context: None,
            pages: JoinSet::new(),
            events,
            inbox,
            runtime,
        };
        worker.listen_for_signals()?;
        worker.start_services();
        Ok(worker)
    }

    /// How this rank introduces itself.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            program_version: env!("CARGO_PKG_VERSION").into(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            local_rank: self.local.rank,
            gpu: self.planned.values().find_map(|planned| planned.share.gpu.clone()),
            engines: self.planned.keys().fold(EngineSet::default(), |set, engine| set.with(*engine)),
            credits: self.planned.values().map(|planned| 2 * planned.in_flight).sum(),
        }
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Does what rank 0 says; the last word of a finished run is returned.
    pub(super) fn handle(&mut self, message: ToWorker) -> Result<Option<ToCoordinator>, RunError> {
        match message {
            ToWorker::Begin { run_id } => self.begin(run_id)?,
            ToWorker::Assign(assignment) => self.assign(assignment)?,
            ToWorker::Recall => {
                if let Some(context) = &self.context {
                    context.recall.send_replace(true);
                }
            }
            ToWorker::Finish => return Ok(Some(ToCoordinator::Finished(self.finish()?))),
            ToWorker::Leave => self.stop_services(),
        }
        Ok(None)
    }

    /// What happened on this rank, waiting for it up to `wait`. Verdicts of one wait travel together.
    pub(super) fn poll(&mut self, wait: Duration) -> Vec<ToCoordinator> {
        let mut messages = Vec::new();
        let (mut settled, mut returned) = (Vec::new(), Vec::new());
        let mut next = self.inbox.recv_timeout(wait).ok();
        while let Some(event) = next {
            match event {
                LocalEvent::EngineReady(engine) => messages.push(ToCoordinator::EngineReady(engine)),
                LocalEvent::EngineLost(engine, reason) => messages.push(ToCoordinator::EngineLost(engine, reason)),
                LocalEvent::Durable(records) => {
                    settled.extend(self.context.iter().flat_map(|context| context.settlements(&records)))
                }
                LocalEvent::Returned(page) => returned.push(page),
                LocalEvent::StoreFailed(reason) => {
                    returned.extend(self.context.iter().flat_map(|context| context.take_unsynced()));
                    messages.push(ToCoordinator::StopRequested(StopReason::Store, reason));
                }
                LocalEvent::Signal if self.rank == RankId::COORDINATOR => {
                    let reason = "asked to stop by a signal".into();
                    messages.push(ToCoordinator::StopRequested(StopReason::Requested, reason));
                }
                LocalEvent::Signal => {}
            }
            next = self.inbox.try_recv().ok();
        }
        messages.extend(settled.chunks(BATCH).map(|batch| ToCoordinator::Settled(batch.to_vec())));
        messages.extend(returned.chunks(BATCH).map(|batch| ToCoordinator::Returned(batch.to_vec())));
        // Finished tasks are let go; their results have come as events.
        while self.pages.try_join_next().is_some() {}
        messages
    }

    /// The first signal asks rank 0 for a drain; a second one ends the process, and its servers with it.
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

    fn start_services(&mut self) {
        let _guard = self.runtime.enter();
        for (engine, planned) in &self.planned {
            let plan = ServicePlan {
                rank: self.rank,
                local_rank: self.local.rank,
                profile: Arc::clone(&planned.profile),
                settings: self.configuration.engines.of(*engine).clone(),
                share: planned.share.clone(),
                run_directory: self.run_directory.clone(),
                logs: self.run_directory.join("logs"),
                linger: Duration::ZERO,
            };
            let events = self.events.clone();
            let on_event = move |event| {
                let _ = events.send(match event {
                    ServiceEvent::Ready(engine) => LocalEvent::EngineReady(engine),
                    ServiceEvent::Lost(engine, reason) => LocalEvent::EngineLost(engine, reason),
                });
            };
            self.services.insert(*engine, Service::start(plan, on_event));
        }
    }

    /// Reads the frozen plan and starts renderers and the store.
    fn begin(&mut self, run_id: String) -> Result<(), RunError> {
        let plan = corpus::read(&self.run_directory)?.ok_or_else(|| RunError::NoPlan(self.run_directory.clone()))?;
        let documents: Arc<[Document]> = plan.documents.into();
        let renderers = self.runtime.block_on(renderer_pool(&self.program, &self.configuration))?;
        let provenance = Provenance {
            run_id,
            configuration_toml: self.configuration.to_toml().map_err(RunError::Configuration)?,
            program_version: env!("CARGO_PKG_VERSION").into(),
        };
        let store_failed = Arc::new(AtomicBool::new(false));
        let (events, failed) = (self.events.clone(), Arc::clone(&store_failed));
        let on_event = move |event| match event {
            StoreEvent::Durable(records) => drop(events.send(LocalEvent::Durable(records))),
            StoreEvent::Sealed(sealed) => tracing::info!(shard = ?sealed.shard, "sealed a journal"),
            StoreEvent::Failed(error) => {
                failed.store(true, Ordering::SeqCst);
                let _ = events.send(LocalEvent::StoreFailed(chain(&error)));
            }
        };
        let store = &self.configuration.store;
        let writer =
            Writer::start(&self.run_directory, self.rank, store, provenance, Arc::clone(&documents), on_event)?;
        let services = std::mem::take(&mut self.services);
        let engines = services.into_iter().filter_map(|(engine, service)| {
            let planned = self.planned.get(&engine)?;
            let slots = Semaphore::new(planned.in_flight as usize);
            Some((engine, RankEngine { profile: Arc::clone(&planned.profile), service, slots }))
        });
        self.context = Some(Arc::new(Context {
            rank: self.rank,
            image_memory: ImageMemory::new(self.configuration.imaging.in_flight),
            configuration: self.configuration.clone(),
            documents,
            renderers,
            engines: engines.collect(),
            writer,
            events: self.events.clone(),
            recall: watch::channel(false).0,
            unsynced: Mutex::default(),
            store_failed,
            summary: Mutex::default(),
        }));
        Ok(())
    }

    fn assign(&mut self, assignment: Assignment) -> Result<(), RunError> {
        let context = self.context.as_ref().ok_or(RunError::TooEarly)?;
        let Assignment { unit, priors } = assignment;
        let mut priors: BTreeMap<PageRef, Vec<Attempt>> =
            priors.into_iter().map(|prior| (prior.page, prior.attempts)).collect();
        for page in unit.pages() {
            let prior = priors.remove(&page).unwrap_or_default();
            let task = PageTask::new(Arc::clone(context), unit, page, prior);
            let name = &context.documents[page.document.index()].name;
            let span = tracing::info_span!("page", rank = self.rank.0, document = %name, page = page.page.number());
            self.pages.spawn_on(work(task).instrument(span), self.runtime.handle());
        }
        Ok(())
    }

    /// Seals what is left, stops the servers and sums up. No page is under way any more.
    fn finish(&mut self) -> Result<RankSummary, RunError> {
        let Some(context) = self.context.take() else {
            self.stop_services();
            return Ok(RankSummary::default());
        };
        self.runtime.block_on(async { while self.pages.join_next().await.is_some() {} });
        let context = Arc::into_inner(context).ok_or(RunError::Busy)?;
        let (services, summary) = context.close();
        self.services = services;
        self.stop_services();
        summary
    }

    fn stop_services(&mut self) {
        let services = std::mem::take(&mut self.services);
        self.runtime.block_on(futures_util::future::join_all(services.into_values().map(Service::stop)));
    }
}
