//! `bocr experiment`: experiments inside one allocation.

use std::{ffi::OsStr, num::NonZeroU32};

use clap::{Parser as _, Subcommand};

use super::run;
use crate::{
    experiment::{self, Mode, ScalingRequest},
    sys::{ExitCode, write_stderr, write_stdout},
};

/// The end of the help text.
const AFTER_HELP: &str = "\
RUNDIR is the folder of the experiment. It gets results.jsonl (settings and all measurements), scaling.md,
points.csv, measurements.csv, plots (SVG), and a run directory for each measurement below runs/. The same command
continues after an interruption. Exit codes: 0 done, 75 stopped early, 2 wrong usage, 1 a failure.";

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
    /// Fewest measurements of a point
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(2..))]
    repeats: u32,
    /// Most measurements of a point
    #[arg(long, value_name = "N", default_value = "6")]
    most_repeats: NonZeroU32,
    /// A point is not measured again once half of its 95 % interval is at most this share of its mean
    #[arg(long, value_name = "SHARE", default_value = "0.02")]
    precision: f64,
    /// Pages that each rank reads before the first measurement
    #[arg(long, value_name = "N", default_value = "64")]
    warm_up_pages: NonZeroU32,
    /// Determines the order of the measurements
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    #[command(flatten)]
    run: run::Arguments,
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
    let Kind::Scaling(scaling) = line.arguments.kind;
    Ok(scaling.run)
}

/// Runs the subcommand.
///
/// # Errors
/// The path of this program or of the experiment's folder cannot be found.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Kind::Scaling(arguments) = &arguments.kind;
    let run = match run::request(&arguments.run)? {
        Ok(run) => run,
        Err(code) => return Ok(code),
    };
    if !run.reprocess.is_empty() {
        write_stderr("bocr: an experiment reads every page anew: leave out --retry and --redo\n");
        return Ok(ExitCode::WrongUsage);
    }
    let pages = arguments.pages.get();
    let request = ScalingRequest {
        run,
        ranks: arguments.ranks.iter().map(|ranks| ranks.get()).collect(),
        modes: arguments.mode.modes(),
        pages,
        strong_pages: arguments.strong_pages.map_or(pages, NonZeroU32::get),
        repeats: arguments.repeats,
        most_repeats: arguments.most_repeats.get().max(arguments.repeats),
        precision: arguments.precision,
        warm_up_pages: arguments.warm_up_pages.get(),
        seed: arguments.seed,
    };
    match experiment::run(&request) {
        Ok(None) => Ok(ExitCode::Success),
        Ok(Some(page)) => {
            // An error is ignored: the page is in the folder of the experiment.
            let _ = write_stdout(&page);
            Ok(ExitCode::Success)
        }
        Err(error) => {
            let code = error.exit_code();
            write_stderr(&format!("bocr: {:#}\n", anyhow::Error::from(error)));
            Ok(if arguments.run.code_in_file() && code == ExitCode::StoppedEarly { ExitCode::Success } else { code })
        }
    }
}
