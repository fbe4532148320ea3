//! What a run may be told. One typed struct, flags over file over defaults, unknown keys refused, values
//! checked once on reading; the effective configuration is written to the run directory and into every shard.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::{Deserialize, Serialize, Serializer, de::IgnoredAny};

use super::{Engine, LayoutRule, RolePattern, When, node::NodeSettings};

/// Configuration of a run. Every field has a default that runs on a laptop with stand-in servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// What each rank is there for, e.g. `7*chandra,deepseek`; repeats over the ranks. Where they are too few for an
    /// engine that it names, the last one serves both in turn.
    pub roles: RolePattern,
    /// libpdfium.so of build 8149; found by itself in the project's `.deps`, beside the binary, or from `PDFIUM_LIB`.
    pub pdfium: Option<PathBuf>,
    /// Passwords of protected documents.
    pub passwords: Vec<DocumentPassword>,
    /// The engines and their servers.
    pub engines: Engines,
    /// Rendering and encoding.
    pub imaging: Imaging,
    /// Dealing of pages.
    pub schedule: Schedule,
    /// Journal and shards.
    pub store: Store,
    /// The nodes that it works on.
    pub node: NodeSettings,
    /// The job that runs it: `bocr submit` reads it, a run does not.
    #[serde(skip_serializing)]
    pub job: IgnoredAny,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            roles: RolePattern::all_chandra(),
            pdfium: None,
            passwords: Vec::new(),
            engines: Engines::default(),
            imaging: Imaging::default(),
            schedule: Schedule::default(),
            store: Store::default(),
            node: NodeSettings::default(),
            job: IgnoredAny,
        }
    }
}

impl Configuration {
    /// Reads a configuration file's text.
    ///
    /// # Errors
    /// A syntax error, an unknown key or a value out of range, with its line.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The effective configuration as TOML, passwords hidden.
    ///
    /// # Errors
    /// Only if a value has no TOML form, which no valid configuration has.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// What is looked for on the pages that `engine` reads, whose profile says `profiled`.
    pub fn layout(&self, engine: Engine, profiled: LayoutRule) -> LayoutRule {
        let tesseract = self.engines.of(engine).server.is_tesseract();
        self.imaging.over(if tesseract { LayoutRule::OF_TESSERACT } else { profiled })
    }

    /// The password for a document, by its name in the plan or its bare file name.
    pub fn password_for(&self, name: &str) -> Option<&str> {
        let file_name = name.rsplit('/').next().unwrap_or(name);
        self.passwords
            .iter()
            .find(|entry| entry.file == name || entry.file == file_name)
            .map(|entry| entry.password.0.as_str())
    }
}

/// A password for the documents with a certain name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentPassword {
    /// File name, or name of the document in the plan.
    pub file: String,
    /// The user password.
    pub password: Secret,
}

/// Text that is never written anywhere.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

/// Settings of both engines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engines {
    /// Stage 1.
    pub chandra: EngineSettings,
    /// Stage 2.
    pub deepseek: EngineSettings,
}

impl Engines {
    /// The settings of `engine`.
    pub fn of(&self, engine: Engine) -> &EngineSettings {
        match engine {
            Engine::Chandra => &self.chandra,
            Engine::DeepSeek => &self.deepseek,
        }
    }

    /// The profile that serves `engine`. Chandra 2 is preferred: it reads Arabic twice as well as
    /// Chandra 1 at half the size (`docs/facts/chandra.md`, "Accuracy").
    pub fn profile(&self, engine: Engine) -> &str {
        self.of(engine).profile.as_deref().unwrap_or(match engine {
            Engine::Chandra => "chandra-2",
            Engine::DeepSeek => "deepseek-ocr",
        })
    }

    /// The settings of `engine`, to be changed by a flag.
    pub fn of_mut(&mut self, engine: Engine) -> &mut EngineSettings {
        match engine {
            Engine::Chandra => &mut self.chandra,
            Engine::DeepSeek => &mut self.deepseek,
        }
    }
}

/// How one engine is served and asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Name of a built-in profile, or path of a profile file; [`Engines::profile`] says which when absent.
    pub profile: Option<String>,
    /// File that holds the prompt, instead of the profile's own wording.
    pub prompt_file: Option<PathBuf>,
    /// Where the server comes from.
    pub server: ServerSource,
    /// Folder of the model's files, or its name elsewhere, instead of the profile's model.
    pub model: Option<String>,
    /// Share of the GPU's memory that the server takes, above 0 and at most 1; when absent, what the rank's role leaves it.
    pub memory: Option<f32>,
    /// Pages in flight on one server. When absent, the fewest at which its throughput no longer rises, found from the
    /// profile's number on; with Tesseract, one more than its cores.
    pub in_flight: Option<NonZeroU32>,
    /// Attempts that may fail on one stage of a page, before it is given to the other engine.
    pub attempts: NonZeroU32,
    /// A server that is not ready after this long is given up.
    #[serde(with = "duration")]
    pub start_limit: Duration,
    /// Longest wait for the first token: queueing, image encoding and prefill.
    #[serde(with = "duration")]
    pub first_token_limit: Duration,
    /// Longest silence between two tokens.
    #[serde(with = "duration")]
    pub token_gap_limit: Duration,
    /// No token on any request in flight for this long, and then none for a request of one token either: the engine
    /// hangs, though its server says that it is healthy. Below `first_token_limit`, so that no page is blamed.
    #[serde(with = "duration")]
    pub hang_limit: Duration,
    /// Longest whole answer. Far above the published P95 of 156 s: a fixed 180 s throws healthy pages away.
    #[serde(with = "duration")]
    pub total_limit: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            profile: None,
            prompt_file: None,
            server: ServerSource::default(),
            model: None,
            memory: None,
            in_flight: None,
            attempts: NonZeroU32::MIN.saturating_add(2),
            start_limit: Duration::from_secs(900),
            first_token_limit: Duration::from_secs(300),
            token_gap_limit: Duration::from_secs(60),
            hang_limit: Duration::from_secs(120),
            total_limit: Duration::from_secs(900),
        }
    }
}

/// Where a rank's server comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ServerSource {
    /// The stand-in, launched by the code that launches vLLM: no GPU, no model.
    StandIn {
        /// Really reads, or invents.
        #[serde(default)]
        mode: StandInMode,
        /// Fault script for it.
        #[serde(default)]
        faults: Option<PathBuf>,
        /// Further arguments of `bocr stand-in`, e.g. `["--time-scale", "0"]`.
        #[serde(default)]
        arguments: Vec<String>,
    },
    /// The profile's launch command, e.g. `vllm serve …`.
    Launch {
        /// Replaces the profile's command. `{socket}` or `{port}`, `{model}`, `{served_name}` and `{memory}` are filled in.
        #[serde(default)]
        command: Option<Vec<String>>,
        /// Words put before the command, e.g. `["apptainer", "exec", "--nv", "vllm.sif"]`.
        #[serde(default)]
        prefix: Vec<String>,
        /// Lines of bash that activate the engine's environment before it, e.g. `module load anaconda3` and
        /// `source activate vllm`.
        #[serde(default)]
        activate: Option<String>,
        /// Added to the server's environment; the values, which may be tokens and keys, are never written.
        #[serde(default)]
        environment: BTreeMap<String, Secret>,
    },
    /// A server that is already running; never stopped by us.
    Url {
        /// `http://host:port`, or several: a rank takes the one at its local position.
        urls: Vec<String>,
    },
}

impl ServerSource {
    /// Whether a rank launches a model's server.
    pub fn is_model(&self) -> bool {
        matches!(self, ServerSource::Launch { .. })
    }

    /// Whether pages are read by Tesseract, on this node's processor cores.
    pub fn is_tesseract(&self) -> bool {
        matches!(self, ServerSource::StandIn { mode: StandInMode::Tesseract, .. })
    }
}

impl Default for ServerSource {
    fn default() -> Self {
        ServerSource::StandIn { mode: StandInMode::default(), faults: None, arguments: Vec::new() }
    }
}

/// What a stand-in does with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInMode {
    /// Reads it with Tesseract.
    #[default]
    Tesseract,
    /// Invents an answer, with the timing of a GPU under continuous batching.
    Synthetic,
}

/// Rendering and encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imaging {
    /// Renderer child processes of a rank; when absent, by its cores.
    pub children: Option<NonZeroU32>,
    /// A page that takes longer costs its child and fails.
    #[serde(with = "duration")]
    pub page_limit: Duration,
    /// Address space of a child.
    pub child_memory: ByteSize,
    /// Bound on encoded page images held by a rank, whatever the documents.
    pub in_flight: ByteSize,
    /// Whether pages without ink are settled as blank before an engine sees them.
    pub skip_blank: bool,
    /// Whether columns are shown one by one; when absent, what the profile says, with Tesseract `auto`.
    pub columns: Option<When>,
    /// Whether content that lies on its side or upside down is shown upright; when absent, what the profile says.
    pub upright: Option<bool>,
    /// Whether skew is taken out; when absent, what the profile says, with Tesseract `true`.
    pub straighten: Option<bool>,
    /// Whether bad scans are cleaned; when absent, what the profile says, with Tesseract `auto`.
    pub clean: Option<When>,
}

impl Default for Imaging {
    fn default() -> Self {
        Imaging {
            children: None,
            page_limit: Duration::from_secs(60),
            child_memory: ByteSize::gib(2),
            in_flight: ByteSize::mib(256),
            skip_blank: true,
            columns: None,
            upright: None,
            straighten: None,
            clean: None,
        }
    }
}

impl Imaging {
    /// `rule`, with what is said here in its place.
    pub fn over(&self, rule: LayoutRule) -> LayoutRule {
        LayoutRule {
            columns: self.columns.unwrap_or(rule.columns),
            upright: self.upright.unwrap_or(rule.upright),
            straighten: self.straighten.unwrap_or(rule.straighten),
            clean: self.clean.unwrap_or(rule.clean),
        }
    }
}

/// Dealing of pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Most pages of one assignment.
    pub unit_pages: NonZeroU32,
    /// Attempts that may fail on one page, on all visits to both engines; then it has failed.
    pub page_attempts: NonZeroU32,
    /// Once a run is asked to stop, pages in flight are given this long before they are called back.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Time kept before the deadline for sealing and ending.
    #[serde(with = "duration")]
    pub seal_reserve: Duration,
    /// What turning a rank over to its other engine takes, until one has done so: a rank that would come too late
    /// before the deadline does not turn. A cold start took 114 and 140 s on an H200 (`docs/facts/h200.md`, "Start,
    /// sleep and wake-up").
    #[serde(with = "duration")]
    pub turn_cost: Duration,
    /// A rank that is not heard of for this long is lost; a rank that hears nothing of rank 0 for so long ends itself.
    #[serde(with = "duration")]
    pub silence_limit: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            unit_pages: NonZeroU32::MIN.saturating_add(7),
            page_attempts: NonZeroU32::MIN.saturating_add(9),
            drain: Duration::from_secs(15),
            seal_reserve: Duration::from_secs(60),
            turn_cost: Duration::from_secs(180),
            silence_limit: Duration::from_secs(60),
        }
    }
}

/// Journal and shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A journal that reaches this size is sealed into a shard.
    pub shard: ByteSize,
    /// Longest time a record waits for the disk.
    #[serde(with = "duration")]
    pub sync_interval: Duration,
    /// Most records that wait for the disk together.
    pub sync_records: NonZeroU32,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            shard: ByteSize::mib(256),
            sync_interval: Duration::from_secs(1),
            sync_records: NonZeroU32::MIN.saturating_add(63),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_survive_a_round_trip_through_the_file() {
        let text = Configuration::default().to_toml().unwrap();
        assert_eq!(Configuration::from_toml(&text).unwrap(), Configuration::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Configuration::from_toml("[imaging]\ndpi = 300\n").unwrap_err().to_string();
        assert!(error.contains("dpi"), "{error}");
    }

    #[test]
    fn a_partial_file_keeps_the_other_defaults() {
        let text = "roles = \"chandra,deepseek\"\n[engines.chandra.server]\nkind = \"url\"\nurls = [\"http://127.0.0.1:8000\"]\n[engines.chandra]\nprofile = \"chandra\"\n";
        let configuration = Configuration::from_toml(text).unwrap();
        assert_eq!(configuration.engines.profile(Engine::Chandra), "chandra");
        assert_eq!(configuration.engines.chandra.attempts.get(), 3);
        assert_eq!(configuration.engines.profile(Engine::DeepSeek), "deepseek-ocr");
    }

    #[test]
    fn passwords_match_by_name_and_are_never_written() {
        let text = "[[passwords]]\nfile = \"BO_7500_Fr_userpw.pdf\"\npassword = \"user-secret\"\n";
        let configuration = Configuration::from_toml(text).unwrap();
        assert_eq!(configuration.password_for("nasty/BO_7500_Fr_userpw.pdf"), Some("user-secret"));
        assert_eq!(configuration.password_for("BO_7500_Fr.pdf"), None);
        assert!(!configuration.to_toml().unwrap().contains("user-secret"));
    }
}
