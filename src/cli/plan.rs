//! `bocr plan`: estimates what a run will find and cost.

use std::{
    io::{IsTerminal, stderr},
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::ProgressBar;

use crate::{
    corpus::Inputs,
    estimate::{EstimateRequest, EstimateTarget, Reserve, estimate},
    model::{
        EngineNames,
        configuration::{Configuration, ServerSource},
    },
    pbs::{JobFile, JobFileError, Walltime},
    sys::{ExitCode, write_stderr, write_stdout},
};

use super::{imaging::ImagingArguments, run::configuration_file};

/// Tells, before a job is submitted, what a run will find and cost, and what to ask PBS for. Reads no file whole and
/// writes nothing. Documents that cannot be read are listed; they are no error.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// PDF file, or folder that is searched for PDF files; may be given several times
    #[arg(short, long, value_name = "PATH")]
    input: Vec<PathBuf>,
    /// Text file with one input a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// Job file or configuration file (TOML); without it, the models' servers and profiles are assumed
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run directory: what earlier starts left there, and the free space of its file system
    #[arg(short, long, value_name = "RUNDIR")]
    output: Option<PathBuf>,
    /// Number of pages that are rendered to estimate the cost of a page
    #[arg(long, value_name = "N", default_value = "64")]
    sample: NonZeroU64,
    /// report.json of an earlier run, or its run directory; that of RUNDIR where none is given
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// GPUs of the job; the walltime is estimated for them [default: the job file's]
    #[arg(long, value_name = "N")]
    gpus: Option<NonZeroU32>,
    /// Walltime of the job; the GPUs are estimated for it [default: the job file's, else a day]
    #[arg(long, value_name = "HH:MM:SS")]
    walltime: Option<Walltime>,
    /// Seconds of the walltime reserved for an orderly end [default: 180, at most a fifth, as scripts/pbs-job reserves]
    #[arg(long, value_name = "SECONDS")]
    reserve: Option<u64>,
    /// Print all of it as JSON: times in seconds, sizes in bytes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    imaging: ImagingArguments,
}

/// Runs the subcommand: 0, or 2 for wrong usage or configuration.
///
/// # Errors
/// A failure of the machine: PDFium is missing, the renderer fails, or the run directory cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wrong_usage = |error: anyhow::Error| {
        write_stderr(&format!("bocr: {error:#}\n"));
        Ok(ExitCode::WrongUsage)
    };
    let request = match request(arguments) {
        Ok(request) => request,
        Err(error) => return wrong_usage(error),
    };
    let bar = if stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let progress = |what: &'static str| {
        bar.inc(1);
        bar.set_message(format!("{} {what}", bar.position()));
    };
    let estimated = estimate(&request, &progress);
    bar.finish_and_clear();
    match estimated {
        Ok(estimate) if arguments.json => write_stdout(&(serde_json::to_string_pretty(&estimate)? + "\n"))?,
        Ok(estimate) => write_stdout(&estimate.to_string())?,
        Err(error) if error.exit_code() == ExitCode::WrongUsage => return wrong_usage(error.into()),
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::Success)
}

/// The request: options take precedence over the job file.
fn request(arguments: &Arguments) -> anyhow::Result<EstimateRequest> {
    let (mut configuration, job) = match &arguments.config {
        Some(path) => files(path)?,
        None => (models(), None),
    };
    arguments.imaging.apply(&mut configuration);
    let given = |flags: &[PathBuf], said: fn(&JobFile) -> &Vec<PathBuf>| match &job {
        Some(job) if flags.is_empty() => said(job).clone(),
        _ => flags.to_vec(),
    };
    let select = job.as_ref().map(|job| job.select);
    // If one of the two is given as an option, the other is what to estimate; the job file then says nothing about it.
    let ask = match (arguments.gpus, arguments.walltime) {
        (None, None) => EstimateTarget {
            gpus: select.map(|select| select.nodes.saturating_mul(select.ranks)),
            walltime: job.as_ref().and_then(|job| job.walltime).map(Walltime::duration),
        },
        (gpus, walltime) => EstimateTarget { gpus, walltime: walltime.map(Walltime::duration) },
    };
    Ok(EstimateRequest {
        inputs: Inputs {
            paths: given(&arguments.input, |job| &job.input),
            lists: given(&arguments.list, |job| &job.list),
        },
        configured: arguments.config.is_some(),
        run_directory: arguments.output.clone().or_else(|| job.as_ref().map(|job| job.run.clone())),
        sample: arguments.sample.get(),
        reports: arguments.report.clone(),
        ask,
        reserve: arguments.reserve.map_or(Reserve::OfPbsJob, |kept| Reserve::Exactly(Duration::from_secs(kept))),
        configuration,
        job: select,
    })
}

/// The configuration in a file, and the job if it is a job file.
fn files(path: &Path) -> anyhow::Result<(Configuration, Option<JobFile>)> {
    match JobFile::read(path) {
        Ok(job) => Ok((job.configuration.clone(), Some(job))),
        Err(JobFileError::NoJob(_)) => Ok((configuration_file(path)?, None)),
        Err(error) => Err(error.into()),
    }
}

/// The default configuration with model servers in place of stand-ins.
fn models() -> Configuration {
    let mut configuration = Configuration::default();
    for engine in EngineNames::default().all().iter() {
        configuration.engines.of_mut(engine).server =
            ServerSource::Launch { command: None, prefix: Vec::new(), activate: None, environment: Default::default() };
    }
    configuration
}
