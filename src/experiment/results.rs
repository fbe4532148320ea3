//! `results.jsonl`: the settings of an experiment, then a line for each measurement.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    error::ExperimentError,
    request::{Mode, Point},
    statistics::Sample,
};
use crate::{
    corpus::Inputs,
    model::{ServerTime, Spent},
    node::gpu_kinds,
    report::{EndReport, RankFigures},
    run::RunRequest,
    sys::{PROGRAM_VERSION, host_name, replace},
};

/// Name of the file in the folder of the experiment.
pub(super) const RESULTS_FILE: &str = "results.jsonl";

/// Version of the format. New fields do not change it.
const VERSION: u32 = 1;

/// Kind of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Scaling,
    Compare,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Scaling => "scaling",
            Kind::Compare => "compare",
        })
    }
}

/// Settings and place of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) version: u32,
    pub(super) kind: Kind,
    pub(super) program_version: String,
    /// Host of rank 0, and the kinds of its GPUs.
    pub(super) host: String,
    pub(super) gpus: String,
    /// Number of ranks of the job.
    pub(super) ranks: u32,
    pub(super) seed: u64,
    pub(super) inputs: Inputs,
    /// Numbers of pages, by option.
    pub(super) pages: BTreeMap<String, u32>,
    /// The configurations of the runs as TOML, by arm; a scaling experiment has one without a name.
    pub(super) configurations: BTreeMap<String, String>,
}

impl Setting {
    /// The setting of an experiment with these runs, on `ranks` ranks.
    ///
    /// # Errors
    /// A configuration has no TOML form.
    pub(super) fn new<'a>(
        kind: Kind,
        ranks: u32,
        seed: u64,
        pages: &[(&str, u32)],
        runs: impl IntoIterator<Item = (&'a str, &'a RunRequest)>,
    ) -> Result<Setting, toml::ser::Error> {
        let mut inputs = Inputs::default();
        let mut configurations = BTreeMap::new();
        for (name, run) in runs {
            inputs = run.inputs.clone();
            configurations.insert(name.to_owned(), run.configuration.to_toml()?);
        }
        Ok(Setting {
            version: VERSION,
            kind,
            program_version: PROGRAM_VERSION.to_owned(),
            host: host_name(),
            gpus: gpu_kinds(),
            ranks,
            seed,
            inputs,
            pages: pages.iter().map(|(option, pages)| ((*option).to_owned(), *pages)).collect(),
            configurations,
        })
    }
}

/// One run of a subject: a point of a curve, or an arm of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement<S> {
    #[serde(flatten)]
    pub(super) subject: S,
    /// Number of the measurement of this subject, from 1.
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

impl<S> Measurement<S> {
    /// The measurement of a run that has settled every page. `whole` is its duration.
    pub(super) fn of(subject: S, number: u32, report: &EndReport, whole: Duration) -> Measurement<S> {
        let tokens = |count: fn(&Spent) -> u64| report.tokens.values().map(|tokens| count(&tokens.all())).sum();
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
        server_seconds.insert("outside".into(), (f64::from(report.ranks) * seconds - inside).max(0.0));
        Measurement {
            subject,
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

    /// Generated tokens of a page.
    pub(super) fn tokens_of_page(&self) -> f64 {
        self.generated_tokens as f64 / self.pages.max(1) as f64
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub(super) enum Line<S> {
    Experiment(Box<Setting>),
    Measurement(Box<Measurement<S>>),
}

/// The results of an experiment, as its file has them.
#[derive(Debug)]
pub(super) struct Results<S> {
    path: PathBuf,
    pub(super) setting: Setting,
    pub(super) measurements: Vec<Measurement<S>>,
}

impl<S: Clone + Ord + Serialize + DeserializeOwned> Results<S> {
    /// Continues the results in the folder of the experiment, or begins with none.
    ///
    /// # Errors
    /// The file cannot be read, or is of an experiment with other settings.
    pub(super) fn open(folder: &Path, setting: Setting) -> Result<Results<S>, ExperimentError> {
        let path = folder.join(RESULTS_FILE);
        let file = |source| ExperimentError::File { path: path.clone(), source };
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
    pub(super) fn add(&mut self, measurement: Measurement<S>) -> Result<(), ExperimentError> {
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

    /// The measurements of a subject.
    pub(super) fn of(&self, subject: &S) -> impl Iterator<Item = &Measurement<S>> {
        self.measurements.iter().filter(move |one| one.subject == *subject)
    }

    /// A quantity of all measurements of a subject.
    pub(super) fn sample(&self, subject: &S, value: impl Fn(&Measurement<S>) -> f64) -> Sample {
        Sample::of(self.of(subject).map(value).collect())
    }
}

impl Results<Point> {
    /// The measured points of a mode, by number of ranks.
    pub(super) fn points(&self, mode: Mode) -> Vec<Point> {
        let all = self.measurements.iter().map(|one| one.subject);
        let mut points: Vec<Point> = all.filter(|point| point.mode == mode).collect();
        points.sort_unstable();
        points.dedup();
        points
    }
}

/// Measurements of different settings must not be mixed.
fn check_same(folder: &Path, earlier: &Setting, now: &Setting) -> Result<(), ExperimentError> {
    let same = [
        ("kind", earlier.kind == now.kind),
        ("version of bocr", earlier.program_version == now.program_version),
        ("number of pages", earlier.pages == now.pages),
        ("--input", earlier.inputs == now.inputs),
        ("--seed", earlier.seed == now.seed),
        ("kind of GPU", earlier.gpus == now.gpus),
        ("configuration", earlier.configurations == now.configurations),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((setting, _)) => Err(ExperimentError::OtherExperiment { folder: folder.to_owned(), setting }),
        None => Ok(()),
    }
}
