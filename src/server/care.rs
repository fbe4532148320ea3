//! What is done on a node before a model server is launched there: it waits its turn, has its model's files on the node's
//! disk, and a place of its own for what it compiles. Servers that are not launched by us, stand-ins and those taken over
//! from an earlier start need none of it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use crate::model::{Engine, RankId, error::chain, node::NodeSettings};

use super::{
    caches::CacheFolder,
    gpu::Gpu,
    launch::Launch,
    model_files::{ModelError, folder_of},
    node_folder::expanded,
    staging::{StageError, staged},
};

/// Care for the server of an engine on a rank of this node.
#[derive(Debug)]
pub struct NodeCare {
    engine: Engine,
    local_rank: u32,
    model: String,
    stage: Option<PathBuf>,
    cache: Option<PathBuf>,
    not_before: Instant,
    environment: BTreeMap<String, String>,
    /// Kept for the servers of all starts, as is the GPU.
    cache_folder: Mutex<Option<CacheFolder>>,
    _gpu: Option<Gpu>,
}

impl NodeCare {
    /// For a server of `engine`, which serves `model`: a folder, or a name.
    pub fn new(engine: Engine, model: &str, settings: &NodeSettings, place: Place) -> NodeCare {
        let mut environment = BTreeMap::from([("OMP_NUM_THREADS".to_owned(), place.cores.to_string())]);
        if place.gpu.as_ref().is_some_and(|gpu| gpu.by_bus) {
            environment.insert("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into());
        }
        NodeCare {
            engine,
            local_rank: place.local_rank,
            model: model.to_owned(),
            stage: settings.stage.clone(),
            cache: settings.cache.clone(),
            not_before: Instant::now() + start_delay(place.rank, place.local_size, settings),
            environment,
            cache_folder: Mutex::default(),
            _gpu: place.gpu,
        }
    }

    /// The model that the server is told to serve, unless it is staged.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Makes a launch ready. What it has in its environment already is kept.
    ///
    /// # Errors
    /// A model that is to be staged is not there. That its copy fails is only warned of: the server reads the files where
    /// they are.
    pub(super) async fn prepare(&self, launch: &mut Launch) -> Result<(), ModelError> {
        let wait = self.not_before.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            tracing::info!(engine = %self.engine, ?wait, "the servers of other nodes start first");
            sleep_until(self.not_before).await;
        }
        if let Some(stage) = &self.stage {
            self.stage(stage, launch).await?;
        }
        let environment = &mut launch.environment;
        for (name, value) in &self.environment {
            environment.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (name, path) in self.cache_variables() {
            environment.entry(name.to_owned()).or_insert_with(|| path.to_string_lossy().into_owned());
        }
        Ok(())
    }

    async fn stage(&self, stage: &Path, launch: &mut Launch) -> Result<(), ModelError> {
        let variable = |name: &str| launch.environment.get(name).map(OsString::from).or_else(|| std::env::var_os(name));
        let model = self.model.clone();
        let source = folder_of(&model, revision(&launch.command), variable)?;
        let stage = match expanded(stage, |name| std::env::var_os(name)) {
            Ok(stage) => stage,
            Err(error) => {
                self.warn_of(&StageError::from(error));
                return Ok(());
            }
        };
        let cancel = CancelOnDrop(Arc::default());
        let cancelled = Arc::clone(&cancel.0);
        match spawn_blocking(move || staged(&model, &source, &stage, &cancelled)).await {
            Ok(Ok(folder)) => launch.serve_from(&folder),
            Ok(Err(error)) => self.warn_of(&error),
            Err(error) => self.warn_of(&error),
        }
        Ok(())
    }

    fn warn_of(&self, error: &dyn std::error::Error) {
        tracing::warn!(
            model = self.model,
            "THE MODEL'S FILES ARE NOT COPIED TO THIS NODE'S DISK, AND READ WHERE THEY ARE: {}",
            chain(error)
        );
    }

    fn cache_variables(&self) -> Vec<(&'static str, PathBuf)> {
        let mut folder = self.cache_folder.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.is_none() {
            let root = match &self.cache {
                None => Ok(std::env::temp_dir()),
                Some(cache) => expanded(cache, |name| std::env::var_os(name)),
            };
            match root.and_then(|root| CacheFolder::take(&root, self.engine, self.local_rank)) {
                Ok(taken) => *folder = Some(taken),
                Err(error) => {
                    tracing::warn!("the server has no folder of its own for what it compiles: {}", chain(&error));
                }
            }
        }
        folder.as_ref().map(|folder| folder.variables().into()).unwrap_or_default()
    }
}

/// Where a rank stands, and what it has.
#[derive(Debug, Clone)]
pub struct Place {
    /// The rank.
    pub rank: RankId,
    /// Its place among the ranks of its node.
    pub local_rank: u32,
    /// Ranks on the node.
    pub local_size: u32,
    /// Its cores.
    pub cores: usize,
    /// Its GPU.
    pub gpu: Option<Gpu>,
}

/// How long after its rank a server of the rank's node starts. Launchers number the ranks of a node one after the other;
/// where nodes have unlike numbers of ranks, the groups of nodes are only about as large as configured.
fn start_delay(rank: RankId, local_size: u32, settings: &NodeSettings) -> Duration {
    let node = rank.0 / local_size.max(1);
    settings.start_interval * (node / settings.starts_at_once)
}

/// The revision of the model that a vLLM command asks for.
fn revision(command: &[String]) -> &str {
    const OPTION: &str = "--revision";
    let beside = command.windows(2).find(|pair| pair[0] == OPTION).map(|pair| pair[1].as_str());
    let joined = || command.iter().find_map(|word| word.strip_prefix(OPTION)?.strip_prefix('='));
    beside.or_else(joined).unwrap_or("main")
}

/// A copy that nobody waits for any more ends.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn nodes_start_their_servers_group_by_group() {
        let settings = NodeSettings {
            starts_at_once: NonZeroU32::new(2).unwrap(),
            start_interval: Duration::from_secs(20),
            ..NodeSettings::default()
        };
        let delay = |rank, local_size| start_delay(RankId(rank), local_size, &settings).as_secs();
        assert_eq!([0, 7, 8, 15, 16, 31, 32].map(|rank| delay(rank, 8)), [0, 0, 0, 0, 20, 20, 40]);
        assert_eq!(delay(5, 1), 40);
        let default = NodeSettings::default();
        assert_eq!(start_delay(RankId(8 * 32 - 1), 8, &default), Duration::ZERO);
        assert_eq!(start_delay(RankId(8 * 32), 8, &default), Duration::from_secs(20));
    }

    #[test]
    fn the_staged_revision_is_that_of_the_command() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            revision(&words).to_owned()
        };
        assert_eq!(of(&["vllm", "serve", "m", "--revision", "5e1f"]), "5e1f");
        assert_eq!(of(&["vllm", "serve", "m", "--revision=v2"]), "v2");
        assert_eq!(of(&["vllm", "serve", "m"]), "main");
    }
}
