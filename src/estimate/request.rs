//! The whole estimate: looks, draws, reckons.

use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::{
    Disk, Documents, Earlier, EstimateError, JobSize, JobTable, PageCost, Work,
    earlier::{of_run, read},
    sample::draw,
};
use crate::{
    corpus::{self, Inputs, Plan, Survey, Surveyed, survey},
    engine::{Profile, TokenBudget},
    imaging::{Pool, PoolSettings, find_library},
    job::Select,
    model::{
        DocumentId, Engine, FailureClass, PageIndex, PageRef, PixelSize, ServerKind, Verdict,
        configuration::{Configuration, ServerSource, StandInMode},
    },
    store,
};

/// What is asked.
#[derive(Debug, Clone)]
pub struct EstimateRequest {
    /// What is to be read.
    pub inputs: Inputs,
    /// Configuration of the run.
    pub configuration: Configuration,
    /// Whether that was given; if not, servers of the models are reckoned with.
    pub configured: bool,
    /// What the job file says of the job.
    pub job: JobTable,
    /// Run directory: there already, or to be made.
    pub run_directory: Option<PathBuf>,
    /// Pages that are drawn.
    pub sample: u64,
    /// Reports of earlier runs, or their run directories.
    pub reports: Vec<PathBuf>,
    /// What is to be fitted.
    pub ask: Ask,
    /// Kept at the end of the job for ending in order.
    pub reserve: Duration,
}

/// What the job is to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// GPUs.
    pub gpus: Option<NonZeroU32>,
    /// Walltime.
    pub walltime: Option<Duration>,
}

/// How the job that is proposed stands to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// It is expected to end in time.
    Fits,
    /// It takes so many jobs, each of which continues the one before.
    Jobs(u32),
}

/// The estimate. Times are in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// What the inputs hold.
    pub documents: Documents,
    /// Profile of stage 1.
    pub profile: String,
    /// Cost of a page, from the sample.
    pub page: PageCost,
    /// Pages of the sample that could not be drawn, and why.
    pub not_drawn: Vec<String>,
    /// What there is to do.
    pub work: Work,
    /// Earlier runs.
    pub earlier: Earlier,
    /// Cores that one GPU of stage 1 keeps busy with drawing pages, on this machine's measure.
    pub drawing_cores: f64,
    /// Renderer children of a rank.
    pub renderers: u32,
    /// Seconds in which rank 0 reads all files once, before the first page.
    pub reading: f64,
    /// Most memory of a rank, its renderer children with it; the servers' is not known here.
    pub rank_memory: u64,
    /// Sizes of a job and how long they take.
    pub table: Vec<JobSize>,
    /// The one that is proposed.
    pub proposed: JobSize,
    /// Walltime of the proposed job, its reserve included.
    pub walltime: Duration,
    /// Whether that is what was asked.
    pub fit: Fit,
    /// Kept at its end.
    pub reserve: Duration,
    /// For `#PBS -l select=`.
    pub select: String,
    /// What the run directory takes.
    pub disk: Disk,
    /// What the figures rest on, a line each.
    pub assumptions: Vec<String>,
    /// What should be looked at before submitting.
    pub warnings: Vec<String>,
}

/// Bytes a second in which rank 0 reads and fingerprints all files.
const READING_RATE: f64 = 500e6;
/// Cores and memory for a GPU, where no job file says it.
const CORES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
const MEMORY: ByteSize = ByteSize::gib(180);
/// Cores of a rank that its server keeps busy: its API server, its engine and their threads.
const SERVER_CORES: f64 = 4.0;
/// Longest walltime that is proposed where none is given: a day is what queues of GPUs mostly allow.
const DAY: Duration = Duration::from_secs(86_400);
/// More GPUs are not looked for.
const MOST_GPUS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// Walltimes are asked for in steps of this.
const STEP: u64 = 300;

/// Makes the estimate; `progress` is told of what has been done, for people who wait.
///
/// # Errors
/// See [`EstimateError`]; never because of what a document holds.
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
    let survey = look(request, kept.as_ref(), &pool, &runtime, threads, progress)?;
    let settled = settled(request.run_directory.as_deref(), kept.as_ref())?;
    let documents = Documents::count(&survey, &by_document(&settled));
    let left = left(&survey, &settled);
    let drawn = || progress("pages of the sample drawn");
    let (sampled, not_drawn) = runtime.block_on(draw(&pool, configuration, &profile, &left, request.sample, drawn))?;
    let page = PageCost::mean(&sampled, text_tokens(&profile), profile.max_tokens);
    let work = Work::of(documents.left, &page, configuration.engines.chandra.attempts.get(), &earlier);
    let reading = Duration::from_secs_f64(documents.bytes as f64 / READING_RATE);
    let size = |gpus| JobSize::of(gpus, &work, reading);
    let (proposed, walltime, fit) = propose(ask, &work, reading, *reserve);
    let table = (0..=6).filter_map(|power| NonZeroU32::new(1 << power)).map(size).collect();
    let drawing_cores = if work.chandra.pages > 0.0 { page.drawing / work.chandra.seconds_per_page } else { 0.0 };
    let run_directory = request.run_directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let run_directory = std::path::absolute(run_directory)?;
    let shard = configuration.store.shard.as_u64();
    let imaging = &configuration.imaging;
    let mut estimate = Estimate {
        disk: Disk::of(documents.left, proposed.gpus, shard, earlier.stored, &run_directory),
        profile: profile.name,
        not_drawn,
        drawing_cores,
        renderers: imaging.children.get(),
        reading: reading.as_secs_f64(),
        rank_memory: u64::from(imaging.children.get()) * imaging.child_memory.as_u64() + imaging.in_flight.as_u64(),
        select: select(job, proposed.gpus).to_string(),
        table,
        proposed,
        walltime,
        fit,
        reserve: *reserve,
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

/// The profile of stage 1 with what the configuration says otherwise, as a rank has it.
fn profile_of(configuration: &Configuration) -> Result<Profile, EstimateError> {
    let engine = Engine::Chandra;
    let prompt_file = configuration.engines.of(engine).prompt_file.as_deref();
    let mut profile = Profile::load(configuration.engines.profile(engine), prompt_file)?;
    profile.layout = configuration.layout(engine, profile.layout);
    Ok(profile)
}

/// Tokens of the prompt beside an image, as a request reckons them.
fn text_tokens(profile: &Profile) -> u32 {
    let small = PixelSize { width: 32, height: 32 };
    TokenBudget::compute(profile, u32::MAX, small).map_or(0, |budget| budget.text)
}

fn earlier_runs(request: &EstimateRequest, profile: &Profile) -> Result<Earlier, EstimateError> {
    let wanted = match (&request.configuration.engines.chandra.server, request.configured) {
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
    let settings = PoolSettings::new(std::env::current_exe()?, pdfium, &configuration.imaging);
    let children = u32::try_from(threads.get()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Ok(Pool::start(PoolSettings { children, ..settings }).await?)
}

fn look(
    request: &EstimateRequest,
    kept: Option<&Plan>,
    pool: &Pool,
    runtime: &Runtime,
    threads: NonZeroUsize,
    progress: &(impl Fn(&'static str) + Sync),
) -> Result<Survey, EstimateError> {
    let inspect = |path: &Path, name: &str| {
        let pages = runtime.handle().block_on(pool.inspect(path, request.configuration.password_for(name)));
        progress("documents looked at");
        Ok(pages?)
    };
    Ok(survey(kept, &request.inputs, inspect, threads)?)
}

/// Pages that earlier starts in the run directory settled, so that no engine is asked again.
fn settled(run_directory: Option<&Path>, kept: Option<&Plan>) -> Result<Vec<PageRef>, EstimateError> {
    let (Some(run_directory), Some(plan)) = (run_directory, kept) else { return Ok(Vec::new()) };
    let records = store::peek(run_directory, &plan.documents, &plan.run_id)?;
    let open = |verdict, ahead: crate::model::EngineSet| match verdict {
        Verdict::Failed(class) => class == FailureClass::Changed || !ahead.is_empty(),
        Verdict::Read | Verdict::Blank => false,
    };
    let done = records.into_iter().filter(|record| !open(record.verdict, record.latest.ahead));
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
    let settled: std::collections::HashSet<&PageRef> = settled.iter().collect();
    let of = |document: &Surveyed| {
        let open = |page: &PageIndex| {
            document.planned.is_none_or(|document| !settled.contains(&PageRef { document, page: *page }))
        };
        (0..document.pages()).map(PageIndex).filter(open).collect()
    };
    survey.documents.iter().map(|document| (document, of(document))).collect()
}

/// The job that answers what was asked, its walltime, and whether that is enough.
fn propose(ask: &Ask, work: &Work, reading: Duration, reserve: Duration) -> (JobSize, Duration, Fit) {
    let size = |gpus| JobSize::of(gpus, work, reading);
    let worst = |size: &JobSize| rounded(Duration::from_secs_f64(size.seconds.2) + reserve);
    match (ask.gpus, ask.walltime) {
        (Some(gpus), None) => {
            let size = size(gpus);
            let walltime = worst(&size);
            (size, walltime, Fit::Fits)
        }
        (gpus, walltime) => {
            let most = walltime.unwrap_or(DAY);
            let usable = most.saturating_sub(reserve);
            let size = match gpus {
                Some(gpus) => size(gpus),
                None => JobSize::within(usable, work, reading, MOST_GPUS).unwrap_or_else(|| size(MOST_GPUS)),
            };
            let fit = fit(&size, usable);
            let asked = if walltime.is_some() { most } else { most.min(worst(&size)) };
            (size, asked, fit)
        }
    }
}

/// How many jobs of so much usable time a run takes.
fn fit(size: &JobSize, usable: Duration) -> Fit {
    let jobs = (size.seconds.1 / usable.as_secs_f64().max(1.0)).ceil().max(1.0) as u32;
    if jobs == 1 { Fit::Fits } else { Fit::Jobs(jobs) }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().div_ceil(STEP) * STEP)
}

/// Nodes of as many GPUs as the job file says, each with its share of cores and memory.
fn select(job: &JobTable, gpus: u32) -> Select {
    let of_node = job.gpus.and_then(NonZeroU32::new).or(job.ranks).unwrap_or(NonZeroU32::MIN);
    let on_each = of_node.get().min(gpus.max(1));
    let share = |value: u64| value * u64::from(on_each) / u64::from(of_node.get());
    let said = job.gpus.is_some() || job.ranks.is_some();
    let cores = job.cores.map_or(u64::from(CORES.get() * on_each), |cores| share(u64::from(cores.get())));
    let memory = if said { job.memory() } else { Some(job.memory().unwrap_or(MEMORY)) };
    let number = |value: u64| u32::try_from(value).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Select {
        nodes: number(u64::from(gpus.div_ceil(on_each))),
        cores: number(cores),
        memory: memory.map(|memory| ByteSize(share(memory.as_u64()))),
        gpus: if job.gpus == Some(0) { 0 } else { on_each },
        ranks: number(u64::from(on_each)),
    }
}

fn assumptions(estimate: &Estimate) -> Vec<String> {
    let mut lines = estimate.work.sources.clone();
    if !estimate.work.from_reports {
        lines.push(PageCost::assumption());
    }
    let (best, worst) = estimate.work.range;
    lines.push(format!("times may be {best} to {worst} times the expected ones: assumed"));
    lines.push(format!(
        "rank 0 reads all files once, for their checksums, at an assumed {:.0} MB/s, while servers start",
        READING_RATE / 1e6
    ));
    lines.push(format!("disk: {}; logs are not in it", estimate.disk.source));
    lines
}

fn warnings(estimate: &Estimate, request: &EstimateRequest) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let Estimate { earlier, disk, work, .. } = estimate;
    lines.extend(earlier.left_out.iter().map(|report| format!("not used: {report}")));
    if let Some(server) = earlier.server.filter(|server| earlier.tells() && *server != ServerKind::Model) {
        lines.push(format!("the earlier runs were read by {server} servers, not by the models: so are these times"));
    }
    let stand_in = matches!(request.configuration.engines.chandra.server, ServerSource::StandIn { .. });
    if stand_in && !earlier.tells() {
        lines.push("the configuration launches stand-ins: these are the times of the models, not theirs".into());
    }
    if work.chandra.pages > 0.0 && estimate.drawing_cores > f64::from(estimate.renderers) {
        lines.push(format!(
            "a rank's {} renderers are slower than its server reads: set imaging.children = {:.0}",
            estimate.renderers,
            (estimate.drawing_cores * 1.5).ceil()
        ));
    }
    let gpus = request.job.gpus.and_then(NonZeroU32::new).or(request.job.ranks).map_or(1, NonZeroU32::get);
    let cores = f64::from(request.job.cores.unwrap_or(CORES).get()) / f64::from(gpus);
    if estimate.drawing_cores + SERVER_CORES > cores {
        lines.push(format!(
            "{cores:.0} cores a GPU are too few: drawing takes {:.1}, a server about {SERVER_CORES:.0}",
            estimate.drawing_cores
        ));
    }
    if disk.is_short() {
        lines.push(format!("{} has too little room for the run: give another --output", disk.folder.display()));
    }
    if let Fit::Jobs(jobs) = estimate.fit {
        lines.push(format!("one job is not expected to be enough: {jobs} of them, each continues (--chain)"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn work(pages: u64) -> Work {
        let cost = PageCost { images: 1.0, prompt_tokens: 4014.0, generated_tokens: 1000.0, ..PageCost::default() };
        Work::of(pages, &cost, 1, &Earlier::default())
    }

    const RESERVE: Duration = Duration::from_secs(180);

    #[test]
    fn what_is_not_asked_is_answered() {
        let propose = |gpus, walltime: Option<u64>| {
            let ask = Ask { gpus, walltime: walltime.map(Duration::from_secs) };
            let (size, walltime, fit) = propose(&ask, &work(100_000), Duration::ZERO, RESERVE);
            (size.gpus, walltime.as_secs(), fit)
        };
        let (gpus, walltime, fit) = propose(Some(number(8)), None);
        assert_eq!((gpus, fit, walltime % STEP), (8, Fit::Fits, 0));
        assert!((12_000..15_000).contains(&walltime), "twice the expected time, as at worst: {walltime}");
        assert_eq!(propose(None, None), (1, 86_400, Fit::Fits), "one GPU is done in a day");
        let (gpus, walltime, fit) = propose(None, Some(7200));
        assert!((7..=9).contains(&gpus) && walltime == 7200 && fit == Fit::Fits, "{gpus}");
        assert_eq!(propose(Some(number(2)), Some(7200)), (2, 7200, Fit::Jobs(4)));
    }

    #[test]
    fn chunks_are_as_the_job_file_has_nodes() {
        let select = |job: &JobTable, gpus| super::select(job, gpus).to_string();
        let none = JobTable::default();
        assert_eq!(select(&none, 4), "4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1");
        let nodes = JobTable { gpus: Some(4), cores: NonZeroU32::new(96), memory: Some("400gb".into()), ..none };
        assert_eq!(select(&nodes, 9), "3:ncpus=96:mem=400gb:ngpus=4:mpiprocs=4");
        assert_eq!(select(&nodes, 2), "1:ncpus=48:mem=200gb:ngpus=2:mpiprocs=2");
        let cores =
            JobTable { gpus: Some(0), ranks: NonZeroU32::new(2), cores: NonZeroU32::new(8), ..JobTable::default() };
        assert_eq!(select(&cores, 4), "2:ncpus=8:mpiprocs=2");
    }
}
