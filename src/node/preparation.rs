//! The preparation of a node before a model server is launched there: the server waits for its start time, its model's
//! files are copied to the node's disk, and it gets a folder for what it compiles. Servers of a configured URL,
//! stand-ins and servers taken over from an earlier start need no preparation. The model of an engine that serves later
//! is copied while the first engine serves (prestaging).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use crate::{
    model::{EngineName, RankId, error::chain, node::NodeSettings},
    sys::seconds_text,
};

use super::{
    caches::CacheFolder,
    command::option_value,
    gpu::Gpu,
    model_files::{ModelError, folder_of},
    private_folder::expanded,
    staging::{StageError, staged},
};
/// Preparation for the server of an engine on a rank of this node.
#[derive(Debug)]
pub struct NodePreparation {
    engine: EngineName,
    local_rank: u32,
    model: String,
    stage: Option<PathBuf>,
    cache: Option<PathBuf>,
    delay: Duration,
    /// When the first start began; the delay counts from then.
    begun: OnceLock<Instant>,
    environment: BTreeMap<String, String>,
    /// Kept, as is the GPU, for the servers of all starts.
    cache_folder: Mutex<Option<CacheFolder>>,
    _gpu: Option<Gpu>,
}

impl NodePreparation {
    /// The preparation for a server of `engine`, which serves `model`: a folder, or the name of a model.
    pub fn new(engine: EngineName, model: &str, settings: &NodeSettings, place: Place) -> NodePreparation {
        let mut environment = BTreeMap::from([("OMP_NUM_THREADS".to_owned(), place.cores.to_string())]);
        if place.gpu.as_ref().is_some_and(|gpu| gpu.by_bus) {
            environment.insert("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into());
        }
        NodePreparation {
            engine,
            local_rank: place.local_rank,
            // A path with an unknown variable is kept as it is here: the launch reports the error.
            model: expanded(Path::new(model), variable_of_process)
                .map_or_else(|_| model.to_owned(), |model| model.to_string_lossy().into_owned()),
            stage: settings.stage.clone(),
            cache: settings.cache.clone(),
            delay: start_delay(place.rank, place.local_size, settings),
            begun: OnceLock::new(),
            environment,
            cache_folder: Mutex::default(),
            _gpu: place.gpu,
        }
    }

    /// The model that the server is to serve: a path or a name. A staged copy replaces it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Marks the beginning of the first start, which may come only with a role switch. Later starts do not wait for
    /// other nodes.
    pub(crate) fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// The start time of the servers of this node; before it the servers of other nodes start.
    fn not_before(&self) -> Instant {
        *self.begun.get_or_init(Instant::now) + self.delay
    }

    /// Prepares the node for a launch of `command`, and adds to its `environment` what is not set there already. If
    /// another process is copying the model, waits for that copy up to `limit`. Returns the folder to serve the model
    /// from, where models are staged.
    ///
    /// # Errors
    /// A model that is to be staged is not found. A copy that fails is only a warning: the server then reads the files
    /// from their source.
    pub(crate) async fn prepare(
        &self,
        command: &[String],
        environment: &mut BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<Option<PathBuf>, ModelError> {
        let not_before = self.not_before();
        let wait = not_before.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            tracing::info!(
                engine = %self.engine,
                wait = %seconds_text(wait),
                "waiting: the servers of other nodes start first"
            );
            sleep_until(not_before).await;
        }
        expanded(Path::new(&self.model), variable_of_process)?;
        let folder = self.stage(command, environment, limit).await?;
        for (name, value) in &self.environment {
            environment.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (name, path) in self.cache_variables() {
            environment.entry(name.to_owned()).or_insert_with(|| path.to_string_lossy().into_owned());
        }
        Ok(folder)
    }

    /// Checks that the model exists long before the role switch to its engine, and copies it once another engine
    /// serves (`serves`). Copying it at the switch would leave the GPU idle for that time.
    pub(crate) async fn prestage(
        &self,
        command: &[String],
        environment: &BTreeMap<String, String>,
        limit: Duration,
        mut serves: watch::Receiver<bool>,
    ) {
        let (engine, model) = (&self.engine, &self.model);
        // Without staging, a model that is given by name is found by the server itself.
        if (self.stage.is_some() || Path::new(model).is_absolute())
            && let Err(error) = self.source(command, environment)
        {
            tracing::error!(
                %engine,
                model,
                "THE SERVER WILL NOT FIND ITS MODEL WHEN THE RANK SWITCHES TO IT: {}",
                chain(&error)
            );
        } else if serves.wait_for(|serves| *serves).await.is_ok() {
            let _ = self.stage(command, environment, limit).await;
        }
    }

    /// The folder of the model's files.
    fn source(&self, command: &[String], environment: &BTreeMap<String, String>) -> Result<PathBuf, ModelError> {
        let variable = |name: &str| environment.get(name).map(OsString::from).or_else(|| std::env::var_os(name));
        folder_of(&self.model, option_value(command, "--revision").unwrap_or("main"), variable)
    }

    /// The folder that the server is to read, where models are staged: the copy, or the source where copying fails.
    async fn stage(
        &self,
        command: &[String],
        environment: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<Option<PathBuf>, ModelError> {
        let Some(stage) = &self.stage else { return Ok(None) };
        let source = self.source(command, environment)?;
        let stage = match expanded(stage, variable_of_process) {
            Ok(stage) => stage,
            Err(error) => {
                self.warn_of(&StageError::from(error));
                return Ok(Some(source));
            }
        };
        let cancel = CancelOnDrop(Arc::default());
        let (cancelled, model, from) = (Arc::clone(&cancel.0), self.model.clone(), source.clone());
        match spawn_blocking(move || staged(&model, &from, &stage, limit, &cancelled)).await {
            Ok(Ok(folder)) => return Ok(Some(folder)),
            Ok(Err(error)) => self.warn_of(&error),
            Err(error) => self.warn_of(&error),
        }
        Ok(Some(source))
    }

    fn warn_of(&self, error: &dyn std::error::Error) {
        tracing::warn!(
            model = self.model,
            "THE MODEL'S FILES CANNOT BE COPIED TO THIS NODE'S DISK; THE SERVER READS THEM FROM THEIR SOURCE: {}",
            chain(error)
        );
    }

    fn cache_variables(&self) -> Vec<(&'static str, PathBuf)> {
        let mut folder = self.cache_folder.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.is_none() {
            let root = match &self.cache {
                None => Ok(std::env::temp_dir()),
                Some(cache) => expanded(cache, variable_of_process),
            };
            match root.and_then(|root| CacheFolder::take(&root, &self.engine, self.local_rank)) {
                Ok(taken) => *folder = Some(taken),
                Err(error) => {
                    tracing::warn!(
                        "cannot make a folder for what the server compiles; it uses its default: {}",
                        chain(&error)
                    );
                }
            }
        }
        folder.as_ref().map(|folder| folder.variables().into()).unwrap_or_default()
    }
}

/// The place of a rank in the run, and its resources.
#[derive(Debug, Clone)]
pub struct Place {
    /// Number of the rank.
    pub rank: RankId,
    /// Place of the rank among the ranks of its node, from 0.
    pub local_rank: u32,
    /// Ranks on the node.
    pub local_size: u32,
    /// Processor cores of the rank.
    pub cores: usize,
    /// The rank's GPU, if it has one.
    pub gpu: Option<Gpu>,
}

/// How long the servers of the rank's node wait before their first start, so that `starts_at_once` nodes start
/// together. Launchers number the ranks of a node one after the other. Where nodes have different numbers of ranks, the
/// groups of nodes have only about the configured size.
fn start_delay(rank: RankId, local_size: u32, settings: &NodeSettings) -> Duration {
    let node = rank.0 / local_size.max(1);
    settings.start_interval * (node / settings.starts_at_once)
}

fn variable_of_process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Stops the copy when the future that waits for it is dropped.
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

    fn care(model: &str) -> NodePreparation {
        let settings = NodeSettings { starts_at_once: NonZeroU32::MIN, ..NodeSettings::default() };
        let place = Place { rank: RankId(1), local_rank: 0, local_size: 1, cores: 1, gpu: None };
        NodePreparation::new("deepseek".parse().unwrap(), model, &settings, place)
    }

    #[test]
    fn the_delay_is_reckoned_from_the_first_turn() {
        let care = care("lab/model");
        let made = Instant::now();
        while Instant::now() == made {}
        care.begin();
        let first = care.not_before();
        assert!(first > made + Duration::from_secs(20));
        care.begin();
        assert_eq!(care.not_before(), first, "a start after a death does not wait");
    }

    #[test]
    fn a_models_folder_may_be_named_from_home() {
        let home = std::env::var("HOME").unwrap();
        assert_eq!(care("~/model").model(), format!("{home}/model"));
        assert_eq!(care("${HOME}/model").model(), format!("{home}/model"));
        assert_eq!(care("lab/model").model(), "lab/model");
    }
}
