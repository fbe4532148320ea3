//! The engines of a run.

use std::{collections::BTreeSet, fmt, ops::Index, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// An engine of a run: its position in the order of the run's stages. [`EngineNames`] has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Engine(u8);

impl Engine {
    /// Greatest number of engines of a run: the bits of an [`EngineSet`].
    pub const MOST: usize = 8;

    /// The engine that every page goes to first.
    pub const FIRST: Engine = Engine(0);

    /// The engine at this position, from 0; `None` beyond [`Engine::MOST`].
    pub const fn at(position: usize) -> Option<Engine> {
        if position < Self::MOST { Some(Engine(position as u8)) } else { None }
    }

    /// Its position, from 0.
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u8> for Engine {
    type Error = NoSuchEngine;

    fn try_from(position: u8) -> Result<Self, Self::Error> {
        Engine::at(position.into()).ok_or(NoSuchEngine(position))
    }
}

impl From<Engine> for u8 {
    fn from(engine: Engine) -> u8 {
        engine.0
    }
}

/// A number that is the position of no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the position of an engine: a run has at most {most}", most = Engine::MOST)]
pub struct NoSuchEngine(pub(super) u8);

/// A set of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineSet(u8);

impl EngineSet {
    /// Every engine that a run can have.
    pub const ANY: EngineSet = EngineSet(u8::MAX);

    /// The set with this engine only.
    pub const fn only(engine: Engine) -> Self {
        EngineSet(1 << engine.0)
    }

    /// This set and `engine`.
    #[must_use]
    pub const fn with(self, engine: Engine) -> Self {
        EngineSet(self.0 | 1 << engine.0)
    }

    /// This set without `engine`.
    #[must_use]
    pub const fn without(self, engine: Engine) -> Self {
        EngineSet(self.0 & !(1 << engine.0))
    }

    /// Whether `engine` is in the set.
    pub const fn contains(self, engine: Engine) -> bool {
        self.0 & 1 << engine.0 != 0
    }

    /// Whether no engine is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set's code in shards: bit `n` stands for the engine at position `n`.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The set with this shard code.
    pub const fn from_code(code: u8) -> Self {
        EngineSet(code)
    }

    /// The engines in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        EngineSet(self.0 & other.0)
    }

    /// The first engine of the set, in the order of the stages.
    pub fn first(self) -> Option<Engine> {
        self.iter().next()
    }

    /// The number of engines in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The engines in the set, in the order of the stages.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Engine> {
        (0..Engine::MOST as u8).map(Engine).filter(move |engine| self.contains(*engine))
    }
}

impl FromIterator<Engine> for EngineSet {
    fn from_iter<I: IntoIterator<Item = Engine>>(engines: I) -> Self {
        engines.into_iter().fold(EngineSet::default(), EngineSet::with)
    }
}

/// The name of an engine: `chandra`, `surya-2`. It stands in role patterns, in the configuration and in names of files,
/// so it has letters, digits, `-` and `_` only, and begins with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineName(Arc<str>);

impl EngineName {
    /// Greatest length of a name.
    pub const LONGEST: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EngineName {
    type Err = ParseEngineNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if begins && text.chars().all(plain) && text.len() <= Self::LONGEST {
            Ok(EngineName(text.into()))
        } else {
            Err(ParseEngineNameError(text.into()))
        }
    }
}

impl TryFrom<String> for EngineName {
    type Error = ParseEngineNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EngineName> for String {
    fn from(name: EngineName) -> String {
        name.as_str().into()
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that cannot name an engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name an engine: a name begins with a letter, has letters, digits, `-` and `_`, and at most {longest} \
     of them",
    longest = EngineName::LONGEST
)]
pub struct ParseEngineNameError(String);

/// The names of a run's engines, in the order of its stages. All ranks have the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<EngineName>", into = "Vec<EngineName>")]
pub struct EngineNames(Arc<[EngineName]>);

impl EngineNames {
    /// The names in their order.
    ///
    /// # Errors
    /// There is none, too many, or one twice.
    pub fn new(names: Vec<EngineName>) -> Result<Self, EngineNamesError> {
        let mut seen = BTreeSet::new();
        match names.iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(EngineNamesError::Twice(twice.clone())),
            None if names.is_empty() => Err(EngineNamesError::None),
            None if names.len() > Engine::MOST => Err(EngineNamesError::TooMany(names.len())),
            None => Ok(EngineNames(names.into())),
        }
    }

    /// The engine with this name.
    pub fn engine(&self, name: &str) -> Option<Engine> {
        Engine::at(self.0.iter().position(|known| known.as_str() == name)?)
    }

    /// Whether the run has the engine.
    pub fn has(&self, engine: Engine) -> bool {
        engine.position() < self.0.len()
    }

    /// The engines with their names, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Engine, &EngineName)> {
        self.0.iter().enumerate().map(|(position, name)| (Engine(position as u8), name))
    }

    /// All engines of the run.
    pub fn all(&self) -> EngineSet {
        self.iter().map(|(engine, _)| engine).collect()
    }

    /// The names in their order.
    pub fn names(&self) -> &[EngineName] {
        &self.0
    }

    /// The engines of a set, as in `chandra+deepseek`.
    pub fn text(&self, set: EngineSet, separator: &str) -> String {
        set.iter().map(|engine| self[engine].as_str()).collect::<Vec<_>>().join(separator)
    }
}

impl Index<Engine> for EngineNames {
    type Output = EngineName;

    fn index(&self, engine: Engine) -> &EngineName {
        &self.0[engine.position()]
    }
}

/// Chandra, and DeepSeek-OCR for the pages that Chandra fails.
impl Default for EngineNames {
    fn default() -> Self {
        EngineNames(["chandra", "deepseek"].map(|name| EngineName(name.into())).into())
    }
}

impl TryFrom<Vec<EngineName>> for EngineNames {
    type Error = EngineNamesError;

    fn try_from(names: Vec<EngineName>) -> Result<Self, Self::Error> {
        EngineNames::new(names)
    }
}

impl From<EngineNames> for Vec<EngineName> {
    fn from(names: EngineNames) -> Vec<EngineName> {
        names.0.to_vec()
    }
}

/// Names that cannot be the stages of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineNamesError {
    /// No engine.
    #[error("a run needs an engine: name at least one in `stages`")]
    None,
    /// More engines than [`Engine::MOST`].
    #[error("{0} engines are too many: `stages` can name {most} of them", most = Engine::MOST)]
    TooMany(usize),
    /// An engine stands twice.
    #[error("`stages` names {0} twice: the first engine gets the pages that all others fail a second time by itself")]
    Twice(EngineName),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<EngineNames, EngineNamesError> {
        EngineNames::new(text.split_whitespace().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn a_name_is_a_word_of_role_patterns_and_of_file_names() {
        for name in ["chandra", "surya-2", "DeepSeek_OCR2", &"x".repeat(32)] {
            assert_eq!(name.parse::<EngineName>().unwrap().to_string(), name);
        }
        for name in ["", "2surya", "-a", "a b", "a+b", "a/b", "a,b", "a*b", "a.b", "surya²", &"x".repeat(33)] {
            let error = name.parse::<EngineName>().unwrap_err().to_string();
            assert!(error.contains("begins with a letter"), "{name}: {error}");
        }
    }

    #[test]
    fn a_run_has_one_to_eight_engines_and_each_once() {
        assert_eq!(names(""), Err(EngineNamesError::None));
        assert_eq!(names("a b c d e f g h i"), Err(EngineNamesError::TooMany(9)));
        assert!(matches!(names("a b a"), Err(EngineNamesError::Twice(_))));
        let eight = names("a b c d e f g h").unwrap();
        assert_eq!(eight.all(), EngineSet::ANY);
        assert_eq!(eight.engine("h"), Engine::at(7));
        assert_eq!(eight.engine("i"), None);
    }

    #[test]
    fn a_set_keeps_the_order_of_the_stages() {
        let three = names("surya-2 chandra deepseek").unwrap();
        let set = ["deepseek", "surya-2"].map(|name| three.engine(name).unwrap()).into_iter().collect::<EngineSet>();
        assert_eq!(three.text(set, "+"), "surya-2+deepseek");
        assert_eq!((set.code(), set.len(), set.first()), (0b101, 2, Some(Engine::FIRST)));
        assert_eq!(set.iter().next_back(), Engine::at(2));
        assert_eq!(EngineSet::from_code(set.code()), set);
        assert_eq!(set.without(Engine::FIRST).and(three.all()), EngineSet::only(Engine::at(2).unwrap()));
    }
}
