//! How one engine is served and asked: the tables `[engines.NAME]` of the configuration.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::{Deserialize, Serialize, Serializer};

/// How one engine is served and asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Name of a built-in profile, or path of a profile file. By default the one that [`super::RunEngines::profile`] gives.
    pub profile: Option<String>,
    /// File with the prompt, instead of the profile's prompt.
    pub prompt_file: Option<PathBuf>,
    /// Where the server comes from.
    pub server: ServerSource,
    /// Folder of the model's files, or a model name, instead of the profile's model.
    pub model: Option<String>,
    /// Share of the GPU's memory for the server, above 0 and at most 1. By default it follows from the rank's role.
    pub memory: Option<f32>,
    /// Maximum number of requests in flight on one server. By default the fewest at which the throughput no longer
    /// rises, searched from the profile's number; with Tesseract, one more than its cores.
    pub in_flight: Option<NonZeroU32>,
    /// Number of failed attempts on one stage of a page after which it goes to the next engine.
    pub attempts: NonZeroU32,
    /// A server that is not ready after this time is given up.
    #[serde(with = "duration")]
    pub start_limit: Duration,
    /// Longest time to first token: queueing, image encoding and prefill.
    #[serde(with = "duration")]
    pub first_token_limit: Duration,
    /// Longest time between two tokens.
    #[serde(with = "duration")]
    pub token_gap_limit: Duration,
    /// Time without a token on any request in flight after which the engine is tested with a request of one token. If
    /// that gets no token either, the engine hangs, although its server reports that it is healthy. It must be below
    /// `first_token_limit`, so that no page fails because of it.
    #[serde(with = "duration")]
    pub hang_limit: Duration,
    /// Longest time of a whole answer. Far above the published P95 of 156 s: a limit of 180 s would discard healthy
    /// pages.
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
    /// The stand-in, launched by the same code as vLLM: it needs no GPU and no model.
    StandIn {
        /// Whether it reads the image or generates text.
        #[serde(default)]
        mode: StandInMode,
        /// Path of a fault script for it.
        #[serde(default)]
        faults: Option<PathBuf>,
        /// Further arguments of `bocr stand-in`, e.g. `["--time-scale", "0"]`.
        #[serde(default)]
        arguments: Vec<String>,
    },
    /// The profile's launch command, e.g. `vllm serve …`.
    Launch {
        /// Replaces the profile's command. `{socket}` or `{port}`, `{model}`, `{served_name}` and `{memory}` are filled
        /// in.
        #[serde(default)]
        command: Option<Vec<String>>,
        /// Words put before the command, e.g. `["apptainer", "exec", "--nv", "vllm.sif"]`.
        #[serde(default)]
        prefix: Vec<String>,
        /// Lines of bash that activate the engine's environment before the command, e.g. `module load anaconda3` and
        /// `source activate vllm`.
        #[serde(default)]
        activate: Option<String>,
        /// Variables added to the server's environment. Their values may be tokens and keys, and are never written.
        #[serde(default)]
        environment: BTreeMap<String, Secret>,
    },
    /// A server that is already running. bocr never stops it.
    Url {
        /// `http://host:port`, one or several. A rank uses the one at its local position.
        urls: Vec<String>,
    },
}

impl ServerSource {
    /// Whether a rank launches the server of a model.
    pub fn is_model(&self) -> bool {
        matches!(self, ServerSource::Launch { .. })
    }

    /// Whether no model reads the pages.
    pub fn is_stand_in(&self) -> bool {
        matches!(self, ServerSource::StandIn { .. })
    }

    /// Whether Tesseract reads the pages, on the cores of this node.
    pub fn is_tesseract(&self) -> bool {
        matches!(self, ServerSource::StandIn { mode: StandInMode::Tesseract, .. })
    }
}

impl Default for ServerSource {
    fn default() -> Self {
        ServerSource::StandIn { mode: StandInMode::default(), faults: None, arguments: Vec::new() }
    }
}

/// How a stand-in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInMode {
    /// It reads the image with Tesseract.
    #[default]
    Tesseract,
    /// It generates an answer, with the timing of a GPU under continuous batching.
    Synthetic,
}

/// Text that is never written to any file or log.
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
