//! Start-up of a rank after the plan is written, until it can read pages.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc::Sender},
};

use tokio::{runtime::Handle, sync::watch};

use crate::{
    corpus::{self, SourceIntegrity},
    model::{Document, Engine, RankId, configuration::Configuration, error::chain},
    store::{Provenance, StoreEvent, Writer},
    sys::PROGRAM_VERSION,
};

use super::{
    answered_texts::AnsweredTexts,
    context::{Context, LocalEvent},
    error::WorkerError,
    image_memory::ImageMemory,
    rank_engine::RankEngine,
    renderer_pool::renderer_pool,
};

/// What a rank needs for its start-up.
pub(super) struct StartUp {
    pub(super) rank: RankId,
    pub(super) run_id: String,
    /// Maximum number of pages that it holds.
    pub(super) credits: u32,
    pub(super) program: PathBuf,
    pub(super) run_directory: PathBuf,
    pub(super) configuration: Configuration,
    /// The rank's share of the node's cores.
    pub(super) cores: usize,
    /// Its engines. Their servers are starting or ready.
    pub(super) engines: BTreeMap<Engine, RankEngine>,
    pub(super) events: Sender<LocalEvent>,
}

impl StartUp {
    /// Reads the plan and starts the renderers and the store. It waits for them, so it must not run on the main thread.
    pub(super) fn context(self, runtime: &Handle) -> Result<Context, WorkerError> {
        let plan = corpus::read(&self.run_directory)?.ok_or_else(|| WorkerError::NoPlan(self.run_directory.clone()))?;
        let originals = Arc::new(SourceIntegrity::new(plan));
        let documents: Arc<[Document]> = Arc::clone(originals.documents());
        let renderers = runtime.block_on(renderer_pool(&self.program, &self.configuration, self.cores))?;
        let provenance = Provenance {
            run_id: self.run_id,
            configuration_toml: self.configuration.to_toml().map_err(WorkerError::Configuration)?,
            program_version: PROGRAM_VERSION.into(),
            engines: self.configuration.engines.names().clone(),
        };
        let events = self.events.clone();
        let on_event = move |event| match event {
            StoreEvent::Durable(settlements) => drop(events.send(LocalEvent::Durable(settlements))),
            StoreEvent::Sealed(sealed) => {
                let shard = sealed.shard.map(|shard| shard.display().to_string());
                tracing::info!(shard, "sealed a journal");
            }
            StoreEvent::Failed(error, lost) => drop(events.send(LocalEvent::StoreFailed(chain(&error), lost))),
        };
        let mut store = self.configuration.store.clone();
        // A page is held until its record is on disk. A rank that holds few pages would wait until a group of records
        // is full.
        store.sync_records = NonZeroU32::new(self.credits / 4).unwrap_or(NonZeroU32::MIN).min(store.sync_records);
        let writer =
            Writer::start(&self.run_directory, self.rank, &store, provenance, Arc::clone(&documents), on_event)?;
        Ok(Context {
            rank: self.rank,
            image_memory: ImageMemory::new(self.configuration.imaging.in_flight),
            run_directory: self.run_directory,
            documents,
            originals,
            renderers,
            engines: self.engines,
            writer,
            events: self.events,
            recall: watch::channel(false).0,
            summary: Mutex::default(),
            answered_texts: AnsweredTexts::default(),
            configuration: self.configuration,
        })
    }
}
