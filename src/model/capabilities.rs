//! Capabilities of a server.

use serde::{Deserialize, Serialize};

use super::{FinishReason, ServerKind};

/// What a server reports at the handshake, and what follows from it. Kept with the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Version that the server reports.
    pub version: String,
    /// Model id that it serves. Every request must name it.
    pub model: String,
    /// Where it loaded the model from: an id or a folder.
    pub root: Option<String>,
    /// Context window, in tokens.
    pub max_model_len: u32,
    /// The model itself, or a stand-in.
    pub server: ServerKind,
    /// Whether it applies `repetition_detection`. Status 200 does not prove it: vLLM ignores unknown fields.
    pub repetition_detection: bool,
    /// Whether the n-gram processor of the profile is loaded; `None` if the profile has none, or for a stand-in.
    pub ngram_processor: Option<bool>,
    /// Finish reasons that its version knows.
    pub finish_reasons: Vec<FinishReason>,
    /// Names of the metrics that bocr uses and that its `/metrics` offers; `None` if it has no such page.
    pub metrics: Option<Vec<String>>,
}
