//! The share of a GPU's memory that a server may use.

use crate::model::{
    Engine, Role,
    configuration::{EngineSettings, Engines},
};

/// Share of a server that has the GPU for itself while it serves (`docs/facts/chandra.md`, "Launcher").
const ALONE: f32 = 0.85;

/// Greatest sum of the shares of two servers on one GPU. The rest is for what each allocates outside of its share
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
    NoShare { engine: Engine, memory: f32 },
    /// The shares of two servers together exceed what one GPU can give.
    #[error(
        "role chandra+deepseek gives chandra {chandra} and deepseek {deepseek} of one GPU's memory, together more than \
         {TOGETHER_AT_MOST}: lower engines.chandra.memory or engines.deepseek.memory, or let them take turns \
         (chandra/deepseek)"
    )]
    TooMuch { chandra: f32, deepseek: f32 },
}

impl MemoryShare {
    /// The share of an engine's server on a rank of this role.
    ///
    /// # Errors
    /// The configured share is out of range, or two shares are too much for one GPU.
    pub fn new(role: Role, engine: Engine, engines: &Engines) -> Result<MemoryShare, MemoryShareError> {
        let memory = memory(role, engine, engines.of(engine))?;
        if role == Role::Together {
            let [chandra, deepseek] = Engine::ALL.map(|engine| memory_of(role, engine, engines.of(engine)));
            // The tolerance is for the rounding of f32: configured shares have two or three digits.
            if chandra + deepseek > TOGETHER_AT_MOST + 1e-4 {
                return Err(MemoryShareError::TooMuch { chandra, deepseek });
            }
        }
        Ok(MemoryShare { role, memory })
    }
}

fn memory(role: Role, engine: Engine, settings: &EngineSettings) -> Result<f32, MemoryShareError> {
    let memory = memory_of(role, engine, settings);
    if memory > 0.0 && memory <= 1.0 { Ok(memory) } else { Err(MemoryShareError::NoShare { engine, memory }) }
}

/// The configured share, or else a default. The weights take 17.6 GB (Chandra 1), 10 GB (Chandra 2) and 6.7 GB
/// (DeepSeek-OCR; `docs/facts/chandra.md`, "Models"); each server also needs memory for images and its KV cache. Few
/// pages come to DeepSeek: 0.25 leaves it 3 GB for that on a card of 40 GB, and 13 GB on one of 80 GB; 0.6 leaves
/// Chandra 1 6 GB and 30 GB. A server of a rank with role switches gets the share of a single server, since the other
/// one sleeps or has ended.
fn memory_of(role: Role, engine: Engine, settings: &EngineSettings) -> f32 {
    let left = match (role, engine) {
        (Role::Together, Engine::Chandra) => 0.6,
        (Role::Together, Engine::DeepSeek) => 0.25,
        (Role::One(_) | Role::OneAtATime, _) => ALONE,
    };
    settings.memory.unwrap_or(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines(chandra: Option<f32>, deepseek: Option<f32>) -> Engines {
        let mut engines = Engines::default();
        engines.chandra.memory = chandra;
        engines.deepseek.memory = deepseek;
        engines
    }

    fn share(role: &str, engine: Engine, engines: &Engines) -> Result<f32, MemoryShareError> {
        MemoryShare::new(role.parse().unwrap(), engine, engines).map(|memory_share| memory_share.memory)
    }

    #[test]
    fn a_server_has_its_gpu_for_itself_but_where_two_serve_together() {
        let engines = engines(None, None);
        for role in ["chandra", "chandra/deepseek"] {
            assert_eq!(share(role, Engine::Chandra, &engines), Ok(ALONE), "{role}");
        }
        let both = Engine::ALL.map(|engine| share("chandra+deepseek", engine, &engines).unwrap());
        assert!(both[0] > both[1] && both[0] + both[1] <= TOGETHER_AT_MOST, "{both:?}");
    }

    #[test]
    fn two_servers_that_do_not_fit_on_one_gpu_are_refused_and_one_or_turns_are_not() {
        let engines = engines(Some(0.8), Some(0.3));
        let error = share("chandra+deepseek", Engine::DeepSeek, &engines).unwrap_err().to_string();
        for word in ["0.8", "0.3", "0.95", "engines.deepseek.memory", "chandra/deepseek"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert_eq!(share("chandra/deepseek", Engine::Chandra, &engines), Ok(0.8));
        assert_eq!(share("deepseek", Engine::DeepSeek, &engines), Ok(0.3));
    }

    #[test]
    fn shares_up_to_the_limit_are_given_and_what_is_no_share_is_refused() {
        assert_eq!(share("chandra+deepseek", Engine::Chandra, &engines(Some(0.7), None)), Ok(0.7));
        for memory in [0.0, -0.1, 1.5, f32::NAN] {
            let error = share("chandra", Engine::Chandra, &engines(Some(memory), None)).unwrap_err();
            assert!(error.to_string().contains("engines.chandra.memory"), "{error}");
        }
    }
}
