//! From the frozen plan to a rank that can read pages.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
};

use tokio::{runtime::Handle, sync::watch};

use crate::{
    corpus::{self, Originals},
    model::{Document, Engine, RankId, configuration::Configuration, error::chain},
    server::Service,
    store::{Provenance, StoreEvent, Writer},
};

use super::{
    context::{Context, LocalEvent, RankEngine},
    error::RunError,
    image_memory::ImageMemory,
    pacing::Pacer,
    planned::{PlannedEngine, cores_of, renderer_pool},
};

/// What a rank begins with.
pub(super) struct Beginning {
    pub(super) rank: RankId,
    pub(super) run_id: String,
    /// Most pages that it will hold.
    pub(super) credits: u32,
    pub(super) program: PathBuf,
    pub(super) run_directory: PathBuf,
    pub(super) configuration: Configuration,
    pub(super) planned: BTreeMap<Engine, PlannedEngine>,
    pub(super) services: BTreeMap<Engine, Service>,
    pub(super) pacers: BTreeMap<Engine, Pacer>,
    pub(super) events: Sender<LocalEvent>,
}

impl Beginning {
    /// Reads the plan, starts renderers and the store. Waits for them: not for a main thread.
    pub(super) fn context(self, runtime: &Handle) -> Result<Context, RunError> {
        let plan = corpus::read(&self.run_directory)?.ok_or_else(|| RunError::NoPlan(self.run_directory.clone()))?;
        let originals = Arc::new(Originals::new(plan));
        let documents: Arc<[Document]> = Arc::clone(originals.documents());
        let cores = cores_of(&self.planned);
        let renderers = runtime.block_on(renderer_pool(&self.program, &self.configuration, cores))?;
        let provenance = Provenance {
            run_id: self.run_id,
            configuration_toml: self.configuration.to_toml().map_err(RunError::Configuration)?,
            program_version: env!("CARGO_PKG_VERSION").into(),
        };
        let store_failed = Arc::new(AtomicBool::new(false));
        let (events, failed) = (self.events.clone(), Arc::clone(&store_failed));
        let on_event = move |event| match event {
            StoreEvent::Durable(records) => drop(events.send(LocalEvent::Durable(records))),
            StoreEvent::Sealed(sealed) => {
                let shard = sealed.shard.map(|shard| shard.display().to_string());
                tracing::info!(shard, "sealed a journal");
            }
            StoreEvent::Failed(error) => {
                failed.store(true, Ordering::SeqCst);
                let _ = events.send(LocalEvent::StoreFailed(chain(&error)));
            }
        };
        let mut store = self.configuration.store.clone();
        // A page is held until its record is on the disk: a rank that holds few would wait for a group to fill.
        store.sync_records = NonZeroU32::new(self.credits / 4).unwrap_or(NonZeroU32::MIN).min(store.sync_records);
        let writer =
            Writer::start(&self.run_directory, self.rank, &store, provenance, Arc::clone(&documents), on_event)?;
        let (mut services, mut pacers) = (self.services, self.pacers);
        let engines = self.planned.into_iter().filter_map(|(engine, planned)| {
            let (service, pacer) = (services.remove(&engine)?, pacers.remove(&engine)?);
            Some((engine, RankEngine { profile: planned.profile, service, pacer }))
        });
        Ok(Context {
            rank: self.rank,
            image_memory: ImageMemory::new(self.configuration.imaging.in_flight),
            run_directory: self.run_directory,
            documents,
            originals,
            renderers,
            engines: engines.collect(),
            writer,
            events: self.events,
            recall: watch::channel(false).0,
            unsynced: Mutex::default(),
            store_failed,
            summary: Mutex::default(),
            configuration: self.configuration,
        })
    }
}
