//! The engines that this rank serves, from the configuration and the rank's position.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    comm::LocalPosition,
    concurrency::Bounds,
    engine::{EngineError, Profile},
    model::{
        Engine, EngineName, RankId, Role,
        configuration::{Configuration, EngineSettings, ServerSource},
    },
    node::{Gpu, GpuChoice, NodePreparation, Place, gpu_kinds, option_value},
    server::{ServerFolder, Share},
};

use super::{
    cores,
    error::WorkerError,
    found_limits::{FoundLimits, ServerLikeness, cache_folder},
    limiter::InFlight,
    request::WorkerRequest,
};

/// An engine as configured for this rank.
#[derive(Debug)]
pub(super) struct EngineSetup {
    pub(super) profile: Arc<Profile>,
    pub(super) in_flight: InFlight,
    /// Where the best number of requests in flight is kept, if it is searched.
    pub(super) found_limits: Option<FoundLimits>,
    pub(super) share: Share,
}

/// The engines of this rank's role, with their profiles and their share of the node.
pub(super) fn set_up_engines(
    request: &WorkerRequest,
    rank: RankId,
    role: Role,
    local: LocalPosition,
) -> Result<BTreeMap<Engine, EngineSetup>, WorkerError> {
    let configuration = &request.configuration;
    let gpu = gpu(request, role, local)?;
    let cores = cores::of_rank(local.size);
    let place = Place { rank, local_rank: local.rank, local_size: local.size, cores, gpu };
    let set_up = |engine| {
        let settings = configuration.engines.of(engine);
        let profile = configured_profile(configuration, engine)?;
        let preparation = settings.server.is_model().then(|| {
            let model = settings.model.as_deref().unwrap_or(&profile.model);
            Arc::new(NodePreparation::new(
                configuration.engines.name(engine).clone(),
                model,
                &configuration.node,
                place.clone(),
            ))
        });
        let gpu = place.gpu.as_ref().filter(|_| preparation.is_some()).map(|gpu| gpu.id.clone());
        let share = Share { program: request.program.clone(), cores, gpu, preparation };
        let (in_flight, found_limits) = match (settings.in_flight, settings.server.is_tesseract()) {
            (Some(number), _) => (InFlight::Fixed(number.get()), None),
            // A request to Tesseract uses all cores of its server; one more page is prepared meanwhile.
            (None, true) => (InFlight::Fixed(cores as u32 + 1), None),
            (None, false) => {
                let server = likeness(&profile, settings)?;
                let limits = FoundLimits::new(server, rank, &request.home, cache_folder());
                let bounds = bounds(&profile, &settings.server);
                (searched(configuration.engines.name(engine), bounds, limits.earlier()), Some(limits))
            }
        };
        Ok((engine, EngineSetup { profile: Arc::new(profile), in_flight, found_limits, share }))
    };
    role.engines().iter().map(set_up).collect()
}

/// The cores of the rank with these engines.
pub(super) fn cores_of(setups: &BTreeMap<Engine, EngineSetup>) -> usize {
    setups.values().next().map_or(1, |setup| setup.share.cores)
}

/// The GPU of the rank, if the rank launches the server of a model.
fn gpu(request: &WorkerRequest, role: Role, local: LocalPosition) -> Result<Option<Gpu>, WorkerError> {
    let configuration = &request.configuration;
    if !role.engines().iter().any(|engine| configuration.engines.of(engine).server.is_model()) {
        return Ok(None);
    }
    let choice = GpuChoice {
        configured: configuration.node.gpus.as_deref(),
        visible: std::env::var_os("CUDA_VISIBLE_DEVICES"),
        local_rank: local.rank,
        local_size: local.size,
        run_directory: &request.home,
    };
    choice.choose(|| {
        let folder = ServerFolder::of(&request.home, configuration.engines.name(Engine::FIRST), local.rank)?;
        Ok(folder.earlier_gpus(local.rank))
    })
}

/// The profile of an engine, with the changes of the configuration.
///
/// # Errors
/// The profile or its prompt file cannot be used.
pub(crate) fn configured_profile(configuration: &Configuration, engine: Engine) -> Result<Profile, EngineError> {
    let prompt_file = configuration.engines.of(engine).prompt_file.as_deref();
    let mut profile = Profile::load(configuration.engines.profile(engine), prompt_file)?;
    profile.layout = configuration.layout(engine, profile.layout);
    Ok(profile)
}

/// Range of the number of requests in flight. The ceiling is the number that the server runs at once: more would only
/// wait there. If the command does not say that number, the server's metrics or its throughput decide.
fn bounds(profile: &Profile, server: &ServerSource) -> Bounds {
    let ceiling = max_num_seqs(command_of(profile, server)).unwrap_or(4 * profile.in_flight);
    Bounds { start: profile.in_flight.min(ceiling), ceiling }
}

/// A search that begins with what an earlier one found, if any.
fn searched(engine: &EngineName, bounds: Bounds, found: Option<u32>) -> InFlight {
    let Some(found) = found else { return InFlight::Adaptive(bounds) };
    tracing::info!(%engine, found, "begins with the number of requests in flight that an earlier search found");
    InFlight::Found(Bounds { start: found.min(bounds.ceiling), ..bounds })
}

/// The words that start the server; none where it runs already.
fn command_of<'a>(profile: &'a Profile, server: &'a ServerSource) -> &'a [String] {
    match server {
        ServerSource::Launch { command, .. } => command.as_ref().unwrap_or(&profile.launch.command).as_slice(),
        ServerSource::StandIn { arguments, .. } => arguments.as_slice(),
        ServerSource::Url { .. } => &[],
    }
}

/// What the engine's server has in common with those for which a found number of requests in flight holds too.
fn likeness(profile: &Profile, settings: &EngineSettings) -> Result<ServerLikeness, WorkerError> {
    let text = profile.to_toml().map_err(WorkerError::Configuration)?;
    Ok(ServerLikeness {
        profile: profile.name.clone(),
        model: settings.model.as_ref().unwrap_or(&profile.model).clone(),
        gpu: if settings.server.is_model() { gpu_kinds() } else { String::new() },
        digest: ServerLikeness::digest_of(&text, command_of(profile, &settings.server)),
    })
}

/// The value of vLLM's option `--max-num-seqs`.
fn max_num_seqs(words: &[String]) -> Option<u32> {
    option_value(words, "--max-num-seqs")?.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_what_the_server_runs_at_once_where_its_command_says_so() {
        let profile = Profile::load("chandra-2", None).unwrap();
        let launch = |words: &[&str]| ServerSource::Launch {
            command: Some(words.iter().map(|word| (*word).to_owned()).collect()),
            prefix: Vec::new(),
            activate: None,
            environment: BTreeMap::new(),
        };
        let built_in =
            ServerSource::Launch { command: None, prefix: Vec::new(), activate: None, environment: BTreeMap::new() };
        let start = profile.in_flight;
        assert_eq!(bounds(&profile, &built_in), Bounds { start, ceiling: 128 });
        assert_eq!(bounds(&profile, &launch(&["vllm", "--max-num-seqs", "16"])), Bounds { start: 16, ceiling: 16 });
        assert_eq!(bounds(&profile, &launch(&["vllm", "--max-num-seqs=128"])), Bounds { start, ceiling: 128 });
        assert_eq!(bounds(&profile, &launch(&["vllm"])), Bounds { start, ceiling: 4 * start });
    }
}
