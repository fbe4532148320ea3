//! Which GPU the servers of a rank get.
//!
//! | what is known | rank K of the node gets |
//! |---|---|
//! | `node.gpus` | its entry K; an empty list is for servers without a GPU |
//! | `CUDA_VISIBLE_DEVICES` | its entry K: an index, or the id of a GPU or of a part of one |
//! | … with fewer entries than ranks | an entry that no other rank has: a launcher may give each rank a list of its own |
//! | neither, as many GPUs as ranks | GPU K |
//! | neither, more GPUs than ranks: another job may use some | the GPU of the server that an earlier start of the run has left for this rank, else an unused one |
//!
//! PBS without its cgroups hook says nothing about GPUs (`docs/facts/pbs.md`, "Environment of a job"). So each rank
//! locks a file for its GPU in a private folder of the node until it ends, and two runs of one user never choose the
//! same GPU. A GPU of another user shows by the memory in use. A GPU that the job or the configuration names is used
//! even if another process has it, with a warning; its lock still keeps other runs away from it.
//! another has it, with a warning, and its lock keeps others away from it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    nvidia::{self, Device},
    private_folder::{NodeFolderError, private_folder, try_lock},
};

/// Folders that all jobs of a node share, unlike a job's `TMPDIR`; the second is used where the first is not usable.
const SHARED_FOLDERS: [&str; 2] = ["/dev/shm", "/tmp"];

/// How long a rank waits for a GPU that another rank has: one of an earlier start that is ending.
const PATIENCE: Duration = Duration::from_secs(10);

/// There is no GPU for a server that needs one.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// The configured list has no entry for this rank.
    #[error(
        "node.gpus lists {named} GPUs, too few for rank {local_rank} of this node (counted from 0): list one for \
         each rank"
    )]
    TooFewConfigured { named: usize, local_rank: u32 },
    /// The job has no GPU.
    #[error(
        "CUDA_VISIBLE_DEVICES is empty, so this job has no GPU: ask for GPUs (ngpus in PBS's select line), or set \
         `gpus = []` under [node] if the server needs none"
    )]
    NoneVisible,
    /// Two ranks would share a GPU of the job.
    #[error(
        "{local_size} ranks on this node, and {gpus} GPUs in CUDA_VISIBLE_DEVICES; GPU {gpu} already has a rank{by}: \
         start as many ranks on a node as it has GPUs, or list the GPUs in node.gpus, one twice if two models fit on it"
    )]
    TooFewVisible { local_size: u32, gpus: usize, gpu: String, by: String },
    /// The node has fewer GPUs than ranks.
    #[error(
        "{local_size} ranks on this node, and {gpus} GPUs: start as many ranks as GPUs, or list the GPUs in \
         node.gpus, one twice if two models fit on it"
    )]
    TooFew { local_size: u32, gpus: usize },
    /// Another run of this user has the GPU.
    #[error("GPU {gpu} of this node is in use{by}: end that run, or list your GPUs in node.gpus")]
    Taken { gpu: String, by: String },
    /// All GPUs are in use.
    #[error(
        "all of this node's {0} GPUs that are left for this run are in use: ask for GPUs (ngpus in PBS's select \
         line), or list yours in node.gpus"
    )]
    NoneFree(usize),
    /// There is no folder for the locks of GPUs.
    #[error(transparent)]
    Folder(#[from] NodeFolderError),
}

/// A GPU that this rank holds until this value and all its clones are dropped.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// Index or id, as in `CUDA_VISIBLE_DEVICES`.
    pub id: String,
    /// Whether `id` counts in the order of the PCI bus, as `nvidia-smi` does, and not in CUDA's default order, fastest
    /// first.
    pub by_bus: bool,
    _claim: Option<Arc<File>>,
}

/// What a rank knows when it chooses its GPU.
#[derive(Debug)]
pub struct GpuChoice<'a> {
    /// `node.gpus` of the configuration.
    pub configured: Option<&'a [String]>,
    /// `CUDA_VISIBLE_DEVICES` of this process.
    pub visible: Option<OsString>,
    /// The rank's place on the node, from 0.
    pub local_rank: u32,
    /// Ranks on the node.
    pub local_size: u32,
    /// Names the run in messages to other runs.
    pub run_directory: &'a Path,
}

impl GpuChoice<'_> {
    /// Chooses a GPU, and waits for a rank of an earlier start that is ending. `None` where the configuration says that
    /// servers need no GPU, or the node has none.
    ///
    /// `earlier` looks for the GPUs of servers that an earlier start of the run has left on this node; it is called
    /// only where the choice depends on them.
    ///
    /// # Errors
    /// There is no GPU for this rank, or `earlier` fails.
    pub fn choose<E: From<GpuError>>(
        &self,
        earlier: impl FnOnce() -> Result<EarlierGpus, E>,
    ) -> Result<Option<Gpu>, E> {
        let place = self.local_rank as usize;
        if let Some(named) = self.configured {
            return match named.get(place) {
                _ if named.is_empty() => Ok(None),
                Some(id) => Ok(Some(self.of_configuration(named, id, nvidia::devices, &self.claims()?)?)),
                None => Err(GpuError::TooFewConfigured { named: named.len(), local_rank: self.local_rank }.into()),
            };
        }
        let claims = self.claims()?;
        match &self.visible {
            Some(list) => Ok(Some(self.of_list(&entries(list), nvidia::devices, &claims)?)),
            None => {
                let mut devices = nvidia::devices();
                if devices.len() > self.local_size as usize {
                    nvidia::mark_computing(&mut devices);
                }
                Ok(self.of_node(&devices, &earlier()?, &claims)?)
            }
        }
    }

    fn of_configuration(
        &self,
        named: &[String],
        id: &str,
        devices: impl FnOnce() -> Vec<Device>,
        claims: &Claims,
    ) -> Result<Gpu, GpuError> {
        let gpu = |claim| Gpu { id: id.to_owned(), by_bus: false, _claim: claim };
        if named.iter().filter(|other| *other == id).count() > 1 {
            // Ranks of this run share the GPU, as configured.
            return Ok(gpu(None));
        }
        match claims.take(claimed_as(id, &devices()), Duration::ZERO)? {
            Ok(claim) => Ok(gpu(Some(Arc::new(claim)))),
            Err(by) => {
                tracing::warn!("GPU {id} of node.gpus seems to be in use{by}; using it all the same");
                Ok(gpu(None))
            }
        }
    }

    fn of_list(
        &self,
        list: &[String],
        devices: impl FnOnce() -> Vec<Device>,
        claims: &Claims,
    ) -> Result<Gpu, GpuError> {
        let place = self.local_rank as usize;
        let Some(id) = list.get(place % list.len().max(1)) else { return Err(GpuError::NoneVisible) };
        let own_lists = list.len() < self.local_size as usize;
        let devices = devices();
        let claim = match claims.take(claimed_as(id, &devices), if own_lists { PATIENCE } else { Duration::ZERO })? {
            Ok(claim) => Some(Arc::new(claim)),
            Err(by) if own_lists => {
                let (local_size, gpus, gpu) = (self.local_size, list.len(), id.clone());
                return Err(GpuError::TooFewVisible { local_size, gpus, gpu, by });
            }
            Err(by) => {
                // The job was given this GPU. The lock may belong to another GPU: in another container the index means
                // another one.
                tracing::warn!("GPU {id} of CUDA_VISIBLE_DEVICES seems to be in use{by}; using it all the same");
                None
            }
        };
        // PBS's cgroups hook sets ids. Most versions of vLLM read them as numbers and crash (vLLM issues 13815, 41848).
        let device = devices.iter().find(|device| device.uuid.as_ref() == Some(id));
        let (id, by_bus) = device.map_or((id.clone(), false), |device| (device.index.to_string(), true));
        Ok(Gpu { id, by_bus, _claim: claim })
    }

    fn of_node(&self, devices: &[Device], earlier: &EarlierGpus, claims: &Claims) -> Result<Option<Gpu>, GpuError> {
        let (gpus, ranks) = (devices.len(), self.local_size as usize);
        if devices.is_empty() {
            tracing::warn!("found no GPU on this node: the server starts without one");
            return Ok(None);
        }
        if gpus < ranks {
            return Err(GpuError::TooFew { local_size: self.local_size, gpus });
        }
        let take = |device: &Device, patience| {
            let id = device.index.to_string();
            let claimed = claims.take(device.uuid.as_deref().unwrap_or(&id), patience)?;
            Ok::<_, GpuError>(match claimed {
                Ok(claim) => Ok(Gpu { id, by_bus: true, _claim: Some(Arc::new(claim)) }),
                Err(by) => Err(GpuError::Taken { gpu: id, by }),
            })
        };
        if let (true, Some(device)) = (gpus == ranks, devices.get(self.local_rank as usize)) {
            return take(device, PATIENCE)?.map(Some);
        }
        let is = |device: &&Device, id: &String| device.index.to_string() == *id;
        if let Some(device) = earlier.own.as_ref().and_then(|own| devices.iter().find(|device| is(device, own)))
            && let Ok(gpu) = take(device, PATIENCE)?
        {
            return Ok(Some(gpu));
        }
        for device in devices.iter().filter(|device| !device.used && !earlier.others.iter().any(|id| is(device, id))) {
            if let Ok(gpu) = take(device, Duration::ZERO)? {
                return Ok(Some(gpu));
            }
        }
        Err(GpuError::NoneFree(gpus))
    }

    fn claims(&self) -> Result<Claims, GpuError> {
        Ok(Claims::of_this_user(self)?)
    }
}

/// The name of a GPU's lock: its UUID where `nvidia-smi` tells it, however the job or the configuration names the GPU.
/// On a node of unlike GPUs CUDA may count in another order; then the lock is that of another GPU.
fn claimed_as<'a>(id: &'a str, devices: &'a [Device]) -> &'a str {
    let device = devices.iter().find(|device| device.index.to_string() == id);
    device.and_then(|device| device.uuid.as_deref()).unwrap_or(id)
}

/// GPUs of servers that an earlier start of the run has left on this node, as in `CUDA_VISIBLE_DEVICES`.
#[derive(Debug, Default)]
pub struct EarlierGpus {
    /// The GPU of this rank's server.
    pub own: Option<String>,
    /// The GPUs of other ranks' servers.
    pub others: Vec<String>,
}

/// The entries that CUDA would use: it stops at the first that is no device.
fn entries(list: &OsStr) -> Vec<String> {
    let list = list.to_string_lossy();
    let ids = list.split(',').map(str::trim);
    ids.take_while(|id| !id.is_empty() && *id != "-1" && *id != "NoDevFiles").map(str::to_owned).collect()
}

/// The locks of GPUs: one file for each GPU, which is never removed.
#[derive(Debug)]
struct Claims {
    folder: PathBuf,
    /// What this rank writes into a file that it locks.
    name: String,
}

impl Claims {
    fn of_this_user(choice: &GpuChoice<'_>) -> Result<Claims, NodeFolderError> {
        let [folder, other] = SHARED_FOLDERS.map(Path::new);
        let folder = private_folder(folder, "gpus").or_else(|_| private_folder(other, "gpus"))?;
        Ok(Claims::in_folder(folder, choice))
    }

    fn in_folder(folder: PathBuf, choice: &GpuChoice<'_>) -> Claims {
        let rank = choice.local_rank;
        let name =
            format!("rank {rank} of the node, process {}, {}", std::process::id(), choice.run_directory.display());
        Claims { folder, name }
    }

    /// Locks the file of a GPU; the inner error says which process has it.
    fn take(&self, gpu: &str, patience: Duration) -> Result<Result<File, String>, NodeFolderError> {
        let safe = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let path = self.folder.join(gpu.chars().map(safe).collect::<String>());
        let last = Instant::now() + patience;
        loop {
            if let Some(mut file) = try_lock(&path)? {
                // The name is only for the message of another process, so an error does not matter.
                let _ =
                    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(self.name.as_bytes()));
                return Ok(Ok(file));
            }
            if Instant::now() >= last {
                let by = std::fs::read_to_string(&path).unwrap_or_default();
                return Ok(Err(if by.is_empty() { by } else { format!(" (by {by})") }));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A node with a folder of locks for itself.
    struct Node {
        folder: TempDir,
        devices: Vec<Device>,
    }

    impl Node {
        /// With GPUs 0, 1, …, of which these are used.
        fn new(gpus: u32, used: &[u32]) -> Node {
            let device = |index| Device { index, uuid: Some(format!("GPU-{index}")), used: used.contains(&index) };
            Node { folder: tempfile::tempdir().unwrap(), devices: (0..gpus).map(device).collect() }
        }

        fn on<R>(&self, local_rank: u32, local_size: u32, ask: impl FnOnce(&GpuChoice<'_>, &Claims) -> R) -> R {
            let run_directory = Path::new("/run");
            let choice = GpuChoice { configured: None, visible: None, local_rank, local_size, run_directory };
            ask(&choice, &Claims::in_folder(self.folder.path().to_owned(), &choice))
        }

        fn chosen(&self, local_rank: u32, local_size: u32, earlier: &EarlierGpus) -> Result<Option<Gpu>, GpuError> {
            self.on(local_rank, local_size, |choice, claims| choice.of_node(&self.devices, earlier, claims))
        }

        fn listed(&self, local_rank: u32, local_size: u32, list: &str) -> Result<Gpu, GpuError> {
            let devices = || self.devices.clone();
            self.on(local_rank, local_size, |choice, claims| choice.of_list(&entries(list.as_ref()), devices, claims))
        }
    }

    #[test]
    fn however_a_gpu_is_named_two_runs_do_not_take_it_both() {
        let node = Node::new(3, &[]);
        let listed = node.listed(0, 1, "0").unwrap();
        let configured = ["1".to_owned()];
        let devices = || node.devices.clone();
        let named = node.on(0, 1, |choice, claims| choice.of_configuration(&configured, "1", devices, claims)).unwrap();
        let free = node.chosen(0, 1, &EarlierGpus::default());
        assert_eq!([listed.id.as_str(), &named.id, id(&free)], ["0", "1", "2"]);
        let again = node.on(0, 1, |choice, claims| choice.of_configuration(&configured, "1", devices, claims)).unwrap();
        assert_eq!(again.id, "1", "what the configuration names is only warned of");
    }

    fn id(gpu: &Result<Option<Gpu>, GpuError>) -> &str {
        &gpu.as_ref().unwrap().as_ref().unwrap().id
    }

    #[test]
    fn configured_gpus_win_and_must_be_enough() {
        let choose = |named: &[&str], local_rank| {
            let named: Vec<String> = named.iter().map(|id| (*id).to_owned()).collect();
            let (configured, visible) = (Some(named.as_slice()), Some("7,8".into()));
            GpuChoice { configured, visible, local_rank, local_size: 2, run_directory: Path::new("/run") }
                .choose(|| Ok::<_, GpuError>(EarlierGpus::default()))
        };
        assert_eq!(id(&choose(&["GPU-a", "GPU-a"], 1)), "GPU-a");
        assert!(matches!(choose(&["0"], 1), Err(GpuError::TooFewConfigured { named: 1, local_rank: 1 })));
        assert!(choose(&[], 1).unwrap().is_none(), "a server without a GPU");
    }

    #[test]
    fn entries_of_the_jobs_list_are_opaque_but_for_ids_that_vllm_does_not_take() {
        let node = Node::new(2, &[]);
        let listed = |list| node.listed(1, 2, list).map(|gpu| (gpu.id, gpu.by_bus)).unwrap();
        assert_eq!(listed("4, 5"), ("5".into(), false));
        assert_eq!(listed("MIG-aa,MIG-bb"), ("MIG-bb".into(), false));
        assert_eq!(listed("GPU-0,GPU-1"), ("1".into(), true));
        assert_eq!(listed("GPU-aa,GPU-bb"), ("GPU-bb".into(), false));
        for empty in ["", "-1", " ", "NoDevFiles"] {
            assert!(matches!(node.listed(0, 1, empty), Err(GpuError::NoneVisible)), "{empty}");
        }
    }

    #[test]
    fn a_list_shorter_than_the_ranks_serves_those_that_have_one_of_their_own() {
        let node = Node::new(0, &[]);
        let (first, second) = (node.listed(0, 2, "0").unwrap(), node.listed(1, 2, "1").unwrap());
        assert_eq!((first.id.as_str(), second.id.as_str()), ("0", "1"));
        drop(second);
        let error = node.on(1, 2, |_, claims| claims.take("0", Duration::ZERO)).unwrap().unwrap_err();
        assert!(error.contains("rank 0 of the node") && error.contains("/run"), "{error}");
    }

    #[test]
    fn a_node_with_as_many_gpus_as_ranks_is_this_runs() {
        let node = Node::new(2, &[0, 1]);
        let gpus = [0, 1].map(|rank| node.chosen(rank, 2, &EarlierGpus::default()));
        assert_eq!([id(&gpus[0]), id(&gpus[1])], ["0", "1"]);
        assert!(matches!(node.chosen(0, 3, &EarlierGpus::default()), Err(GpuError::TooFew { local_size: 3, gpus: 2 })));
        assert!(Node::new(0, &[]).chosen(0, 1, &EarlierGpus::default()).unwrap().is_none());
    }

    #[test]
    fn where_other_jobs_may_be_a_rank_takes_what_nobody_uses() {
        let node = Node::new(6, &[0, 4]);
        let earlier = EarlierGpus { own: None, others: vec!["1".into()] };
        let (first, second) = (node.chosen(0, 2, &earlier), node.chosen(0, 2, &earlier));
        assert_eq!([id(&first), id(&second)], ["2", "3"], "0 is another user's, a server waits on 1");
        let third = node.chosen(1, 2, &earlier);
        assert_eq!(id(&third), "5");
        assert!(matches!(node.chosen(1, 2, &earlier), Err(GpuError::NoneFree(6))));
    }

    #[test]
    fn a_rank_finds_the_gpu_of_the_server_that_lingers_for_it() {
        let node = Node::new(4, &[3]);
        let earlier = EarlierGpus { own: Some("3".into()), others: vec!["0".into()] };
        assert_eq!(id(&node.chosen(1, 2, &earlier)), "3", "it is its own server that uses it");
    }
}
