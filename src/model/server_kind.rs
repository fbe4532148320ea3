//! What answers a request.

use std::fmt;

use serde::{Deserialize, Serialize};

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
