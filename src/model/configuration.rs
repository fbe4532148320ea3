//! The configuration of a run: one typed struct. Flags override the file, the file overrides defaults. Unknown keys are
//! refused; values are checked once on reading. The effective configuration is written to the run directory and into
//! every shard.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{Engine, EngineName, LayoutRule, RoleNames, RunEngines, RunEnginesError, When, node::NodeSettings};

pub use super::engine_settings::{EngineSettings, Secret, ServerSource, StandInMode};

/// A configuration file. Every field has a default that works on a laptop with stand-in servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigurationFile {
    /// Which rank serves which engines, e.g. `7*chandra,deepseek`; the pattern repeats over the ranks. If there are too
    /// few ranks for an engine that it names, the last rank serves all, one at a time. For the default see
    /// [`RunEngines::roles`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<RoleNames>,
    /// The engines that a page goes to, in order: to the next one if one fails it, and in the end to the first again.
    /// For the default see [`RunEngines::new`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<EngineName>>,
    /// Path of libpdfium.so, build 8149. By default it is looked for in the project's `.deps`, beside the binary, and
    /// in `PDFIUM_LIB`.
    pub pdfium: Option<PathBuf>,
    /// Passwords of protected documents.
    pub passwords: Vec<DocumentPassword>,
    /// The engines and their servers, by name.
    pub engines: BTreeMap<EngineName, EngineSettings>,
    /// Rendering and encoding.
    pub imaging: Imaging,
    /// Dealing of pages.
    pub schedule: Schedule,
    /// Journal and shards.
    pub store: Store,
    /// Settings of the nodes.
    pub node: NodeSettings,
    /// Settings of the job: `bocr submit` reads them, a run does not.
    #[serde(skip_serializing)]
    pub job: IgnoredAny,
}

impl Default for ConfigurationFile {
    fn default() -> Self {
        ConfigurationFile {
            roles: None,
            stages: None,
            pdfium: None,
            passwords: Vec::new(),
            engines: BTreeMap::new(),
            imaging: Imaging::default(),
            schedule: Schedule::default(),
            store: Store::default(),
            node: NodeSettings::default(),
            job: IgnoredAny,
        }
    }
}

impl ConfigurationFile {
    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// A syntax error, an unknown key or a value out of range. The message names its line.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// Configuration of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// The engines, their servers and the roles of the ranks.
    pub engines: RunEngines,
    /// See [`ConfigurationFile::pdfium`].
    pub pdfium: Option<PathBuf>,
    /// Passwords of protected documents.
    pub passwords: Vec<DocumentPassword>,
    /// Rendering and encoding.
    pub imaging: Imaging,
    /// Dealing of pages.
    pub schedule: Schedule,
    /// Journal and shards.
    pub store: Store,
    /// Settings of the nodes.
    pub node: NodeSettings,
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A syntax error, an unknown key or a value out of range. The message names its line.
    #[error(transparent)]
    Syntax(#[from] toml::de::Error),
    /// The engines, stages and roles contradict each other.
    #[error(transparent)]
    Engines(#[from] RunEnginesError),
}

impl TryFrom<ConfigurationFile> for Configuration {
    type Error = RunEnginesError;

    fn try_from(file: ConfigurationFile) -> Result<Self, Self::Error> {
        let ConfigurationFile { roles, stages, pdfium, passwords, engines, imaging, schedule, store, node, job: _ } =
            file;
        let engines = RunEngines::new(roles.as_ref(), stages.as_deref(), engines)?;
        Ok(Configuration { engines, pdfium, passwords, imaging, schedule, store, node })
    }
}

impl Configuration {
    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// As [`ConfigurationFile::from_toml`]; or the engines, stages and roles contradict each other.
    pub fn from_toml(text: &str) -> Result<Self, ConfigurationError> {
        Ok(ConfigurationFile::from_toml(text)?.try_into()?)
    }

    /// The effective configuration as TOML, passwords hidden.
    ///
    /// # Errors
    /// A value has no TOML form. This cannot happen with a valid configuration.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let Configuration { engines, pdfium, passwords, imaging, schedule, store, node } = self.clone();
        toml::to_string_pretty(&ConfigurationFile {
            roles: Some(engines.roles().named(engines.names())),
            stages: Some(engines.names().names().to_vec()),
            pdfium,
            passwords,
            engines: engines.tables(),
            imaging,
            schedule,
            store,
            node,
            job: IgnoredAny,
        })
    }

    /// The layout rule for pages that `engine` reads; `profiled` is the rule of its profile.
    pub fn layout(&self, engine: Engine, profiled: LayoutRule) -> LayoutRule {
        let tesseract = self.engines.of(engine).server.is_tesseract();
        self.imaging.over(if tesseract { LayoutRule::OF_TESSERACT } else { profiled })
    }

    /// The password for a document, found by its name in the plan or by its file name.
    pub fn password_for(&self, name: &str) -> Option<&str> {
        let file_name = name.rsplit('/').next().unwrap_or(name);
        self.passwords
            .iter()
            .find(|entry| entry.file == name || entry.file == file_name)
            .map(|entry| entry.password.0.as_str())
    }
}

/// A password for the documents with this name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentPassword {
    /// File name, or name of the document in the plan.
    pub file: String,
    /// The user password.
    pub password: Secret,
}

/// Rendering and encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imaging {
    /// Number of renderer child processes of a rank. By default it follows from its cores.
    pub children: Option<NonZeroU32>,
    /// Time limit for rendering a page. After it the child is killed and the page fails.
    #[serde(with = "duration")]
    pub page_limit: Duration,
    /// Limit on the address space of a child.
    pub child_memory: ByteSize,
    /// Limit on the encoded page images that a rank holds.
    pub in_flight: ByteSize,
    /// Whether pages without ink become blank before an engine sees them.
    pub skip_blank: bool,
    /// Whether columns are shown one by one. By default as in the profile; with Tesseract `auto`.
    pub columns: Option<When>,
    /// Whether content that lies on its side or upside down is shown upright. By default as in the profile.
    pub upright: Option<bool>,
    /// Whether skew is corrected. By default as in the profile; with Tesseract `true`.
    pub straighten: Option<bool>,
    /// Whether bad scans are cleaned. By default as in the profile; with Tesseract `auto`.
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
    /// The rule, with the fields that these settings override.
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
    /// Maximum number of pages in one assignment.
    pub unit_pages: NonZeroU32,
    /// Number of failed attempts on one page, on all its stages, after which it has failed.
    pub page_attempts: NonZeroU32,
    /// After a stop request, pages in flight may continue for this long before they are recalled.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Time kept free before the deadline for sealing and ending.
    #[serde(with = "duration")]
    pub seal_reserve: Duration,
    /// Assumed duration of a role switch, until one has been measured. A rank that would come too late before the
    /// deadline does not switch. A cold start took 114 and 140 s on an H200 (`docs/facts/h200.md`, "Start, sleep and
    /// wake-up").
    #[serde(with = "duration")]
    pub turn_cost: Duration,
    /// A rank that sends no message for this long is lost. A rank that hears nothing from rank 0 for this long ends
    /// itself.
    #[serde(with = "duration")]
    pub silence_limit: Duration,
    /// Whether the last pages are also asked on ranks that have nothing else to do. The first reading counts.
    pub races: bool,
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
            races: true,
        }
    }
}

/// Journal and shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A journal that reaches this size is sealed into a shard.
    pub shard: ByteSize,
    /// Longest time until a record is synced to disk.
    #[serde(with = "duration")]
    pub sync_interval: Duration,
    /// Maximum number of records that are synced together.
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
        assert!(text.contains("roles = \"chandra/deepseek\""), "{text}");
        assert_eq!(Configuration::from_toml(&text).unwrap().to_toml().unwrap(), text);
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
        let [chandra, deepseek] = [0, 1].map(|position| Engine::at(position).unwrap());
        assert_eq!(configuration.engines.profile(chandra), "chandra");
        assert_eq!(configuration.engines.of(chandra).attempts.get(), 3);
        assert_eq!(configuration.engines.profile(deepseek), "deepseek-ocr");
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
