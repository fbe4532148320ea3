//! `bocr experiment`: experiments inside one allocation.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Parser as _, Subcommand};
use toml::Table;

use super::run;
use crate::{
    experiment::{self, CompareRequest, ExperimentError, Mode, ScalingRequest, StopRule},
    run::RunRequest,
    sys::{ExitCode, write_stderr, write_stdout},
};

/// The end of the help text.
const AFTER_HELP: &str = "\
RUNDIR is the folder of the experiment. It gets results.jsonl (settings and all measurements), tables (Markdown, CSV),
plots of a curve (SVG), and a run directory for each measurement below runs/. The same command continues after an
interruption. Exit codes: 0 done, 75 stopped early, 2 wrong usage, 1 a failure.";

/// Run experiments inside one allocation: servers start once, many runs follow
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Measure strong and weak scaling (under mpirun, with as many ranks as the largest point)
    Scaling(Box<ScalingArguments>),
    /// Compare settings over the same pages: speed, tokens, and agreement of the texts
    Compare(Box<CompareArguments>),
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
struct ScalingArguments {
    /// Numbers of ranks to measure [default: 1, 2, 4 … and all]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    ranks: Vec<NonZeroU32>,
    /// Kinds of scaling
    #[arg(long, value_enum, default_value = "both")]
    mode: ModeChoice,
    /// Pages of a rank in weak scaling
    #[arg(long, value_name = "N", default_value = "600")]
    pages: NonZeroU32,
    /// Pages of all ranks together in strong scaling [default: as --pages]
    #[arg(long, value_name = "N")]
    strong_pages: Option<NonZeroU32>,
    #[command(flatten)]
    repetition: Repetition,
    #[command(flatten)]
    run: run::Arguments,
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
struct CompareArguments {
    /// File (TOML) with a table [arms.NAME] for each arm: keys of the configuration that differ from --config there
    #[arg(long, value_name = "FILE")]
    arms: PathBuf,
    /// The arm that the others are compared with [default: the first by name]
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Pages of each measurement, in documents that are drawn at random
    #[arg(long, value_name = "N", default_value = "600")]
    pages: NonZeroU32,
    #[command(flatten)]
    repetition: Repetition,
    #[command(flatten)]
    run: run::Arguments,
}

/// How often something is measured.
#[derive(Debug, clap::Args)]
struct Repetition {
    /// Fewest measurements of each
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(2..))]
    repeats: u32,
    /// Most measurements of each
    #[arg(long, value_name = "N", default_value = "6")]
    most_repeats: NonZeroU32,
    /// It is not measured again once half of the 95 % interval of its rate is at most this share of the mean
    #[arg(long, value_name = "SHARE", default_value = "0.02")]
    precision: f64,
    /// Pages that each rank reads on new servers before they are measured
    #[arg(long, value_name = "N", default_value = "64")]
    warm_up_pages: NonZeroU32,
    /// Determines the order of the measurements
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
}

impl Repetition {
    fn rule(&self) -> StopRule {
        let most = self.most_repeats.get().max(self.repeats);
        StopRule { fewest: self.repeats, most, precision: self.precision }
    }
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ModeChoice {
    /// Each rank reads the same number of pages
    Weak,
    /// All ranks together read the same number of pages
    Strong,
    /// Both
    Both,
}

impl ModeChoice {
    fn modes(self) -> Vec<Mode> {
        match self {
            ModeChoice::Weak => vec![Mode::Weak],
            ModeChoice::Strong => vec![Mode::Strong],
            ModeChoice::Both => Mode::ALL.to_vec(),
        }
    }
}

/// Parses the arguments of `bocr experiment`; those of its runs.
///
/// # Errors
/// They are wrong.
pub(super) fn run_arguments(arguments: &[&OsStr]) -> Result<run::Arguments, String> {
    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }
    let words = [OsStr::new("bocr experiment")].into_iter().chain(arguments.iter().copied());
    let line = CommandLine::try_parse_from(words).map_err(|error| error.to_string())?;
    Ok(match line.arguments.kind {
        Kind::Scaling(scaling) => scaling.run,
        Kind::Compare(compare) => compare.run,
    })
}

/// Runs the subcommand.
///
/// # Errors
/// The path of this program or of the experiment's folder cannot be found.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (run, done) = match &arguments.kind {
        Kind::Scaling(arguments) => (&arguments.run, scaling(arguments)?),
        Kind::Compare(arguments) => (&arguments.run, compare(arguments)?),
    };
    match done {
        Err(code) => Ok(code),
        Ok(Ok(page)) => {
            // An error is ignored: the page is in the folder of the experiment.
            let _ = write_stdout(&page.unwrap_or_default());
            Ok(ExitCode::Success)
        }
        Ok(Err(error)) => {
            let code = error.exit_code();
            write_stderr(&format!("bocr: {:#}\n", anyhow::Error::from(error)));
            Ok(if run.code_in_file() && code == ExitCode::StoppedEarly { ExitCode::Success } else { code })
        }
    }
}

/// The result of an experiment on this rank, or the exit code for wrong usage, which is reported.
type Done = Result<Result<Option<String>, ExperimentError>, ExitCode>;

fn scaling(arguments: &ScalingArguments) -> anyhow::Result<Done> {
    let run = match request(&arguments.run, &Table::new())? {
        Ok(run) => run,
        Err(code) => return Ok(Err(code)),
    };
    let (pages, repetition) = (arguments.pages.get(), &arguments.repetition);
    Ok(Ok(experiment::scaling(&ScalingRequest {
        run,
        ranks: arguments.ranks.iter().map(|ranks| ranks.get()).collect(),
        modes: arguments.mode.modes(),
        pages,
        strong_pages: arguments.strong_pages.map_or(pages, NonZeroU32::get),
        rule: repetition.rule(),
        warm_up_pages: repetition.warm_up_pages.get(),
        seed: repetition.seed,
    })))
}

fn compare(arguments: &CompareArguments) -> anyhow::Result<Done> {
    let arms = match read_arms(&arguments.arms, arguments.baseline.as_deref()) {
        Ok(arms) => arms,
        Err(error) => {
            write_stderr(&format!("bocr: {error:#}\n"));
            return Ok(Err(ExitCode::WrongUsage));
        }
    };
    let mut runs = Vec::new();
    for (name, changes) in arms {
        match request(&arguments.run, &changes)? {
            Ok(run) => runs.push((name, run)),
            Err(code) => {
                write_stderr(&format!("bocr: that is arm {name} of {}\n", arguments.arms.display()));
                return Ok(Err(code));
            }
        }
    }
    let repetition = &arguments.repetition;
    Ok(Ok(experiment::compare(&CompareRequest {
        arms: runs,
        pages: arguments.pages.get(),
        rule: repetition.rule(),
        warm_up_pages: repetition.warm_up_pages.get(),
        seed: repetition.seed,
    })))
}

/// The arms of a file by name, the baseline first.
fn read_arms(path: &Path, baseline: Option<&str>) -> anyhow::Result<Vec<(String, Table)>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        arms: BTreeMap<String, Table>,
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let File { mut arms } = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    anyhow::ensure!(arms.len() > 1, "{} needs a table [arms.NAME] for each of at least two arms", path.display());
    let is_name = |name: &String| name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if let Some(name) = arms.keys().find(|name| !is_name(name) || name.starts_with('.')) {
        anyhow::bail!("the arm `{name}` of {} becomes a folder: use letters, digits, -, _ and .", path.display());
    }
    let first = baseline.map(str::to_owned).or_else(|| arms.keys().next().cloned()).unwrap_or_default();
    let Some(changes) = arms.remove(&first) else {
        anyhow::bail!(
            "--baseline {first}: {} has no such arm, but {}",
            path.display(),
            arms.into_keys().collect::<Vec<_>>().join(", ")
        );
    };
    Ok([(first, changes)].into_iter().chain(arms).collect())
}

/// The run that the arguments ask for, with these changes of its configuration.
fn request(arguments: &run::Arguments, changes: &Table) -> anyhow::Result<Result<RunRequest, ExitCode>> {
    let run = run::request(arguments, changes)?;
    if run.as_ref().is_ok_and(|run| !run.reprocess.is_empty()) {
        write_stderr("bocr: an experiment reads every page anew: leave out --retry and --redo\n");
        return Ok(Err(ExitCode::WrongUsage));
    }
    Ok(run)
}
