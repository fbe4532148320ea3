//! `bocr run`: reads the inputs into the run directory.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use bytesize::ByteSize;
use clap::Parser as _;
use toml::{Table, Value};

use super::{experiment, imaging::ImagingArguments};
use crate::{
    corpus::Inputs,
    engine::check_engines,
    launch::NodeNeeds,
    model::{
        EngineName, ParseEngineNameError, RoleNames,
        configuration::{Configuration, ConfigurationFile, ServerSource, StandInMode},
    },
    pbs::RunSettings,
    run::{ReprocessRequest, RunRequest, TimeLimit},
    sys::{ExitCode, ProcessLimits, host_name, parse_walltime, write_stderr, write_stdout},
};

/// Read every page of the inputs into the run directory (the main job; alone or under mpirun)
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// PDF file, or folder that is searched for PDF files; may be given several times
    #[arg(short, long, value_name = "PATH")]
    input: Vec<PathBuf>,
    /// Text file with one input a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// Run directory, on a file system that all ranks share; the same one continues a run
    #[arg(short, long, value_name = "RUNDIR")]
    output: PathBuf,
    /// Configuration file (TOML); options take precedence over it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Roles of the ranks in order, repeated: `7*chandra,deepseek`; `chandra/deepseek`: both with role switches; `+`:
    /// both at once [default: all stages with role switches; only those like the first, if some have no model]
    #[arg(long)]
    roles: Option<RoleNames>,
    /// The engines that a page goes to, in order: `chandra,deepseek` [default: those; other engines that the roles name]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    stages: Vec<EngineName>,
    /// URL of a running server for an engine, instead of launching one; several: one for each local rank
    #[arg(long, value_name = "NAME=URL", value_parser = engine_url)]
    url: Vec<(EngineName, String)>,
    /// The same as `--url chandra=URL`
    #[arg(long, value_name = "URL")]
    chandra_url: Vec<String>,
    /// The same as `--url deepseek=URL`
    #[arg(long, value_name = "URL")]
    deepseek_url: Vec<String>,
    /// Launch stand-in servers in this mode
    #[arg(long, value_enum, value_name = "MODE")]
    stand_in: Option<Mode>,
    /// Fault script for the stand-in servers
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    #[command(flatten)]
    imaging: ImagingArguments,
    /// Journal size at which a shard is sealed, e.g. 256MiB
    #[arg(long, value_name = "SIZE")]
    shard: Option<ByteSize>,
    /// Threads of rank 0 for planning
    #[arg(long, default_value = "2")]
    threads: NonZeroUsize,
    /// Seconds after which the run must have ended: before that, it stops dealing pages, recalls those in flight, seals
    /// all records, and exits with 75
    #[arg(long, value_name = "SECONDS", conflicts_with = "walltime", overrides_with = "deadline")]
    deadline: Option<u64>,
    /// The same by the job's walltime: `auto` asks PBS or Slurm for the time left, or HH:MM:SS
    #[arg(long, value_name = "auto|HH:MM:SS", value_parser = time_limit)]
    walltime: Option<TimeLimit>,
    /// Continue a run directory that was started with other settings, if they cannot mix results
    #[arg(long)]
    accept_config: bool,
    /// Read failed pages again: all of them, or those of the given classes
    #[arg(long, value_name = "failed[=CLASS,…]", value_parser = ReprocessRequest::retry)]
    retry: Vec<ReprocessRequest>,
    /// Read pages of a document again, e.g. `fr/BO_7510_Fr.pdf:2-4,9`; a page that then fails keeps its earlier text
    #[arg(long, value_name = "DOC[:PAGES]", value_parser = ReprocessRequest::redo)]
    redo: Vec<ReprocessRequest>,
    /// Seconds to wait for an earlier run that still uses the run directory
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    wait: u64,
    /// Seconds for which a server outlives a killed rank, so that the next start can take it over (for scripts/launch)
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    linger: u64,
    /// End with 0 when finished.json has the exit code of the run: mpirun calls any other code of a rank an abort
    #[arg(long, hide = true)]
    code_in_file: bool,
    /// Limits and umask of the launcher, for the ranks on other hosts
    #[arg(long, hide = true)]
    process_limits: Option<ProcessLimits>,
}

/// How a stand-in answers.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// Reads images with Tesseract
    Tesseract,
    /// Writes synthetic answers, with the timing of a GPU
    Synthetic,
}

impl From<Mode> for StandInMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Tesseract => StandInMode::Tesseract,
            Mode::Synthetic => StandInMode::Synthetic,
        }
    }
}

/// Runs the subcommand. The exit code is that of the run; 2 for wrong usage or configuration.
///
/// # Errors
/// A failure of the program or the machine that prevents the run from starting. Pages are not lost.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let request = match request(arguments, &Table::new())? {
        Ok(request) => request,
        Err(code) => return Ok(code),
    };
    match crate::run::run(&request) {
        Ok(None) => Ok(ExitCode::Success),
        Ok(Some(report)) => {
            // An error is ignored: the report is in the run directory, and the exit code must be that of the run.
            let _ = write_stdout(&format!("{}  in {}\n", report.text(), request.run_directory.display()));
            Ok(if arguments.code_in_file { ExitCode::Success } else { report.exit_code })
        }
        Err(error) => {
            let code = error.exit_code();
            write_stderr(&format!("bocr: {:#}\n", anyhow::Error::from(error)));
            Ok(code)
        }
    }
}

impl Arguments {
    /// Whether the exit code of the run is for the launcher to read from a file.
    pub(super) fn code_in_file(&self) -> bool {
        self.code_in_file
    }
}

/// The run that the arguments ask for, with these changes of the configuration file; or the exit code for wrong ones,
/// which are reported.
///
/// # Errors
/// The path of this program or of the run directory cannot be found.
pub(super) fn request(arguments: &Arguments, changes: &Table) -> anyhow::Result<Result<RunRequest, ExitCode>> {
    if let Some(limits) = &arguments.process_limits {
        for refused in limits.apply() {
            write_stderr(&format!("bocr: the limit {refused} of the launcher cannot be set on {}\n", host_name()));
        }
    }
    let configuration = match effective_configuration(arguments, changes) {
        Ok(configuration) => configuration,
        Err(error) => {
            write_stderr(&format!("bocr: {error:#}\n"));
            return Ok(Err(ExitCode::WrongUsage));
        }
    };
    let run_directory = std::path::absolute(&arguments.output)?;
    Ok(Ok(RunRequest {
        program: std::env::current_exe()?,
        inputs: Inputs { paths: arguments.input.clone(), lists: arguments.list.clone() },
        home: run_directory.clone(),
        run_directory,
        configuration,
        accept_configuration: arguments.accept_config,
        reprocess: arguments.retry.iter().chain(&arguments.redo).cloned().collect(),
        threads: arguments.threads,
        time_limit: arguments
            .deadline
            .map(|seconds| TimeLimit::After(Duration::from_secs(seconds)))
            .or(arguments.walltime),
        wait: Duration::from_secs(arguments.wait),
        linger: Duration::from_secs(arguments.linger),
    }))
}

fn engine_url(text: &str) -> Result<(EngineName, String), String> {
    let (name, url) = text.split_once('=').ok_or("give NAME=URL, e.g. chandra=http://127.0.0.1:8000")?;
    Ok((name.parse().map_err(|error: ParseEngineNameError| error.to_string())?, url.into()))
}

fn time_limit(text: &str) -> Result<TimeLimit, String> {
    match parse_walltime(text) {
        _ if text == "auto" => Ok(TimeLimit::Walltime),
        Some(time) => Ok(TimeLimit::After(time)),
        None => Err("give auto, HH:MM:SS or seconds".into()),
    }
}

/// Parses the arguments of `bocr run`, or those of an experiment, which is many runs.
fn parse(arguments: &[&OsStr]) -> Result<Arguments, String> {
    if arguments.first().is_some_and(|first| *first == "experiment") {
        return experiment::run_arguments(&arguments[1..]);
    }
    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }
    let words = [OsStr::new("bocr run")].into_iter().chain(arguments.iter().copied());
    CommandLine::try_parse_from(words).map(|line| line.arguments).map_err(|error| error.to_string())
}

/// What a run of this program's version `program_version` with these arguments needs of its nodes.
///
/// # Errors
/// The arguments, or the configuration that they name, are wrong.
pub(super) fn node_needs(program_version: String, arguments: &[&OsStr]) -> Result<NodeNeeds, String> {
    let arguments = parse(arguments)?;
    Ok(NodeNeeds {
        program_version,
        configuration: effective_configuration(&arguments, &Table::new()).map_err(|error| format!("{error:#}"))?,
        run_directory: arguments.output,
        inputs: Inputs { paths: arguments.input, lists: arguments.list },
    })
}

/// The settings of `bocr run` with these arguments.
///
/// # Errors
/// The arguments, or the configuration that they name, are wrong.
pub(super) fn settings(arguments: &[&OsStr]) -> Result<RunSettings, String> {
    let arguments = parse(arguments)?;
    let configuration = effective_configuration(&arguments, &Table::new()).map_err(|error| format!("{error:#}"))?;
    Ok(RunSettings { configuration, accept_config: arguments.accept_config })
}

/// Reads a configuration file that no option changes.
pub(super) fn configuration_file(path: &Path) -> anyhow::Result<Configuration> {
    let context = || format!("in {}", path.display());
    let configuration = Configuration::try_from(read_file(path)?).with_context(context)?;
    check_engines(&configuration.engines).with_context(context)?;
    Ok(configuration)
}

fn read_file(path: &Path) -> anyhow::Result<ConfigurationFile> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    ConfigurationFile::from_toml(&text).with_context(|| format!("in {}", path.display()))
}

/// The URLs of the options by the name of their engine.
fn urls_of(arguments: &Arguments) -> BTreeMap<String, Vec<String>> {
    let mut urls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let named = arguments.url.iter().map(|(name, url)| (name.as_str(), url));
    let chandra = arguments.chandra_url.iter().map(|url| ("chandra", url));
    for (name, url) in named.chain(chandra).chain(arguments.deepseek_url.iter().map(|url| ("deepseek", url))) {
        urls.entry(name.to_owned()).or_default().push(url.clone());
    }
    urls
}

/// The file with changes: a table changes the keys that it has, any other value replaces the one of the file.
fn changed_file(path: Option<&Path>, changes: &Table) -> anyhow::Result<ConfigurationFile> {
    fn change(values: &mut Table, changes: &Table) {
        for (key, new) in changes {
            match (values.get_mut(key), new) {
                (Some(Value::Table(old)), Value::Table(new)) => change(old, new),
                _ => drop(values.insert(key.clone(), new.clone())),
            }
        }
    }
    let text = match path {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut values: Table = toml::from_str(&text)?;
    change(&mut values, changes);
    Ok(values.try_into()?)
}

/// The configuration: options take precedence over the file with its changes, and the file over the defaults.
fn effective_configuration(arguments: &Arguments, changes: &Table) -> anyhow::Result<Configuration> {
    let mut file = match &arguments.config {
        // The message of an error names the line of the file.
        Some(path) if changes.is_empty() => read_file(path)?,
        path => changed_file(path.as_deref(), changes)?,
    };
    file.roles = arguments.roles.clone().or(file.roles);
    if !arguments.stages.is_empty() {
        file.stages = Some(arguments.stages.clone());
    }
    let mut configuration = Configuration::try_from(file).context(
        arguments
            .config
            .as_ref()
            .map_or_else(|| "in the options".to_owned(), |path| format!("in the options and {}", path.display())),
    )?;
    arguments.imaging.apply(&mut configuration);
    if let Some(shard) = arguments.shard {
        configuration.store.shard = shard;
    }
    let mut urls = urls_of(arguments);
    for engine in configuration.engines.all().collect::<Vec<_>>() {
        let name = configuration.engines.name(engine).clone();
        let server = &mut configuration.engines.of_mut(engine).server;
        if let Some(urls) = urls.remove(name.as_str()) {
            *server = ServerSource::Url { urls };
        } else if let Some(mode) = arguments.stand_in {
            *server = ServerSource::StandIn { mode: mode.into(), faults: None, arguments: Vec::new() };
        }
        match (&arguments.faults, server) {
            (None, _) => {}
            (Some(script), ServerSource::StandIn { faults, .. }) => *faults = Some(std::path::absolute(script)?),
            (Some(_), _) => anyhow::bail!("--faults is for stand-in servers only, but {name} has another server"),
        }
    }
    if let Some(name) = urls.keys().next() {
        let names = configuration.engines.names();
        anyhow::bail!("the URL for {name} has no engine: the stages are {}", names.text(names.all(), ", "));
    }
    check_engines(&configuration.engines)?;
    Ok(configuration)
}
