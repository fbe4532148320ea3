//! A running engine of this rank: its profile, its server, and the limit on the requests in flight.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    engine_setup::EngineSetup,
    error::WorkerError,
    limiter::Limiter,
    server_monitor::{Pacing, ServerMonitor},
    slots::Slot,
};
use crate::{
    concurrency::{Length, PageLengths},
    engine::Profile,
    model::{Engine, MachineFault, RankId, Role, configuration::Configuration},
    server::{DesiredState, GpuPermits, MemoryShare, Service, ServiceEvent, ServicePlan},
};

/// A running engine of this rank. Dropping it leaves its server to the next attempt of the run.
pub(super) struct RankEngine {
    pub(super) profile: Arc<Profile>,
    pub(super) service: Service,
    pub(super) limiter: Arc<Limiter>,
    pub(super) page_lengths: Mutex<PageLengths>,
    _monitor: ServerMonitor,
}

/// What the engines of a rank have in common.
pub(super) struct RankPlan<'a> {
    pub(super) rank: RankId,
    pub(super) local_rank: u32,
    pub(super) role: Role,
    pub(super) configuration: &'a Configuration,
    pub(super) run_directory: PathBuf,
    /// The directory that names the servers and has their logs.
    pub(super) home: PathBuf,
    /// Orphan grace: how long servers stay after this rank was killed.
    pub(super) linger: Duration,
    /// Shared by the servers of the rank.
    pub(super) gpu_permits: GpuPermits,
}

impl RankEngine {
    /// Starts the engine's server on the current runtime. `on_event` is called from its task and must not block.
    pub(super) fn start(
        engine: Engine,
        setup: EngineSetup,
        desired_state: DesiredState,
        rank_plan: &RankPlan<'_>,
        on_event: impl Fn(ServiceEvent) + Send + Sync + 'static,
    ) -> Result<RankEngine, WorkerError> {
        let engines = &rank_plan.configuration.engines;
        let plan = ServicePlan {
            rank: rank_plan.rank,
            local_rank: rank_plan.local_rank,
            engine: engines.name(engine).clone(),
            rank_engines: rank_plan.role.engines().iter().map(|engine| engines.name(engine).clone()).collect(),
            profile: Arc::clone(&setup.profile),
            memory_share: MemoryShare::new(rank_plan.role, engine, engines)?,
            gpu_permits: rank_plan.gpu_permits.clone(),
            desired_state,
            settings: engines.of(engine).clone(),
            share: setup.share.clone(),
            run_directory: rank_plan.home.clone(),
            logs: rank_plan.home.join("logs"),
            linger: rank_plan.linger,
        };
        Ok(RankEngine::with_server(engine, setup, rank_plan, Service::start(plan, on_event)))
    }

    /// The engine with a server that runs already.
    pub(super) fn with_server(
        engine: Engine,
        setup: EngineSetup,
        rank_plan: &RankPlan<'_>,
        service: Service,
    ) -> RankEngine {
        let EngineSetup { profile, in_flight, found_limits, .. } = setup;
        let name = rank_plan.configuration.engines.name(engine);
        let file = rank_plan.run_directory.join(format!("logs/pace-{:04}-{name}.jsonl", rank_plan.rank.0));
        let limiter = Arc::new(Limiter::new(in_flight));
        let pacing = Pacing { in_flight, found_limits };
        let monitor = ServerMonitor::start(&Handle::current(), Arc::clone(&limiter), pacing, service.life(), file);
        RankEngine { profile, service, limiter, page_lengths: Mutex::default(), _monitor: monitor }
    }

    /// Waits for a request slot of the engine's server, for a page of this expected length.
    ///
    /// # Errors
    /// The run ends and no more slots are given.
    pub(super) async fn slot(&self, length: Length) -> Result<Slot<'_>, MachineFault> {
        self.limiter.slots().acquire(length).await
    }
}
