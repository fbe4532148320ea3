//! Makes the estimate: surveys the inputs, renders the sample, and computes the work and the job.

use std::{
    collections::{HashMap, HashSet},
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::runtime::Runtime;

use crate::{
    corpus::{self, Plan, Survey, Surveyed, survey},
    engine::{Profile, TokenBudget},
    imaging::{Pool, PoolSettings, find_library},
    model::{
        DocumentId, Engine, EngineSet, FailureClass, PageIndex, PageRef, PixelSize, ServerKind, Verdict,
        configuration::{Configuration, ServerSource, StandInMode},
    },
    store,
};

use super::{
    Disk, Documents, Earlier, Estimate, EstimateError, EstimateRequest, JobSize, PageCost, Work,
    earlier::{of_run, read},
    notes::{assumptions, warnings},
    proposal::{Proposal, propose, select},
    request::READING_RATE,
    sample::draw,
};

/// Makes the estimate. Calls `progress` with a description after each step, for the user who waits.
///
/// # Errors
/// See [`EstimateError`]; never because of the contents of a document.
pub fn estimate(
    request: &EstimateRequest,
    progress: &(impl Fn(&'static str) + Sync),
) -> Result<Estimate, EstimateError> {
    let EstimateRequest { configuration, ask, reserve, job, .. } = request;
    let profile = profile_of(configuration)?;
    let kept = request.run_directory.as_deref().map(corpus::read).transpose()?.flatten();
    if kept.is_none() && request.inputs.paths.is_empty() && request.inputs.lists.is_empty() {
        return Err(EstimateError::NoInput);
    }
    let earlier = earlier_runs(request, &profile)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let threads = std::thread::available_parallelism()?;
    let pool = runtime.block_on(start_pool(configuration, threads))?;
    let survey = survey_inputs(request, kept.as_ref(), &pool, &runtime, threads, progress)?;
    let settled = settled(request.run_directory.as_deref(), kept.as_ref())?;
    let documents = Documents::count(&survey, &by_document(&settled));
    let left = left(&survey, &settled);
    let drawn = || progress("pages of the sample rendered");
    let (sampled, not_drawn) = runtime.block_on(draw(&pool, configuration, &profile, &left, request.sample, drawn))?;
    let page = PageCost::mean(&sampled, text_tokens(&profile), profile.max_tokens);
    let engines = &configuration.engines;
    let work = Work::of(documents.left, &page, engines.of(Engine::FIRST).attempts.get(), &earlier, engines.names());
    let reading = Duration::from_secs_f64(documents.bytes as f64 / READING_RATE);
    let size = |gpus| JobSize::of(gpus, &work, reading);
    let Proposal { size: proposed, walltime, fit } = propose(ask, &work, reading, *reserve)?;
    let table = (0..=6).filter_map(|power| NonZeroU32::new(1 << power)).map(size).collect();
    let drawing_cores = if work.first.pages > 0.0 { page.drawing / work.first.seconds_per_page } else { 0.0 };
    let run_directory = request.run_directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let run_directory = std::path::absolute(run_directory)?;
    let shard = configuration.store.shard.as_u64();
    let imaging = &configuration.imaging;
    let select = select(*job, proposed.gpus);
    let renderers = PoolSettings::children(imaging, (select.cores.get() / select.ranks) as usize).get();
    let mut estimate = Estimate {
        disk: Disk::of(documents.left, proposed.gpus, shard, earlier.stored, &run_directory),
        profile: profile.name,
        not_drawn,
        drawing_cores,
        renderers,
        reading: reading.as_secs_f64(),
        rank_memory: u64::from(renderers) * imaging.child_memory.as_u64() + imaging.in_flight.as_u64(),
        select: select.to_string(),
        table,
        proposed,
        walltime,
        fit,
        reserve: reserve.of(walltime),
        assumptions: Vec::new(),
        warnings: Vec::new(),
        documents,
        page,
        work,
        earlier,
    };
    estimate.assumptions = assumptions(&estimate);
    estimate.warnings = warnings(&estimate, request);
    Ok(estimate)
}

/// The profile of stage 1 with the changes of the configuration, as a rank uses it.
fn profile_of(configuration: &Configuration) -> Result<Profile, EstimateError> {
    let engine = Engine::FIRST;
    let prompt_file = configuration.engines.of(engine).prompt_file.as_deref();
    let mut profile = Profile::load(configuration.engines.profile(engine), prompt_file)?;
    profile.layout = configuration.layout(engine, profile.layout);
    Ok(profile)
}

/// Tokens of the prompt's text, counted as for a request.
fn text_tokens(profile: &Profile) -> u32 {
    let small = PixelSize { width: 32, height: 32 };
    TokenBudget::compute(profile, u32::MAX, small).map_or(0, |budget| budget.text)
}

fn earlier_runs(request: &EstimateRequest, profile: &Profile) -> Result<Earlier, EstimateError> {
    let wanted = match (&request.configuration.engines.of(Engine::FIRST).server, request.configured) {
        (ServerSource::Launch { .. }, true) => Some(ServerKind::Model),
        (ServerSource::StandIn { mode: StandInMode::Tesseract, .. }, true) => Some(ServerKind::StandInTesseract),
        (ServerSource::StandIn { mode: StandInMode::Synthetic, .. }, true) => Some(ServerKind::StandInSynthetic),
        (ServerSource::Url { .. }, _) | (_, false) => None,
    };
    let mut found = request.reports.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    if let (true, Some(run_directory)) = (found.is_empty(), &request.run_directory) {
        found.extend(of_run(run_directory)?);
    }
    Ok(Earlier::of(found, &profile.name, wanted))
}

async fn start_pool(configuration: &Configuration, threads: NonZeroUsize) -> Result<Pool, EstimateError> {
    let pdfium = find_library(configuration.pdfium.as_deref())?;
    let settings = PoolSettings::new(std::env::current_exe()?, pdfium, &configuration.imaging, threads.get());
    let children = u32::try_from(threads.get()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Ok(Pool::start(PoolSettings { children, ..settings }).await?)
}

fn survey_inputs(
    request: &EstimateRequest,
    kept: Option<&Plan>,
    pool: &Pool,
    runtime: &Runtime,
    threads: NonZeroUsize,
    progress: &(impl Fn(&'static str) + Sync),
) -> Result<Survey, EstimateError> {
    let inspect = |path: &Path, name: &str| {
        let pages = runtime.handle().block_on(pool.inspect(path, request.configuration.password_for(name)));
        progress("documents examined");
        Ok(pages?)
    };
    Ok(survey(kept, &request.inputs, inspect, threads)?)
}

/// Pages that earlier starts in the run directory settled. No engine reads them again.
fn settled(run_directory: Option<&Path>, kept: Option<&Plan>) -> Result<Vec<PageRef>, EstimateError> {
    let (Some(run_directory), Some(plan)) = (run_directory, kept) else { return Ok(Vec::new()) };
    let records = store::read_only_view(run_directory, &plan.documents, &plan.run_id)?;
    let open = |verdict, remaining: EngineSet| match verdict {
        Verdict::Failed(class) => matches!(class, FailureClass::Changed | FailureClass::Stuck) || !remaining.is_empty(),
        Verdict::Read | Verdict::Incomplete | Verdict::Blank => false,
    };
    let done = records.into_iter().filter(|record| !open(record.verdict, record.latest.remaining));
    Ok(done.map(|record| record.page).collect())
}

fn by_document(settled: &[PageRef]) -> HashMap<DocumentId, u64> {
    let mut pages = HashMap::new();
    for page in settled {
        *pages.entry(page.document).or_default() += 1;
    }
    pages
}

/// The pages of each document that are still to be read.
fn left<'a>(survey: &'a Survey, settled: &[PageRef]) -> Vec<(&'a Surveyed, Vec<PageIndex>)> {
    let settled: HashSet<&PageRef> = settled.iter().collect();
    let of = |document: &Surveyed| {
        let open = |page: &PageIndex| {
            document.planned.is_none_or(|document| !settled.contains(&PageRef { document, page: *page }))
        };
        (0..document.pages()).map(PageIndex).filter(open).collect()
    };
    survey.documents.iter().map(|document| (document, of(document))).collect()
}
