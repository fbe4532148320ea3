//! Roles of ranks.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Engine, EngineSet, ParseEngineError, RankId};

/// The engines that a rank serves, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// One engine during the whole run.
    One(Engine),
    /// Both engines, each with its own server. The servers share the memory of the GPU.
    Together,
    /// One engine at a time, stage 1 first. Rank 0 orders the role switch.
    OneAtATime,
}

impl Role {
    /// The engines that the rank can serve.
    pub fn engines(self) -> EngineSet {
        match self {
            Role::One(engine) => EngineSet::only(engine),
            Role::Together | Role::OneAtATime => EngineSet::all(),
        }
    }

    /// The engines whose servers start with the rank.
    pub fn first(self) -> EngineSet {
        match self {
            Role::One(_) | Role::Together => self.engines(),
            Role::OneAtATime => EngineSet::only(Engine::Chandra),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::One(engine) => engine.fmt(f),
            Role::Together => f.write_str("chandra+deepseek"),
            Role::OneAtATime => f.write_str("chandra/deepseek"),
        }
    }
}

impl FromStr for Role {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let both = |separator| -> Result<Option<EngineSet>, ParseEngineError> {
            let Some((one, other)) = text.split_once(separator) else { return Ok(None) };
            Ok(Some(EngineSet::only(one.trim().parse()?).with(other.trim().parse()?)))
        };
        let role = |set: EngineSet, both| set.iter().next().filter(|_| set != EngineSet::all()).map_or(both, Role::One);
        if let Some(set) = both('+')? {
            Ok(role(set, Role::Together))
        } else if let Some(set) = both('/')? {
            Ok(role(set, Role::OneAtATime))
        } else {
            text.trim().parse().map(Role::One)
        }
    }
}

/// The roles of all ranks: `7*chandra,deepseek` is assigned to the ranks in order of their numbers and repeats.
/// Launchers number the ranks of a node consecutively, so a pattern as long as the number of GPUs of a node repeats on
/// each node. If an engine would have no rank because there are too few, the last rank serves both, one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RolePattern(Vec<Role>);

impl RolePattern {
    /// Chandra on every rank: no second engine can recover a failed page.
    pub fn all_chandra() -> Self {
        RolePattern(vec![Role::One(Engine::Chandra)])
    }

    /// Both engines on every rank, one at a time.
    pub fn both_in_turn() -> Self {
        RolePattern(vec![Role::OneAtATime])
    }

    /// The role of a rank; `ranks` is the number of ranks.
    pub fn of(&self, rank: RankId, ranks: u32) -> Role {
        if rank.0 + 1 == ranks && self.leaves_out_engine(ranks) {
            return Role::OneAtATime;
        }
        self.0[rank.0 as usize % self.0.len()]
    }

    /// Whether an engine of the pattern would have no rank among this many.
    pub fn leaves_out_engine(&self, ranks: u32) -> bool {
        engines(self.0.iter().take(ranks as usize)) != self.engines()
    }

    /// The engines that the pattern names.
    pub fn engines(&self) -> EngineSet {
        engines(self.0.iter())
    }

    /// Whether the pattern names the engine.
    pub fn serves(&self, engine: Engine) -> bool {
        self.engines().contains(engine)
    }
}

fn engines<'a>(roles: impl Iterator<Item = &'a Role>) -> EngineSet {
    roles.flat_map(|role| role.engines().iter()).fold(EngineSet::default(), EngineSet::with)
}

impl FromStr for RolePattern {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        /// No machine has more ranks: a larger number is a typing error.
        const MOST: u32 = 100_000;
        let mut roles = Vec::new();
        for word in text.split(',') {
            let (count, role) = match word.split_once('*') {
                None => (1, word),
                Some((count, role)) => {
                    let count = count.trim().parse().map(NonZeroU32::get).ok().filter(|count| *count <= MOST);
                    (count.ok_or_else(|| ParseEngineError(word.into()))?, role)
                }
            };
            roles.extend(std::iter::repeat_n(role.parse::<Role>()?, count as usize));
        }
        Ok(RolePattern(roles))
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
        let word = |run: &[Role]| match run.len() {
            1 => run[0].to_string(),
            count => format!("{count}*{}", run[0]),
        };
        let words: Vec<_> = self.0.chunk_by(Role::eq).map(word).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_repeats_over_the_ranks() {
        let pattern: RolePattern = "2*chandra, chandra+deepseek,chandra/deepseek".parse().unwrap();
        assert_eq!(pattern.of(RankId(1), 8), Role::One(Engine::Chandra));
        assert_eq!(pattern.of(RankId(6), 8), Role::Together);
        assert_eq!(pattern.of(RankId(3), 8), Role::OneAtATime);
        assert_eq!(pattern.to_string(), "2*chandra,chandra+deepseek,chandra/deepseek");
        assert_eq!("chandra,chandra".parse::<RolePattern>().unwrap().to_string(), "2*chandra");
        assert_eq!("deepseek+deepseek".parse(), Ok(Role::One(Engine::DeepSeek)));
    }

    #[test]
    fn every_engine_has_a_rank_however_few_ranks_there_are() {
        for (pattern, ranks, expected) in [
            ("2*chandra,deepseek", 4, "chandra chandra deepseek chandra"),
            ("2*chandra,deepseek", 2, "chandra chandra/deepseek"),
            ("7*chandra,deepseek", 1, "chandra/deepseek"),
            ("deepseek,chandra", 1, "chandra/deepseek"),
            ("chandra,chandra+deepseek,deepseek", 2, "chandra chandra+deepseek"),
            ("3*chandra", 2, "chandra chandra"),
        ] {
            let pattern: RolePattern = pattern.parse().unwrap();
            let roles: Vec<_> = (0..ranks).map(|rank| pattern.of(RankId(rank), ranks).to_string()).collect();
            assert_eq!(roles.join(" "), expected, "{pattern} on {ranks}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_remedy() {
        let error = "chandra,tesseract".parse::<RolePattern>().unwrap_err();
        assert!(error.to_string().contains("`tesseract` is not an engine"));
        for text in ["", "0*chandra", "x*chandra", "4000000000*chandra", "chandra/"] {
            assert!(text.parse::<RolePattern>().is_err(), "{text}");
        }
    }
}
