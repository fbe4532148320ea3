//! What this rank is to serve, from the configuration and its place among the ranks.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::{
    comm::LocalPosition,
    engine::Profile,
    imaging::{Pool, PoolSettings, find_library},
    model::{Engine, RankId, configuration::Configuration},
    server::{Share, gpu_of},
};

use super::{error::RunError, run::RunRequest};

/// An engine as configured for this rank.
pub(super) struct PlannedEngine {
    pub(super) profile: Arc<Profile>,
    pub(super) in_flight: u32,
    pub(super) share: Share,
}

/// The engines of this rank's role, with their profiles and their share of the node.
pub(super) fn planned_engines(
    request: &RunRequest,
    rank: RankId,
    local: LocalPosition,
) -> Result<BTreeMap<Engine, PlannedEngine>, RunError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let configuration = &request.configuration;
    if !configuration.roles.serves(Engine::Chandra) {
        return Err(RunError::NoFirstEngine(configuration.roles.to_string()));
    }
    let roles = configuration.roles.of(rank);
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
