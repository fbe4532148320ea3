//! Roles of ranks.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Engine, EngineName, EngineNames, EngineSet, ParseEngineNameError, RankId};

/// The engines that a rank serves, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// One engine during the whole run.
    One(Engine),
    /// Several engines, each with its own server. The servers share the memory of the GPU.
    Together(EngineSet),
    /// Several engines, one at a time, the first of them first. Rank 0 orders the role switch.
    OneAtATime(EngineSet),
}

impl Role {
    /// The engines that the rank can serve.
    pub fn engines(self) -> EngineSet {
        match self {
            Role::One(engine) => EngineSet::only(engine),
            Role::Together(engines) | Role::OneAtATime(engines) => engines,
        }
    }

    /// The engines whose servers start with the rank.
    pub fn first(self) -> EngineSet {
        match self {
            Role::One(_) | Role::Together(_) => self.engines(),
            Role::OneAtATime(engines) => engines.first().map(EngineSet::only).unwrap_or_default(),
        }
    }

    /// These engines, one at a time.
    pub fn one_at_a_time(engines: EngineSet) -> Role {
        Self::of(engines, Role::OneAtATime)
    }

    /// A set of one engine is served as that engine alone.
    fn of(engines: EngineSet, several: fn(EngineSet) -> Role) -> Role {
        engines.first().filter(|_| engines.len() == 1).map_or(several(engines), Role::One)
    }
}

/// The roles of all ranks: those of a pattern are assigned to the ranks in order of their numbers and repeat.
/// Launchers number the ranks of a node consecutively, so a pattern as long as the number of GPUs of a node repeats on
/// each node. If an engine would have no rank because there are too few, the last rank serves all, one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePattern(Vec<Role>);

impl RolePattern {
    /// These roles, the first of them for the first rank; at least one.
    pub(crate) fn new(roles: impl IntoIterator<Item = Role>) -> Self {
        RolePattern(roles.into_iter().collect())
    }

    /// This role on every rank.
    pub fn all(role: Role) -> Self {
        RolePattern(vec![role])
    }

    /// The role of a rank; `ranks` is the number of ranks.
    pub fn of(&self, rank: RankId, ranks: u32) -> Role {
        if rank.0 + 1 == ranks && self.leaves_out_engine(ranks) {
            return Role::one_at_a_time(self.engines());
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

    /// The pattern as it is written.
    pub fn named(&self, names: &EngineNames) -> RoleNames {
        let all = |engines: EngineSet| engines.iter().map(|engine| names[engine].clone()).collect();
        let named = |role: &Role| match *role {
            Role::One(engine) => NamedRole { engines: vec![names[engine].clone()], together: false },
            Role::Together(engines) => NamedRole { engines: all(engines), together: true },
            Role::OneAtATime(engines) => NamedRole { engines: all(engines), together: false },
        };
        RoleNames(self.0.iter().map(named).collect())
    }
}

fn engines<'a>(roles: impl Iterator<Item = &'a Role>) -> EngineSet {
    roles.flat_map(|role| role.engines().iter()).collect()
}

/// A role pattern as it is written, with the names of the engines: `7*chandra,deepseek`. `a/b` serves one of the two at
/// a time, `a+b` both together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleNames(Vec<NamedRole>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedRole {
    engines: Vec<EngineName>,
    /// Only for several engines.
    together: bool,
}

impl RoleNames {
    /// The engines that the pattern names, each once, in the order in which it first names them.
    pub fn engines(&self) -> Vec<EngineName> {
        let mut names: Vec<EngineName> = Vec::new();
        for name in self.0.iter().flat_map(|role| &role.engines) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The pattern for a run with these engines.
    ///
    /// # Errors
    /// The first name that is none of them.
    pub fn resolve(&self, names: &EngineNames) -> Result<RolePattern, EngineName> {
        let engine = |name: &EngineName| names.engine(name.as_str()).ok_or_else(|| name.clone());
        let role = |role: &NamedRole| {
            let engines = role.engines.iter().map(engine).collect::<Result<EngineSet, _>>()?;
            Ok(Role::of(engines, if role.together { Role::Together } else { Role::OneAtATime }))
        };
        self.0.iter().map(role).collect::<Result<_, _>>().map(RolePattern)
    }
}

impl FromStr for NamedRole {
    type Err = ParseRolesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let together = text.contains('+');
        if together && text.contains('/') {
            return Err(ParseRolesError::Mixed(text.trim().into()));
        }
        let name = |word: &str| word.trim().parse::<EngineName>();
        let engines = text.split(if together { '+' } else { '/' }).map(name).collect::<Result<Vec<_>, _>>()?;
        let together = together && engines.iter().any(|engine| *engine != engines[0]);
        Ok(NamedRole { engines, together })
    }
}

impl fmt::Display for NamedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.engines.iter().map(EngineName::as_str).collect();
        f.write_str(&words.join(if self.together { "+" } else { "/" }))
    }
}

/// A text that is no role pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseRolesError {
    /// The name of an engine cannot be one.
    #[error(
        "{0}; write roles as `7*chandra,deepseek`: `a+b` is a rank with these engines together, `a/b` one with these, one \
         at a time"
    )]
    Name(#[from] ParseEngineNameError),
    /// The number before `*` is not one.
    #[error("`{0}` does not begin with the number of ranks: write `7*chandra` for seven ranks with chandra")]
    Count(String),
    /// One role with `+` and `/`.
    #[error("`{0}`: a rank serves its engines together (`a+b`) or one at a time (`a/b`), not both")]
    Mixed(String),
}

impl FromStr for RoleNames {
    type Err = ParseRolesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        /// No machine has more ranks: a larger number is a typing error.
        const MOST: u32 = 100_000;
        let mut roles = Vec::new();
        for word in text.split(',') {
            let (count, role) = match word.split_once('*') {
                None => (1, word),
                Some((count, role)) => {
                    let count = count.trim().parse().map(NonZeroU32::get).ok().filter(|count| *count <= MOST);
                    (count.ok_or_else(|| ParseRolesError::Count(word.trim().into()))?, role)
                }
            };
            roles.extend(std::iter::repeat_n(role.parse::<NamedRole>()?, count as usize));
        }
        Ok(RoleNames(roles))
    }
}

impl TryFrom<String> for RoleNames {
    type Error = ParseRolesError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RoleNames> for String {
    fn from(roles: RoleNames) -> String {
        roles.to_string()
    }
}

impl fmt::Display for RoleNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |run: &[NamedRole]| match run.len() {
            1 => run[0].to_string(),
            count => format!("{count}*{}", run[0]),
        };
        let words: Vec<_> = self.0.chunk_by(NamedRole::eq).map(word).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> EngineNames {
        EngineNames::new(["chandra", "deepseek", "surya-2"].map(|name| name.parse().unwrap()).into()).unwrap()
    }

    fn pattern(text: &str) -> RolePattern {
        text.parse::<RoleNames>().unwrap().resolve(&three()).unwrap()
    }

    #[test]
    fn a_pattern_repeats_over_the_ranks() {
        let [chandra, deepseek] = [0, 1].map(|position| Engine::at(position).unwrap());
        let both = EngineSet::only(chandra).with(deepseek);
        let roles = pattern("2*chandra, chandra+deepseek,deepseek/chandra,surya-2/deepseek/chandra");
        assert_eq!(roles.of(RankId(1), 10), Role::One(chandra));
        assert_eq!(roles.of(RankId(7), 10), Role::Together(both));
        assert_eq!(roles.of(RankId(3), 10), Role::OneAtATime(both));
        assert_eq!(roles.of(RankId(4), 10), Role::OneAtATime(three().all()));
        assert_eq!(roles.of(RankId(4), 10).first(), EngineSet::only(chandra));
        let written = "2*chandra,chandra+deepseek,chandra/deepseek,chandra/deepseek/surya-2";
        assert_eq!(roles.named(&three()).to_string(), written);
        assert_eq!(pattern("chandra,chandra").named(&three()).to_string(), "2*chandra");
        assert_eq!(pattern("deepseek+deepseek"), RolePattern::all(Role::One(deepseek)));
    }

    #[test]
    fn every_engine_has_a_rank_however_few_ranks_there_are() {
        for (text, ranks, expected) in [
            ("2*chandra,deepseek", 4, "chandra,chandra,deepseek,chandra"),
            ("2*chandra,deepseek", 2, "chandra,chandra/deepseek"),
            ("7*chandra,deepseek", 1, "chandra/deepseek"),
            ("deepseek,chandra", 1, "chandra/deepseek"),
            ("chandra,chandra+deepseek,deepseek", 2, "chandra,chandra+deepseek"),
            ("3*chandra", 2, "chandra,chandra"),
            ("2*chandra,deepseek,surya-2", 3, "chandra,chandra,chandra/deepseek/surya-2"),
        ] {
            let roles = pattern(text);
            let of = |rank| RolePattern::all(roles.of(RankId(rank), ranks)).named(&three()).to_string();
            assert_eq!((0..ranks).map(of).collect::<Vec<_>>().join(","), expected, "{text} on {ranks}");
        }
    }

    #[test]
    fn names_are_free_and_come_in_the_order_of_the_text() {
        let roles: RoleNames = "2*surya-2,a+b_7,surya-2/a".parse().unwrap();
        assert_eq!(roles.engines().iter().map(EngineName::as_str).collect::<Vec<_>>(), ["surya-2", "a", "b_7"]);
        assert_eq!(roles.to_string(), "2*surya-2,a+b_7,surya-2/a");
        assert_eq!(roles.resolve(&three()).unwrap_err().as_str(), "a");
    }

    #[test]
    fn a_wrong_word_is_refused_with_the_remedy() {
        for (text, word) in [
            ("", "begins with a letter"),
            ("chandra/", "begins with a letter"),
            ("ch andra", "begins with a letter"),
            ("0*chandra", "number of ranks"),
            ("x*chandra", "number of ranks"),
            ("4000000000*chandra", "number of ranks"),
            ("a+b/c", "not both"),
        ] {
            let error = text.parse::<RoleNames>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
