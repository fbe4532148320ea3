//! `bocr simulate`: what a run on a described cluster will take.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, bail};

use crate::{
    estimate::calibrate,
    model::{Engine, RoleNames},
    pbs::Walltime,
    simulate::{Description, ForecastError, Loss, forecast, picture},
    sys::{ExitCode, replace, write_stderr, write_stdout},
};

/// Simulates a run with the scheduler and the retry policy of a run, on a cluster that a file, a finished run or these
/// options describe. Nothing is read but those, and nothing is written but the picture.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Description of the cluster (TOML); without it, one rank with an H200
    #[arg(value_name = "CLUSTER")]
    cluster: Option<PathBuf>,
    /// Run directory of a finished run: its servers, pages, failures and settings are the defaults
    #[arg(long, value_name = "RUNDIR", conflicts_with = "cluster")]
    like: Option<PathBuf>,
    /// Number of ranks
    #[arg(long, value_name = "N")]
    ranks: Option<NonZeroU32>,
    /// Which rank serves which engines, as for bocr run
    #[arg(long, value_name = "PATTERN")]
    roles: Option<RoleNames>,
    /// Number of pages
    #[arg(long, value_name = "N")]
    pages: Option<NonZeroU32>,
    /// Pages in flight on a server of the first engine
    #[arg(long, value_name = "N")]
    in_flight: Option<NonZeroU32>,
    /// Pages that a server of the first engine reads in a second, with all of them in flight
    #[arg(long, value_name = "RATE")]
    pages_per_second: Option<f64>,
    /// Share of pages whose first attempt on the first engine fails, and share of the further attempts on them that do
    #[arg(long, value_name = "FIRST[:AGAIN]")]
    failures: Option<Shares>,
    /// Seconds from the start of the run until a server is ready
    #[arg(long, value_name = "SECONDS")]
    start: Option<f64>,
    /// Share of slow ranks, and how many times as long a page takes there
    #[arg(long, value_name = "SHARE:FACTOR")]
    slow: Option<Pair>,
    /// A rank that is lost, and after how many seconds; may be given several times
    #[arg(long, value_name = "RANK:SECONDS")]
    lose: Vec<Pair>,
    /// Walltime of a job
    #[arg(long, value_name = "HH:MM:SS")]
    walltime: Option<Walltime>,
    /// Number of jobs; each continues the one before
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroU32>,
    /// Seed of all random numbers
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the description (TOML) instead, to be changed and simulated
    #[arg(long, conflicts_with = "json")]
    describe: bool,
    /// Print the result as JSON, times in seconds
    #[arg(long)]
    json: bool,
    /// Write a picture (SVG): what ranks do over time, and the pages per second
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
}

/// Two numbers.
#[derive(Debug, Clone, Copy)]
struct Pair(f64, f64);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is no number"));
        let (first, second) = text.split_once(':').ok_or("write two numbers with a colon between them, as 0.02:3")?;
        Ok(Pair(number(first)?, number(second)?))
    }
}

/// A share of first attempts, and one of further attempts.
#[derive(Debug, Clone, Copy)]
struct Shares(f64, Option<f64>);

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let only = || text.parse().map_err(|_| format!("`{text}` is no number"));
        if text.contains(':') {
            text.parse().map(|Pair(first, again)| Shares(first, Some(again)))
        } else {
            Ok(Shares(only()?, None))
        }
    }
}

/// Runs the subcommand: 0, or 2 for a wrong description.
///
/// # Errors
/// A file cannot be read or written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wrong_usage = |error: anyhow::Error| {
        write_stderr(&format!("bocr: {error:#}\n"));
        Ok(ExitCode::WrongUsage)
    };
    let description = match described(arguments) {
        Ok(description) => description,
        Err(error) => return wrong_usage(error),
    };
    if arguments.describe {
        write_stdout(&toml::to_string_pretty(&description)?)?;
        return Ok(ExitCode::Success);
    }
    let forecast = match forecast(&description, arguments.timeline.is_some()) {
        Ok(forecast) => forecast,
        Err(error @ ForecastError::Description(_)) => return wrong_usage(error.into()),
        Err(error) => return Err(error.into()),
    };
    if let Some(path) = &arguments.timeline {
        replace(path, picture(&forecast).as_bytes())
            .with_context(|| format!("cannot write the picture {}", path.display()))?;
    }
    write_stdout(&if arguments.json { serde_json::to_string_pretty(&forecast)? + "\n" } else { forecast.to_string() })?;
    Ok(ExitCode::Success)
}

/// The description: options take precedence over the file or the finished run.
fn described(arguments: &Arguments) -> anyhow::Result<Description> {
    let mut description = match (&arguments.cluster, &arguments.like) {
        (Some(path), _) => read(path)?,
        (None, Some(run_directory)) => calibrate(run_directory)?,
        (None, None) => Description::default(),
    };
    fn set<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    set(&mut description.ranks, arguments.ranks.map(NonZeroU32::get));
    set(&mut description.pages, arguments.pages.map(NonZeroU32::get));
    set(&mut description.jobs, arguments.jobs.map(NonZeroU32::get));
    set(&mut description.seed, arguments.seed);
    if let Some(roles) = &arguments.roles {
        description.roles = Some(roles.clone());
    }
    if let Some(walltime) = arguments.walltime {
        description.walltime = Some(walltime.duration().as_secs_f64());
    }
    if let Some(Pair(share, factor)) = arguments.slow {
        (description.slow_ranks, description.slow_factor) = (share, factor);
    }
    let loss = |Pair(rank, at): &Pair| Loss { rank: *rank as u32, at: *at };
    description.losses.extend(arguments.lose.iter().map(loss));
    let (names, _) = description.roles()?;
    let mut engine = description.engine(&names, Engine::FIRST);
    set(&mut engine.in_flight, arguments.in_flight.map(NonZeroU32::get));
    if let Some(Shares(first, again)) = arguments.failures {
        engine.failures = first;
        set(&mut engine.failures_again, again);
    }
    if let Some(rate) = arguments.pages_per_second {
        if !(rate > 0.0 && rate.is_finite()) {
            bail!("--pages-per-second {rate}: write a number above 0");
        }
        engine.set_page(engine.page().times(1.0 / rate / engine.page().share(engine.in_flight)));
    }
    set(&mut engine.start, arguments.start);
    description.engines.insert(names[Engine::FIRST].clone(), engine);
    Ok(description)
}

fn read(path: &Path) -> anyhow::Result<Description> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Description::from_toml(&text).with_context(|| path.display().to_string())
}
