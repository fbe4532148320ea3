//! One request to an engine, and everything worth knowing about it afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Engine, FailureClass, MachineFault, RankId, ServerKind, Shown, Stage};

/// Which model answered, and under which prompt. Equal for all attempts of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServedBy {
    /// The engine family.
    pub engine: Engine,
    /// The model itself, or a stand-in.
    pub server: ServerKind,
    /// Name of the profile, e.g. `chandra-2`.
    pub profile: String,
    /// Model id that the server reports.
    pub model: String,
    /// Version that the server reports.
    pub version: String,
    /// SHA-256 of the prompt text, lower-case hex.
    pub prompt_sha256: String,
    /// The fields that every request carries besides those of [`Sampling`], as a JSON object: `top_k`, penalties and such.
    pub request: String,
}

/// Sampling fields of a request. All are sent explicitly: what is left out is filled from the model's own
/// `generation_config.json` (`docs/facts/vllm.md`, "Endings and sampling").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Nucleus mass.
    pub top_p: f32,
}

/// Why the server, or our judge, stopped an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum FinishReason {
    /// The model ended its answer.
    Stop = 1,
    /// The token budget or the context ended.
    Length = 2,
    /// The server aborted it, possibly with HTTP 200.
    Abort = 3,
    /// The server reported an error for this request.
    Error = 4,
    /// The server's own repetition detection fired.
    Repetition = 5,
    /// Our judge saw a loop in the stream and closed the connection.
    Cut = 6,
}

impl FinishReason {
    /// The word used in shards, exports and reports.
    pub fn name(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::Abort => "abort",
            FinishReason::Error => "error",
            FinishReason::Repetition => "repetition",
            FinishReason::Cut => "cut",
        }
    }
}

/// Token counts as the server reports them; counted from the stream where a cut answer has no usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Prompt tokens, image included.
    pub prompt: u32,
    /// Generated tokens.
    pub completion: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// The answer was accepted.
    Accepted,
    /// The engine said that the page is blank.
    Blank,
    /// The answer was not accepted. Counts against the page.
    Failed(FailureClass),
    /// The machine failed. Never counts against the page.
    Interrupted(MachineFault),
}

/// One request to an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who answered.
    pub served_by: ServedBy,
    /// The rank that asked.
    pub rank: RankId,
    /// The page's stay with the engine.
    pub stage: Stage,
    /// What was sent of the page.
    pub shown: Shown,
    /// `X-Request-Id`, part of the request's name in the server's log.
    pub request_id: String,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why the answer stopped; `None` when there was none.
    pub finish: Option<FinishReason>,
    /// Position on the profile's sampling ladder, 0-based.
    pub step: u8,
    /// Sampling fields of the request.
    pub sampling: Sampling,
    /// Whether the request carried a cache salt, which is its own id.
    pub salted: bool,
    /// Token budget of the request.
    pub max_tokens: u32,
    /// Tokens spent.
    pub tokens: TokenUsage,
    /// When it was sent, milliseconds since the Unix epoch.
    pub started_unix_ms: i64,
    /// From sending to the first token.
    pub time_to_first_token: Option<Duration>,
    /// From sending to the end.
    pub duration: Duration,
    /// Characters of text in the answer, up to where it began to repeat itself; white space is not counted, and text
    /// in the wrong script or of an implausible length counts for one.
    pub kept_characters: u32,
    /// What the judge or the server said; empty for an accepted answer.
    pub reason: String,
    /// The raw answer, whole or partial. Empty in the copy that travels to the other engine's rank.
    pub answer: String,
}

#[cfg(test)]
impl Attempt {
    /// An attempt on a whole page, at the foot of the ladder.
    pub(crate) fn sample(stage: Stage, outcome: AttemptOutcome) -> Attempt {
        use super::PixelSize;
        Attempt {
            served_by: ServedBy {
                engine: stage.engine(),
                server: ServerKind::Model,
                profile: String::new(),
                model: String::new(),
                version: String::new(),
                prompt_sha256: String::new(),
                request: String::new(),
            },
            rank: RankId(0),
            stage,
            shown: Shown::whole(PixelSize { width: 1, height: 1 }),
            request_id: String::new(),
            outcome,
            finish: None,
            step: 0,
            sampling: Sampling { temperature: 0.0, top_p: 0.1 },
            salted: false,
            max_tokens: 1,
            tokens: TokenUsage::default(),
            started_unix_ms: 0,
            time_to_first_token: None,
            duration: Duration::ZERO,
            kept_characters: 0,
            reason: String::new(),
            answer: String::new(),
        }
    }
}
