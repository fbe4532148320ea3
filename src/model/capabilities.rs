//! What a server can do.

use serde::{Deserialize, Serialize};

use super::{FinishReason, ServerKind};

/// What a server says of itself at the handshake, and what follows from it. Kept with the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Version it reports.
    pub version: String,
    /// Model id it serves, to be named in every request.
    pub model: String,
    /// Where it has the model from: an id or a folder.
    pub root: Option<String>,
    /// Its context window, tokens.
    pub max_model_len: u32,
    /// The model itself, or a stand-in.
    pub server: ServerKind,
    /// Whether it obeys `repetition_detection`. A 200 proves nothing: unknown fields are ignored.
    pub repetition_detection: bool,
    /// Whether the n-gram processor that the profile asks for is loaded; `None` where it asks for none, or a stand-in
    /// serves.
    pub ngram_processor: Option<bool>,
    /// The finish reasons that its version has.
    pub finish_reasons: Vec<FinishReason>,
    /// Which of the figures that we read its `/metrics` offers, by their names; `None` where it has no such page.
    pub metrics: Option<Vec<String>>,
}
