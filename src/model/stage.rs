//! The stages of a page.

use serde::{Deserialize, Serialize};

use super::{Engine, engine::NoSuchEngine};

/// A stage of a page on one engine. A page that a stage did not read goes on to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Stage {
    /// On this engine: on the first one, or on a later one after all before it failed the page.
    On(Engine),
    /// On the first engine again, for the retry steps that its first stage did not try.
    FirstAgain,
}

impl Stage {
    /// The stage of every new page.
    pub const FIRST: Stage = Stage::On(Engine::FIRST);

    /// The code of [`Stage::FirstAgain`]. It stands between those of the second and the third engine, because runs had
    /// two engines at first.
    const AGAIN: u8 = 3;

    /// All stages.
    pub fn all() -> impl Iterator<Item = Stage> {
        (1..=Engine::MOST as u8 + 1).filter_map(Stage::from_code)
    }

    /// Name in shards and exports.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; Engine::MOST] =
            ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"];
        match self {
            Stage::On(engine) => NAMES[engine.position()],
            Stage::FirstAgain => "return",
        }
    }

    /// The engine of the stage.
    pub fn engine(self) -> Engine {
        match self {
            Stage::On(engine) => engine,
            Stage::FirstAgain => Engine::FIRST,
        }
    }

    /// The stage's code in shards.
    pub fn code(self) -> u8 {
        match self {
            Stage::FirstAgain => Self::AGAIN,
            Stage::On(engine) => {
                let code = u8::from(engine) + 1;
                if code < Self::AGAIN { code } else { code + 1 }
            }
        }
    }

    /// The stage with this shard code.
    pub fn from_code(code: u8) -> Option<Self> {
        let position = match code {
            Self::AGAIN => return Some(Stage::FirstAgain),
            code if code < Self::AGAIN => code.checked_sub(1)?,
            code => code - 2,
        };
        Engine::at(position.into()).map(Stage::On)
    }
}

impl From<Stage> for u8 {
    fn from(stage: Stage) -> u8 {
        stage.code()
    }
}

impl TryFrom<u8> for Stage {
    type Error = NoSuchEngine;

    fn try_from(code: u8) -> Result<Self, Self::Error> {
        Stage::from_code(code).ok_or(NoSuchEngine(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_its_code_and_the_first_three_keep_theirs() {
        let names: Vec<_> = Stage::all().map(|stage| (stage.code(), stage.name())).collect();
        assert_eq!(names[..4], [(1, "first"), (2, "second"), (3, "return"), (4, "third")]);
        assert_eq!(names.len(), 9);
        for stage in Stage::all() {
            assert_eq!(Stage::from_code(stage.code()), Some(stage));
        }
        assert_eq!((Stage::from_code(0), Stage::from_code(10)), (None, None));
    }
}
