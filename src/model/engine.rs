//! The engines a rank can run.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::RankId;

/// An OCR engine family. Which model and version serves it is the profile's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Engine {
    /// Stage 1: every page goes here first.
    Chandra = 1,
    /// Stage 2: pages that Chandra failed.
    DeepSeek = 2,
}

impl Engine {
    /// Both engines, stage 1 first.
    pub const ALL: [Engine; 2] = [Engine::Chandra, Engine::DeepSeek];

    /// The word used in patterns, shards, exports and reports.
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

/// A word that names no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no engine: use `chandra`, `deepseek`, or `chandra+deepseek` for a rank that serves both")]
pub struct ParseEngineError(String);

/// The engines one rank can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineSet(u8);

impl EngineSet {
    /// A set of one.
    pub fn only(engine: Engine) -> Self {
        EngineSet(engine as u8)
    }

    /// The set of all.
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

/// Which engines each rank serves: `chandra,chandra,deepseek` is dealt to the ranks in order of their numbers and repeats.
/// Launchers number the ranks of a node one after the other, so a pattern as long as a node has GPUs is one a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RolePattern(Vec<EngineSet>);

impl RolePattern {
    /// Chandra on every rank: nothing can recover a failed page.
    pub fn all_chandra() -> Self {
        RolePattern(vec![EngineSet::only(Engine::Chandra)])
    }

    /// The engines of a rank.
    pub fn of(&self, rank: RankId) -> EngineSet {
        self.0[rank.0 as usize % self.0.len()]
    }

    /// Whether some place of the pattern serves the engine.
    pub fn serves(&self, engine: Engine) -> bool {
        self.0.iter().any(|set| set.contains(engine))
    }
}

impl FromStr for RolePattern {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(RolePattern)
    }
}

impl TryFrom<String> for RolePattern {
    type Error = ParseEngineError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RolePattern> for String {
    fn from(pattern: RolePattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for RolePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<_> = self.0.iter().map(EngineSet::to_string).collect();
        f.write_str(&sets.join(","))
    }
}

/// What answered: the model itself, or the stand-in server. Kept in every record, so that a stand-in's
/// text can never be mistaken for the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ServerKind {
    /// A vLLM server with the profile's model.
    Model = 1,
    /// The stand-in, reading with Tesseract.
    StandInTesseract = 2,
    /// The stand-in, inventing text: for scaling experiments only.
    StandInSynthetic = 3,
}

impl ServerKind {
    /// The word used in shards, exports and reports.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_repeats_over_the_ranks() {
        let pattern: RolePattern = "chandra,chandra+deepseek".parse().unwrap();
        assert_eq!(pattern.of(RankId(0)), EngineSet::only(Engine::Chandra));
        assert!(pattern.of(RankId(3)).contains(Engine::DeepSeek));
        assert_eq!(pattern.to_string(), "chandra,chandra+deepseek");
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_remedy() {
        let error = "chandra,tesseract".parse::<RolePattern>().unwrap_err();
        assert!(error.to_string().contains("`tesseract` is no engine"));
        assert!("".parse::<RolePattern>().is_err());
    }
}
