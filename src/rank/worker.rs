//! Every rank's side of the run: pages come in, records go to the disk, verdicts go out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{Semaphore, SemaphorePermit, watch},
    task::JoinSet,
};
use tracing::Instrument;

use crate::{
    comm::{Assignment, Hello, LocalPosition, ToCoordinator, ToWorker},
    corpus,
    engine::Profile,
    imaging::{Pool, PoolSettings, find_library},
    model::{
        Attempt, AttemptOutcome, Document, Engine, EngineSet, LeaseId, MachineFault, PageRecord, PageRef, RankId,
        StopReason, Verdict, configuration::Configuration,
    },
    report::RankSummary,
    schedule::Settlement,
    server::{Service, ServiceEvent, ServicePlan, Share, gpu_of},
    store::{Durable, Provenance, StoreEvent, Writer},
};

use super::{
    image_memory::ImageMemory,
    page::PageTask,
    run::{RunError, RunRequest},
};

/// What happens inside a rank, told to its main thread.
#[derive(Debug)]
pub(super) enum LocalEvent {
    EngineReady(Engine),
    EngineLost(Engine, String),
    Durable(Vec<Durable>),
    StoreFailed(String),
    Returned(PageRef, LeaseId, MachineFault),
    /// SIGTERM or SIGINT.
    Signal,
}

/// What the tasks of a rank's pages share.
pub(super) struct Context {
    pub(super) rank: RankId,
    pub(super) configuration: Configuration,
    pub(super) documents: Arc<[Document]>,
    pub(super) renderers: Pool,
    pub(super) image_memory: ImageMemory,
    engines: BTreeMap<Engine, RankEngine>,
    writer: Writer,
    events: Sender<LocalEvent>,
    /// Set to call all unsettled pages back.
    recall: watch::Sender<bool>,
    /// Attempts of failed pages, until their records are on the disk and they can be told.
    failed_attempts: Mutex<BTreeMap<(PageRef, LeaseId), Vec<Attempt>>>,
    summary: Mutex<RankSummary>,
}

struct RankEngine {
    profile: Arc<Profile>,
    service: Service,
    slots: Semaphore,
}

/// An engine as configured for this rank.
struct PlannedEngine {
    profile: Arc<Profile>,
    in_flight: u32,
    share: Share,
}

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
            planned: planned_engines(request, local)?,
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
                    settled.extend(records.into_iter().map(|record| self.settlement(record)))
                }
                LocalEvent::Returned(page, lease, fault) => returned.push((page, lease, fault)),
                LocalEvent::StoreFailed(reason) => {
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
        if !settled.is_empty() {
            messages.push(ToCoordinator::Settled(settled));
        }
        if !returned.is_empty() {
            messages.push(ToCoordinator::Returned(returned));
        }
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
                    std::process::exit(130);
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
                logs: self.run_directory.join("logs"),
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
        let events = self.events.clone();
        let on_event = move |event| match event {
            StoreEvent::Durable(records) => drop(events.send(LocalEvent::Durable(records))),
            StoreEvent::Sealed(sealed) => tracing::info!(shard = ?sealed.shard, "sealed a journal"),
            StoreEvent::Failed(error) => drop(events.send(LocalEvent::StoreFailed(error.to_string()))),
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
            failed_attempts: Mutex::default(),
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
            let task = PageTask { context: Arc::clone(context), unit, page, prior };
            let name = &context.documents[page.document.index()].name;
            let span = tracing::info_span!("page", rank = self.rank.0, document = %name, page = page.page.number());
            self.pages.spawn_on(work(task).instrument(span), self.runtime.handle());
        }
        Ok(())
    }

    fn settlement(&self, record: Durable) -> Settlement {
        let Durable { page, lease, verdict } = record;
        let attempts = self.context.as_ref().and_then(|context| lock(&context.failed_attempts).remove(&(page, lease)));
        Settlement { page, lease, verdict, attempts: attempts.unwrap_or_default() }
    }

    /// Seals what is left, stops the servers and sums up. No page is under way any more.
    fn finish(&mut self) -> Result<RankSummary, RunError> {
        let Some(context) = self.context.take() else {
            self.stop_services();
            return Ok(RankSummary::default());
        };
        self.runtime.block_on(async { while self.pages.join_next().await.is_some() {} });
        let context = Arc::into_inner(context).ok_or(RunError::Busy)?;
        let mut summary = context.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.services = context.engines.into_iter().map(|(engine, entry)| (engine, entry.service)).collect();
        self.stop_services();
        let written = context.writer.finish()?;
        summary.pages = written.pages;
        summary.shards = written.shards as u32;
        Ok(summary)
    }

    fn stop_services(&mut self) {
        let services = std::mem::take(&mut self.services);
        self.runtime.block_on(futures_util::future::join_all(services.into_values().map(Service::stop)));
    }
}

impl Context {
    pub(super) fn profile(&self, engine: Engine) -> &Profile {
        &self.engines[&engine].profile
    }

    pub(super) fn service(&self, engine: Engine) -> Result<&Service, MachineFault> {
        self.engines.get(&engine).map(|entry| &entry.service).ok_or(MachineFault::ConnectionLost)
    }

    /// A place among the requests in flight on the engine's server.
    pub(super) async fn slot(&self, engine: Engine) -> Result<SemaphorePermit<'_>, MachineFault> {
        self.engines[&engine].slots.acquire().await.map_err(|_| MachineFault::Draining)
    }

    /// Gives the record to the store; the verdict is told once it is on the disk.
    fn keep(&self, record: PageRecord) {
        self.count(&record);
        let key = (record.page, record.lease);
        if let Verdict::Failed(_) = record.verdict {
            let without_answer = |attempt: &Attempt| Attempt { answer: String::new(), ..attempt.clone() };
            lock(&self.failed_attempts).insert(key, record.attempts.iter().map(without_answer).collect());
        }
        // The store blocks for seconds while it seals.
        let kept = tokio::task::block_in_place(|| self.writer.append(record));
        if let Err(error) = kept {
            lock(&self.failed_attempts).remove(&key);
            let _ = self.events.send(LocalEvent::StoreFailed(error.to_string()));
            let _ = self.events.send(LocalEvent::Returned(key.0, key.1, MachineFault::Draining));
        }
    }

    fn count(&self, record: &PageRecord) {
        let mut summary = lock(&self.summary);
        if let Some(image) = &record.image {
            summary.rendering += Duration::from_micros(u64::from(image.render_micros));
            summary.encoding += Duration::from_micros(u64::from(image.encode_micros));
        }
        for attempt in record.attempts.iter().filter(|attempt| attempt.rank == self.rank) {
            let totals = summary.tokens.entry(attempt.served_by.engine).or_default();
            totals.attempts += 1;
            totals.prompt += u64::from(attempt.tokens.prompt);
            match attempt.outcome {
                AttemptOutcome::Accepted | AttemptOutcome::Blank => {
                    totals.accepted += u64::from(attempt.tokens.completion)
                }
                AttemptOutcome::Failed(_) | AttemptOutcome::Interrupted(_) => {
                    totals.wasted += u64::from(attempt.tokens.completion);
                }
            }
            if !summary.served_by.contains(&attempt.served_by) {
                summary.served_by.push(attempt.served_by.clone());
            }
        }
    }
}

/// A page until it is settled, given back, or called back.
async fn work(task: PageTask) {
    let mut recall = task.context.recall.subscribe();
    let result = tokio::select! {
        result = task.settle() => result,
        _ = recall.wait_for(|recalled| *recalled) => Err(MachineFault::Draining),
    };
    match result {
        Ok(record) => {
            if let Verdict::Failed(class) = record.verdict {
                tracing::warn!(%class, "the page failed: {}", record.reason);
            }
            task.context.keep(record);
        }
        Err(fault) => {
            let _ = task.context.events.send(LocalEvent::Returned(task.page, task.unit.lease, fault));
        }
    }
}

/// The engines of this rank's role, with their profiles and their share of the node.
fn planned_engines(request: &RunRequest, local: LocalPosition) -> Result<BTreeMap<Engine, PlannedEngine>, RunError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let configuration = &request.configuration;
    let roles = configuration.roles.at(local.rank as usize);
    let share = Share {
        program: request.program.clone(),
        cores: (cores / local.size as usize).max(1),
        gpu: gpu_of(local.rank, std::env::var_os("CUDA_VISIBLE_DEVICES")),
    };
    let plan = |engine| {
        let settings = configuration.engines.of(engine);
        let profile = Profile::load(configuration.engines.profile(engine), settings.prompt_file.as_deref())?;
        if profile.engine != engine {
            return Err(RunError::ProfileOfOtherEngine { profile: profile.name, engine });
        }
        let in_flight = match (settings.in_flight, settings.server.is_tesseract()) {
            (Some(number), _) => number.get(),
            // Reading with Tesseract saturates its cores; one more is prepared meanwhile.
            (None, true) => share.cores as u32 + 1,
            (None, false) => profile.in_flight,
        };
        Ok((engine, PlannedEngine { profile: Arc::new(profile), in_flight, share: share.clone() }))
    };
    roles.iter().map(plan).collect()
}

/// The renderer children of a rank.
pub(super) async fn renderer_pool(program: &Path, configuration: &Configuration) -> Result<Pool, RunError> {
    let imaging = &configuration.imaging;
    let settings = PoolSettings {
        program: program.to_owned(),
        pdfium: find_library(configuration.pdfium.as_deref())?,
        children: imaging.children,
        page_limit: imaging.page_limit,
        child_memory: imaging.child_memory.as_u64(),
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    };
    Ok(Pool::start(settings).await?)
}

/// A panic aborts the process, so a lock is never seen poisoned.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
