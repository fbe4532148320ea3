//! The share of a GPU's memory that a server may use.

use crate::model::{Engine, EngineName, Role, RunEngines};

/// Share of a server that has the GPU for itself while it serves (`docs/facts/chandra.md`, "Launcher").
const ALONE: f32 = 0.85;

/// Greatest sum of the shares of the servers on one GPU. The rest is for what each allocates outside of its share
/// (`docs/facts/vllm.md`, "Memory and sleep").
const TOGETHER_AT_MOST: f32 = 0.95;

/// The share of a GPU's memory that a server may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryShare {
    /// The role of the server's rank.
    pub role: Role,
    /// Share of the GPU's memory, above 0 and at most 1: `{memory}` of a launch command.
    pub memory: f32,
}

/// Shares of a GPU's memory that cannot be given.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MemoryShareError {
    /// The share is not above 0 and at most 1.
    #[error("engines.{engine}.memory is {memory}: give a share of the GPU's memory, above 0 and at most 1")]
    NoShare { engine: EngineName, memory: f32 },
    /// The shares of a rank's servers together exceed what one GPU can give.
    #[error(
        "role {role} gives {shares} of one GPU's memory, together more than {TOGETHER_AT_MOST}: lower {settings}, or let \
         them take turns ({turns})"
    )]
    TooMuch { role: String, shares: String, settings: String, turns: String },
}

impl MemoryShare {
    /// The share of an engine's server on a rank of this role.
    ///
    /// # Errors
    /// The configured share is out of range, or the shares of the rank's servers are too much for one GPU.
    pub fn new(role: Role, engine: Engine, engines: &RunEngines) -> Result<MemoryShare, MemoryShareError> {
        let memory = memory_of(role, engine, engines);
        if !(memory > 0.0 && memory <= 1.0) {
            return Err(MemoryShareError::NoShare { engine: engines.name(engine).clone(), memory });
        }
        if let Role::Together(set) = role {
            let shares: Vec<_> =
                set.iter().map(|engine| (engines.name(engine), memory_of(role, engine, engines))).collect();
            // The tolerance is for the rounding of f32: configured shares have two or three digits.
            if shares.iter().map(|(_, share)| share).sum::<f32>() > TOGETHER_AT_MOST + 1e-4 {
                let listed = |word: &dyn Fn(&EngineName, f32) -> String, separator| {
                    shares.iter().map(|(name, share)| word(name, *share)).collect::<Vec<_>>().join(separator)
                };
                return Err(MemoryShareError::TooMuch {
                    role: engines.names().text(set, "+"),
                    shares: listed(&|name, share| format!("{name} {share}"), " and "),
                    settings: listed(&|name, _| format!("engines.{name}.memory"), " or "),
                    turns: engines.names().text(set, "/"),
                });
            }
        }
        Ok(MemoryShare { role, memory })
    }
}

/// The configured share, or else a default. The weights take 17.6 GB (Chandra 1), 10 GB (Chandra 2) and 6.7 GB
/// (DeepSeek-OCR; `docs/facts/chandra.md`, "Models"); each server also needs memory for images and its KV cache. Few
/// pages come to the later engines of a rank: 0.25 leaves DeepSeek-OCR 3 GB for that on a card of 40 GB, and 13 GB on one
/// of 80 GB; 0.6 leaves Chandra 1 6 GB and 30 GB. Several later engines divide that quarter. A server of a rank with role
/// switches gets the share of a single server, since the others sleep or have ended.
fn memory_of(role: Role, engine: Engine, engines: &RunEngines) -> f32 {
    let left = match role {
        Role::Together(set) if set.first() == Some(engine) => 0.6,
        Role::Together(set) => 0.25 / set.len().saturating_sub(1).max(1) as f32,
        Role::One(_) | Role::OneAtATime(_) => ALONE,
    };
    engines.of(engine).memory.unwrap_or(left)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::RankId;

    const CHANDRA: Engine = Engine::FIRST;
    const DEEPSEEK: Engine = Engine::at(1).unwrap();

    fn engines(roles: &str, chandra: Option<f32>, deepseek: Option<f32>) -> RunEngines {
        let mut engines = RunEngines::new(Some(&roles.parse().unwrap()), None, BTreeMap::new()).unwrap();
        engines.of_mut(CHANDRA).memory = chandra;
        engines.of_mut(DEEPSEEK).memory = deepseek;
        engines
    }

    fn share(engine: Engine, engines: &RunEngines) -> Result<f32, MemoryShareError> {
        MemoryShare::new(engines.roles().of(RankId(0), 1), engine, engines).map(|memory_share| memory_share.memory)
    }

    #[test]
    fn a_server_has_its_gpu_for_itself_but_where_two_serve_together() {
        for role in ["chandra", "chandra/deepseek"] {
            assert_eq!(share(CHANDRA, &engines(role, None, None)), Ok(ALONE), "{role}");
        }
        for (role, number) in [("chandra+deepseek", 2), ("chandra+deepseek+surya-2", 3)] {
            let engines = engines(role, None, None);
            let shares: Vec<_> = engines.all().map(|engine| share(engine, &engines).unwrap()).collect();
            assert_eq!(shares.len(), number);
            assert!(shares[0] > shares[1] && shares.iter().sum::<f32>() <= TOGETHER_AT_MOST, "{shares:?}");
        }
    }

    #[test]
    fn two_servers_that_do_not_fit_on_one_gpu_are_refused_and_one_or_turns_are_not() {
        let of = |roles| engines(roles, Some(0.8), Some(0.3));
        let error = share(DEEPSEEK, &of("chandra+deepseek")).unwrap_err().to_string();
        for word in ["0.8", "0.3", "0.95", "engines.deepseek.memory", "chandra/deepseek"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert_eq!(share(CHANDRA, &of("chandra/deepseek")), Ok(0.8));
    }

    #[test]
    fn shares_up_to_the_limit_are_given_and_what_is_no_share_is_refused() {
        assert_eq!(share(CHANDRA, &engines("chandra+deepseek", Some(0.7), None)), Ok(0.7));
        for memory in [0.0, -0.1, 1.5, f32::NAN] {
            let error = share(CHANDRA, &engines("chandra", Some(memory), None)).unwrap_err();
            assert!(error.to_string().contains("engines.chandra.memory"), "{error}");
        }
    }
}
