//! `results.jsonl`: the settings of an experiment, then a line for each measurement.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    error::ExperimentError,
    request::{Mode, Point, ScalingRequest},
    statistics::Sample,
};
use crate::{
    corpus::Inputs,
    model::ServerTime,
    node::gpu_kinds,
    report::{EndReport, RankFigures},
    sys::{PROGRAM_VERSION, host_name, replace},
};

/// Name of the file in the folder of the experiment.
pub const RESULTS_FILE: &str = "results.jsonl";

/// Version of the format. New fields do not change it.
const VERSION: u32 = 1;

/// Settings and place of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) version: u32,
    pub(super) program_version: String,
    /// Host of rank 0, and the kinds of its GPUs.
    pub(super) host: String,
    pub(super) gpus: String,
    /// Number of ranks of the job.
    pub(super) ranks: u32,
    /// Pages of a rank in weak scaling, and of all ranks in strong scaling.
    pub(super) pages: u32,
    pub(super) strong_pages: u32,
    pub(super) seed: u64,
    pub(super) inputs: Inputs,
    /// The configuration of the runs, as TOML.
    pub(super) configuration: String,
}

/// One run of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement {
    #[serde(flatten)]
    pub(super) point: Point,
    /// Number of the measurement of this point, from 1.
    pub(super) number: u32,
    pub(super) pages: u64,
    pub(super) failed: u64,
    /// Of the whole run, on servers that were ready: with its plan, the start of its renderers, and its sealing.
    pub(super) seconds: f64,
    /// From the moment at which rank 0 could deal the first page to the last verdict.
    pub(super) reading_seconds: f64,
    pub(super) prompt_tokens: u64,
    pub(super) generated_tokens: u64,
    /// Seconds of the servers by what they did; `outside` is the rest of all ranks' seconds.
    pub(super) server_seconds: BTreeMap<String, f64>,
    pub(super) by_rank: Vec<RankFigures>,
}

impl Measurement {
    /// The measurement of a run that has settled every page. `whole` is its duration.
    pub(super) fn of(point: Point, number: u32, report: &EndReport, whole: Duration) -> Measurement {
        let tokens =
            |count: fn(&crate::model::Spent) -> u64| report.tokens.values().map(|tokens| count(&tokens.all())).sum();
        let seconds = whole.as_secs_f64();
        let time = report.server_time.values().fold(ServerTime::default(), |mut sum, time| {
            sum += *time;
            sum
        });
        let parts = [
            ("busy", time.busy),
            ("idle_rendering", time.idle_rendering),
            ("idle_no_pages", time.idle_no_pages),
            ("starting", time.starting),
            ("down", time.down),
            ("draining", time.draining),
        ];
        let mut server_seconds: BTreeMap<String, f64> =
            parts.into_iter().map(|(name, time)| (name.to_owned(), time.as_secs_f64())).collect();
        let inside: f64 = server_seconds.values().sum();
        server_seconds.insert("outside".into(), (f64::from(point.ranks) * seconds - inside).max(0.0));
        Measurement {
            point,
            number,
            pages: report.pages,
            failed: report.failed.values().sum(),
            seconds,
            reading_seconds: report.reading_seconds.unwrap_or(seconds),
            prompt_tokens: tokens(|spent| spent.prompt),
            generated_tokens: tokens(|spent| spent.generated),
            server_seconds,
            by_rank: report.by_rank.clone(),
        }
    }

    /// Pages a second while pages were read.
    pub(super) fn rate(&self) -> f64 {
        self.pages as f64 / self.reading_seconds.max(0.001)
    }

    /// Pages a second of the whole run.
    pub(super) fn whole_rate(&self) -> f64 {
        self.pages as f64 / self.seconds.max(0.001)
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum Line {
    Experiment(Box<Setting>),
    Measurement(Box<Measurement>),
}

/// The results of an experiment, as its file has them.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    pub(super) setting: Setting,
    pub(super) measurements: Vec<Measurement>,
}

impl Results {
    /// Continues the results in the folder of the experiment, or begins with none.
    ///
    /// # Errors
    /// The file cannot be read, or is of an experiment with other settings.
    pub(super) fn open(request: &ScalingRequest, ranks: u32) -> Result<Results, ExperimentError> {
        let folder = &request.run.home;
        let path = folder.join(RESULTS_FILE);
        let file = |source| ExperimentError::File { path: path.clone(), source };
        let configuration = request.run.configuration.to_toml();
        let setting = Setting {
            version: VERSION,
            program_version: PROGRAM_VERSION.to_owned(),
            host: host_name(),
            gpus: gpu_kinds(),
            ranks,
            pages: request.pages,
            strong_pages: request.strong_pages,
            seed: request.seed,
            inputs: request.run.inputs.clone(),
            configuration: configuration.map_err(|error| file(io::Error::other(error)))?,
        };
        let mut results = Results { path: path.clone(), setting, measurements: Vec::new() };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(results),
            text => text.map_err(file)?,
        };
        for line in text.lines() {
            match serde_json::from_str(line).map_err(|error| file(error.into()))? {
                Line::Experiment(earlier) => check_same(folder, &earlier, &results.setting)?,
                Line::Measurement(measurement) => results.measurements.push(*measurement),
            }
        }
        Ok(results)
    }

    /// Adds a measurement and writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn add(&mut self, measurement: Measurement) -> Result<(), ExperimentError> {
        self.measurements.push(measurement);
        let head = Line::Experiment(Box::new(self.setting.clone()));
        let lines = self.measurements.iter().map(|one| Line::Measurement(Box::new(one.clone())));
        let write = || {
            let mut text = String::new();
            for line in [head].into_iter().chain(lines) {
                text += &serde_json::to_string(&line)?;
                text.push('\n');
            }
            replace(&self.path, text.as_bytes())
        };
        write().map_err(|source| ExperimentError::File { path: self.path.clone(), source })
    }

    /// The measurements of a point.
    pub(super) fn of(&self, point: Point) -> impl Iterator<Item = &Measurement> {
        self.measurements.iter().filter(move |one| one.point == point)
    }

    /// A quantity of all measurements of a point.
    pub(super) fn sample(&self, point: Point, value: impl Fn(&Measurement) -> f64) -> Sample {
        Sample::of(self.of(point).map(value).collect())
    }

    /// The measured points of a mode, by number of ranks.
    pub(super) fn points(&self, mode: Mode) -> Vec<Point> {
        let mut points: Vec<Point> =
            self.measurements.iter().map(|one| one.point).filter(|one| one.mode == mode).collect();
        points.sort_unstable();
        points.dedup();
        points
    }
}

/// Measurements of different settings must not be mixed.
fn check_same(folder: &Path, earlier: &Setting, now: &Setting) -> Result<(), ExperimentError> {
    let same = [
        ("version of bocr", earlier.program_version == now.program_version),
        ("--pages", earlier.pages == now.pages),
        ("--strong-pages", earlier.strong_pages == now.strong_pages),
        ("--input", earlier.inputs == now.inputs),
        ("kind of GPU", earlier.gpus == now.gpus),
        ("configuration", earlier.configuration == now.configuration),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((setting, _)) => Err(ExperimentError::OtherExperiment { folder: folder.to_owned(), setting }),
        None => Ok(()),
    }
}
