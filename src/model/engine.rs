//! The engines, and what serves them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A family of OCR engines. The profile determines the model and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Engine {
    /// Stage 1: reads every page first.
    Chandra = 1,
    /// Stage 2: reads pages that Chandra failed.
    DeepSeek = 2,
}

impl Engine {
    /// Both engines, stage 1 first.
    pub const ALL: [Engine; 2] = [Engine::Chandra, Engine::DeepSeek];

    /// Name in patterns, shards, exports and reports.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Chandra => "chandra",
            Engine::DeepSeek => "deepseek",
        }
    }

    /// The engine with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| *engine as u8 == code)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|engine| engine.name() == text).ok_or_else(|| ParseEngineError(text.into()))
    }
}

/// A word that is not an engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an engine: use `chandra`, `deepseek`, `chandra+deepseek` for both together, or `chandra/deepseek` \
     for both, one at a time"
)]
pub struct ParseEngineError(pub(super) String);

/// A set of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineSet(u8);

impl EngineSet {
    /// The set with this engine only.
    pub fn only(engine: Engine) -> Self {
        EngineSet(engine as u8)
    }

    /// The set of all engines.
    pub fn all() -> Self {
        Engine::ALL.into_iter().fold(EngineSet::default(), EngineSet::with)
    }

    /// This set and `engine`.
    #[must_use]
    pub fn with(self, engine: Engine) -> Self {
        EngineSet(self.0 | engine as u8)
    }

    /// This set without `engine`.
    #[must_use]
    pub fn without(self, engine: Engine) -> Self {
        EngineSet(self.0 & !(engine as u8))
    }

    /// Whether `engine` is in the set.
    pub fn contains(self, engine: Engine) -> bool {
        self.0 & engine as u8 != 0
    }

    /// Whether no engine is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set's code in shards: the sum of its engines' codes.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The set with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        (code & !EngineSet::all().0 == 0).then_some(EngineSet(code))
    }

    /// The engines in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        EngineSet(self.0 & other.0)
    }

    /// The engines in the set, stage 1 first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Engine> {
        Engine::ALL.into_iter().filter(move |engine| self.contains(*engine))
    }
}

impl fmt::Display for EngineSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Engine::name).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for EngineSet {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('+').try_fold(EngineSet::default(), |set, word| Ok(set.with(word.trim().parse()?)))
    }
}

/// What answered: the model, or the stand-in server. Kept in every record, so that the text of a stand-in is never
/// mistaken for the text of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ServerKind {
    /// A vLLM server with the profile's model.
    Model = 1,
    /// The stand-in, reading with Tesseract.
    StandInTesseract = 2,
    /// The stand-in, generating text: for scaling experiments only.
    StandInSynthetic = 3,
}

impl ServerKind {
    /// Name in shards, exports and reports.
    pub fn name(self) -> &'static str {
        match self {
            ServerKind::Model => "model",
            ServerKind::StandInTesseract => "stand-in-tesseract",
            ServerKind::StandInSynthetic => "stand-in-synthetic",
        }
    }

    /// The kind with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Model, Self::StandInTesseract, Self::StandInSynthetic].into_iter().find(|kind| *kind as u8 == code)
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
