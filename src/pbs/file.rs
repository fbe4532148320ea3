//! The job file, which people edit. Its table `[job]` says what the PBS job asks for and which inputs it reads; the
//! rest is the configuration of the run.

use std::{
    env, fs,
    num::NonZeroU32,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::model::configuration::{Configuration, ConfigurationError};

use super::{
    JobFileError, Select,
    values::{JobName, MailEvents, Memory, Overrides, PbsOption, PbsWord, Place, SetupLines, Walltime},
};

/// A job file whose values are checked. All paths are absolute.
#[derive(Debug, Clone)]
pub struct JobFile {
    /// Path of the job file.
    pub path: PathBuf,
    /// Folder of the job file; relative paths in it begin there.
    pub folder: PathBuf,
    /// Text of the file, as the user wrote it.
    pub text: String,
    /// The configuration of the run.
    pub configuration: Configuration,
    /// What the job does.
    pub kind: JobKind,
    /// The run directory, or the folder of the experiment.
    pub run: PathBuf,
    /// Files and folders to read.
    pub input: Vec<PathBuf>,
    /// Text files that name further inputs.
    pub list: Vec<PathBuf>,
    /// Nodes, cores, memory and GPUs that it asks PBS for.
    pub select: Select,
    /// How its chunks are placed on hosts; if absent, PBS decides.
    pub place: Option<Place>,
    /// Queue; if absent, the site's default.
    pub queue: Option<PbsWord>,
    /// Walltime; if absent, the queue's default.
    pub walltime: Option<Walltime>,
    /// Account that is charged.
    pub account: Option<PbsWord>,
    /// Address for mail.
    pub mail: Option<PbsWord>,
    /// Events for which mail is sent; if absent, PBS decides.
    pub mail_on: Option<MailEvents>,
    /// Name of the job.
    pub name: JobName,
    /// Whether PBS starts the job again when its first node is lost.
    pub rerunnable: bool,
    /// Most successors that it submits, one after the other, while pages are left.
    pub chain: u32,
    /// Further `#PBS` lines.
    pub options: Vec<PbsOption>,
    /// Lines of bash to run before the program.
    pub setup: Option<SetupLines>,
    /// Path of `bocr`; if absent, the program that submits.
    pub bocr: Option<PathBuf>,
    /// mpirun, a path or a name; if absent, the one on the job's `PATH`.
    pub mpirun: Option<String>,
    /// Further options for mpirun.
    pub mpirun_options: Option<String>,
    /// Further arguments of `bocr run`, or of the experiment.
    pub arguments: Vec<String>,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// `bocr run`.
    #[default]
    Run,
    /// `bocr experiment scaling`.
    Scaling,
}

impl JobKind {
    /// The words before the arguments of the launcher's ranks.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            JobKind::Run => &[],
            JobKind::Scaling => &["experiment", "scaling"],
        }
    }
}

#[derive(Deserialize)]
struct File {
    job: Option<JobTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobTable {
    #[serde(default)]
    kind: JobKind,
    run: PathBuf,
    #[serde(default)]
    input: Vec<PathBuf>,
    #[serde(default)]
    list: Vec<PathBuf>,
    #[serde(default = "one")]
    nodes: NonZeroU32,
    gpus: u32,
    ranks: Option<NonZeroU32>,
    cores: NonZeroU32,
    memory: Option<Memory>,
    place: Option<Place>,
    queue: Option<PbsWord>,
    walltime: Option<Walltime>,
    account: Option<PbsWord>,
    mail: Option<PbsWord>,
    mail_on: Option<MailEvents>,
    name: Option<JobName>,
    #[serde(default = "yes")]
    rerunnable: bool,
    #[serde(default)]
    chain: u32,
    #[serde(default)]
    options: Vec<PbsOption>,
    setup: Option<SetupLines>,
    bocr: Option<PathBuf>,
    mpirun: Option<PathBuf>,
    mpirun_options: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn yes() -> bool {
    true
}

/// Arguments of `bocr run` that have keys of their own in a job file, with those keys.
const SAID_BY_KEYS: [(&str, &str); 7] = [
    ("-i", "input"),
    ("--input", "input"),
    ("-o", "run"),
    ("--output", "run"),
    ("--list", "list"),
    ("--deadline", "walltime"),
    ("--walltime", "walltime"),
];

/// The name of the option in an argument, without an attached value.
fn name_of(argument: &str) -> &str {
    match argument.char_indices().nth(2) {
        Some((end, _)) if argument.starts_with('-') && !argument.starts_with("--") => &argument[..end],
        _ => argument.split('=').next().unwrap_or_default(),
    }
}

impl JobFile {
    /// Reads and checks a job file. The files that it names need not exist yet.
    ///
    /// # Errors
    /// The file cannot be read; or a key is unknown, missing or wrong, and the message names its line.
    pub fn read(path: &Path) -> Result<JobFile, JobFileError> {
        let failed = |source| JobFileError::Read { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(failed)?;
        let text = fs::read_to_string(&path).map_err(failed)?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let said = |source: ConfigurationError| JobFileError::Toml { path: path.clone(), source: Box::new(source) };
        let configuration = Configuration::from_toml(&text).map_err(said)?;
        let table = toml::from_str::<File>(&text).map_err(|error| said(error.into()))?.job;
        let table = table.ok_or_else(|| JobFileError::NoJob(path.clone()))?;
        table.check(JobFileParts { path, folder, text, configuration })
    }

    /// The same job with the values that the submit overrides.
    ///
    /// # Errors
    /// These values do not fit the others.
    pub fn with(self, overrides: &Overrides) -> Result<JobFile, JobFileError> {
        let nodes = overrides.nodes.unwrap_or(self.select.nodes);
        let chain = overrides.chain.unwrap_or(self.chain);
        if let Some(option) = self.options.iter().find(|option| chain > 0 && option.sets_variables()) {
            // A successor gets its number by -v on qsub's command line, which replaces a -v in the script.
            let remedy = format!(
                "`{option}` would reach the first job only, not its successors (chain = {chain}): put `export \
                 NAME=value` lines into `setup` instead"
            );
            return Err(JobFileError::Value { path: self.path, key: "options", remedy });
        }
        Ok(JobFile {
            select: Select { nodes, ..self.select },
            place: self.place.or_else(|| default_place(nodes)),
            walltime: overrides.walltime.or(self.walltime),
            chain,
            ..self
        })
    }
}

/// What is known of a job file besides its table.
struct JobFileParts {
    path: PathBuf,
    folder: PathBuf,
    text: String,
    configuration: Configuration,
}

impl JobTable {
    fn check(self, parts: JobFileParts) -> Result<JobFile, JobFileError> {
        let JobFileParts { path, folder, text, configuration } = parts;
        let wrong = |key, remedy: String| JobFileError::Value { path: path.clone(), key, remedy };
        let resolve = |key, named: &Path| resolve(&folder, named).map_err(|remedy| wrong(key, remedy));
        let all = |key, named: &[PathBuf]| named.iter().map(|path| resolve(key, path)).collect::<Result<Vec<_>, _>>();
        let ranks = self.ranks.or(NonZeroU32::new(self.gpus)).ok_or_else(|| {
            wrong("ranks", "gpus = 0 asks for processor cores only: set the number of ranks on each node".into())
        })?;
        if self.input.is_empty() && self.list.is_empty() {
            return Err(wrong("input", "there is nothing to read: set input = [\"…\"], or list = [\"…\"]".into()));
        }
        for argument in &self.arguments {
            let name = name_of(argument);
            if let Some((_, key)) = SAID_BY_KEYS.iter().find(|(known, _)| *known == name) {
                return Err(wrong("arguments", format!("set `{name}` by its own key: {key}")));
            }
            if ["-c", "--config"].contains(&name) {
                let remedy = format!("leave out `{name}`: the rest of this file is the configuration of the run");
                return Err(wrong("arguments", remedy));
            }
        }
        let run = resolve("run", &self.run)?;
        let folder_name = run.file_name().map(|name| name.to_string_lossy().into_owned());
        let mpirun = match self.mpirun {
            // A name without a folder is searched in the job's `PATH`.
            Some(named) if named.components().count() > 1 => Some(resolve("mpirun", &named)?),
            named => named,
        };
        Ok(JobFile {
            kind: self.kind,
            input: all("input", &self.input)?,
            list: all("list", &self.list)?,
            select: Select {
                nodes: self.nodes,
                cores: self.cores,
                memory: self.memory.map(|memory| memory.0),
                gpus: self.gpus,
                ranks,
            },
            place: self.place.or_else(|| default_place(self.nodes)),
            queue: self.queue,
            walltime: self.walltime,
            account: self.account,
            mail: self.mail,
            mail_on: self.mail_on,
            name: self.name.unwrap_or_else(|| JobName::after(folder_name.as_deref().unwrap_or("run"))),
            rerunnable: self.rerunnable,
            chain: self.chain,
            options: self.options,
            setup: self.setup,
            bocr: self.bocr.map(|named| resolve("bocr", &named)).transpose()?,
            mpirun: mpirun.map(|path| path.to_string_lossy().into_owned()),
            mpirun_options: self.mpirun_options,
            arguments: self.arguments,
            run,
            path,
            folder,
            text,
            configuration,
        })
    }
}

/// With several nodes, every chunk is placed on a host of its own.
fn default_place(nodes: NonZeroU32) -> Option<Place> {
    (nodes.get() > 1).then(Place::scatter)
}

/// A path in a job file: relative to the file's folder; a leading `~` is the home directory.
fn resolve(folder: &Path, named: &Path) -> Result<PathBuf, String> {
    let mut components = named.components();
    match components.next() {
        None => Err("the path is empty: give a path".into()),
        Some(Component::Normal(first)) if first == "~" => match env::var_os("HOME") {
            Some(home) => Ok(normalised(&Path::new(&home).join(components))),
            None => Err(format!("{}: HOME is not set; give the whole path", named.display())),
        },
        Some(Component::Normal(first)) if first.to_string_lossy().starts_with('~') => {
            Err(format!("{}: ~ is only expanded for your own home; give the whole path", named.display()))
        }
        Some(_) => Ok(normalised(&folder.join(named))),
    }
}

/// Removes `.` components. `..` stays, because it may follow a symbolic link.
fn normalised(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &str) -> Result<JobFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        fs::write(&path, table).unwrap();
        JobFile::read(&path).map_err(|error| crate::model::error::chain(&error))
    }

    const SMALL: &str = "[job]\nrun = \"runs/all\"\ninput = [\"bo\"]\ngpus = 2\ncores = 20\n";

    #[test]
    fn a_small_job_file_says_enough() {
        let job = read(SMALL).unwrap();
        assert_eq!(job.select.to_string(), "1:ncpus=20:ngpus=2:mpiprocs=2");
        assert_eq!((job.run, job.input), (job.folder.join("runs/all"), vec![job.folder.join("bo")]));
        assert_eq!((job.name.to_string().as_str(), job.rerunnable, job.chain), ("bocr-all", true, 0));
        assert_eq!(job.place, None);
    }

    #[test]
    fn several_nodes_are_scattered_unless_the_file_says_otherwise() {
        let overrides = Overrides { nodes: NonZeroU32::new(4), ..Overrides::default() };
        let place =
            |more: &str| read(&format!("{SMALL}{more}")).unwrap().with(&overrides).unwrap().place.unwrap().to_string();
        assert_eq!(place(""), "scatter");
        assert_eq!(place("place = \"scatter:excl\""), "scatter:excl");
    }

    #[test]
    fn variables_for_pbs_are_refused_where_successors_would_miss_them() {
        let job = read(&format!("{SMALL}options = [\"-v KEY=abc\"]")).unwrap();
        assert!(job.clone().with(&Overrides::default()).is_ok());
        let chained = Overrides { chain: Some(1), ..Overrides::default() };
        assert!(job.with(&chained).unwrap_err().to_string().contains("`setup`"));
    }

    #[test]
    fn home_is_expanded_and_other_homes_are_refused() {
        let job = read(&SMALL.replace("\"bo\"", "\"~/bo\"")).unwrap();
        assert_eq!(job.input, [Path::new(&env::var_os("HOME").unwrap()).join("bo")]);
        assert!(read(&SMALL.replace("\"bo\"", "\"~other/bo\"")).unwrap_err().contains("whole path"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_remedy() {
        for (change, said) in [
            ("walltime = \"soon\"", "line 6"),
            ("walltime = \"soon\"", "HH:MM:SS"),
            ("wall = \"01:00:00\"", "unknown field `wall`"),
            ("queue = \"gpu 1d\"", "letters a to z"),
            ("ranks = 0", "line 6"),
            ("arguments = [\"--output=x\"]", "set `--output` by its own key: run"),
            ("arguments = [\"-oother\"]", "set `-o` by its own key: run"),
            ("arguments = [\"-cother.toml\"]", "the rest of this file"),
            ("options = [\"-o /tmp\"]", "line 6"),
            ("[engines.chandra]\nprofil = 1", "profil"),
        ] {
            let error = read(&format!("{SMALL}{change}\n")).unwrap_err();
            assert!(error.contains(said) && error.contains("job.toml"), "{change}: {error}");
        }
        assert!(read(&SMALL.replace("gpus = 2", "gpus = 0")).unwrap_err().contains("number of ranks"));
        assert!(read(&SMALL.replace("input = [\"bo\"]\n", "")).unwrap_err().contains("nothing to read"));
        assert!(read(&SMALL.replace("cores = 20\n", "")).unwrap_err().contains("cores"));
        assert!(read("roles = \"chandra\"\n").unwrap_err().contains("[job]"));
    }
}
