//! How a service is to be run.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    engine::Profile,
    model::{RankId, configuration::EngineSettings},
};

use super::{desired_state::DesiredState, gpu_permit::GpuPermits, launch::Share, memory_share::MemoryShare};

/// How a service is to be run.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// Names the logs and stands in the records.
    pub rank: RankId,
    /// Chooses among configured URLs.
    pub local_rank: u32,
    /// What the server must serve.
    pub profile: Arc<Profile>,
    /// What it may have of the GPU. A server of an engine that its rank does not serve, left there by an earlier attempt,
    /// is in the way.
    pub claim: MemoryShare,
    /// Shared by the services of the rank.
    pub admission: GpuPermits,
    /// What it begins with. Of services that take turns, the one that rests is started first, so that what an earlier
    /// attempt left of it has left the GPU before the other comes.
    pub duty: DesiredState,
    /// Where the server comes from, and its limits.
    pub settings: EngineSettings,
    /// What this rank gives to it.
    pub share: Share,
    /// Names the server's folder on this node, where the next attempt of the run finds it.
    pub run_directory: PathBuf,
    /// Folder for its logs, one a start.
    pub logs: PathBuf,
    /// How long a launched server outlives this rank where it is killed, to be taken over by the next attempt.
    pub linger: Duration,
}
