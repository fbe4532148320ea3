//! The plan of a service: what it serves, on what, and within what limits.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    engine::Profile,
    model::{EngineName, RankId, configuration::EngineSettings},
};

use super::{desired_state::DesiredState, gpu_permit::GpuPermits, launch::Share, memory_share::MemoryShare};

/// The plan of a service.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// Names the logs and stands in the records.
    pub rank: RankId,
    /// Place of the rank on its node, from 0; chooses among configured URLs.
    pub local_rank: u32,
    /// Name of the engine. It names the server's folder and logs too, and stands in the records.
    pub engine: EngineName,
    /// The engines that the rank serves: a server of another one, left by an earlier attempt, is ended.
    pub rank_engines: Vec<EngineName>,
    /// Profile of the engine that the server must serve.
    pub profile: Arc<Profile>,
    /// Share of the GPU's memory.
    pub memory_share: MemoryShare,
    /// Permit for the rank's GPU, shared by the services of the rank.
    pub gpu_permits: GpuPermits,
    /// State to begin with. Of two services that share the GPU by role switches, the one that rests is started first:
    /// what an earlier attempt left of it is off the GPU before the other starts.
    pub desired_state: DesiredState,
    /// Where the server comes from, and its limits.
    pub settings: EngineSettings,
    /// What this rank gives the server.
    pub share: Share,
    /// Names the server's folder on this node, so that the next attempt of the run finds it.
    pub run_directory: PathBuf,
    /// Folder for the server's logs, one file a start.
    pub logs: PathBuf,
    /// Orphan grace: how long a launched server outlives this rank if the rank is killed. The next attempt may take it
    /// over.
    pub linger: Duration,
}
