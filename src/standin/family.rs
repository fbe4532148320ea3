//! The two families of engines whose rules a stand-in knows.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// A family of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Chandra.
    Chandra,
    /// DeepSeek-OCR.
    DeepSeek,
}

impl Engine {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Chandra => "chandra",
            Engine::DeepSeek => "deepseek",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "chandra" => Ok(Engine::Chandra),
            "deepseek" => Ok(Engine::DeepSeek),
            _ => Err("is neither chandra nor deepseek".into()),
        }
    }
}
