//! One request to an engine, with everything that its record keeps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EngineName, EngineNames, FailureClass, MachineFault, PixelSize, RankId, ServerKind, Shown, Stage};

/// The model that answered, and its prompt. Equal for all attempts on a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServedBy {
    /// Name of the engine.
    pub engine: EngineName,
    /// The model itself, or a stand-in.
    pub server: ServerKind,
    /// Name of the profile, e.g. `chandra-2`.
    pub profile: String,
    /// Model id that the server reports.
    pub model: String,
    /// Version that the server reports.
    pub version: String,
    /// Dialect of its answers, as the profile names it.
    pub dialect: String,
    /// SHA-256 of the prompt text, lower-case hex.
    pub prompt_sha256: String,
    /// Fields that every request carries besides those of [`Sampling`], as a JSON object: `top_k`, penalties and so on.
    pub request: String,
}

/// Sampling fields of a request. All of them are sent: vLLM fills a missing field from the model's own
/// `generation_config.json` (`docs/facts/vllm.md`, "Endings and sampling").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Nucleus mass (`top_p`), 0.0..=1.0.
    pub top_p: f32,
}

/// Why an answer stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum FinishReason {
    /// The model ended its answer.
    Stop = 1,
    /// The token budget or the context was used up.
    Length = 2,
    /// The server aborted the request, possibly with HTTP 200.
    Abort = 3,
    /// The server reported an error for this request.
    Error = 4,
    /// The server's own repetition detection stopped it.
    Repetition = 5,
    /// The judge found a loop in the stream and closed the connection.
    Cut = 6,
}

impl FinishReason {
    /// Name in shards, exports and reports.
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

/// Token counts as the server reports them. For a cut answer without usage they are counted from the stream.
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
    /// The engine found nothing to read.
    Blank,
    /// The answer was not accepted. Counts against the page.
    Failed(FailureClass),
    /// The machine failed. Never counts against the page.
    Interrupted(MachineFault),
}

/// One request to an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The server and model that answered.
    pub served_by: ServedBy,
    /// The rank that sent the request.
    pub rank: RankId,
    /// The stage of the page.
    pub stage: Stage,
    /// The image that was sent.
    pub shown: Shown,
    /// Value of `X-Request-Id`. It is part of the request's name in the server's log.
    pub request_id: String,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why the answer stopped; `None` without an answer.
    pub finish: Option<FinishReason>,
    /// Index into the profile's list of samplings, from 0.
    pub step: u8,
    /// Sampling fields of the request.
    pub sampling: Sampling,
    /// Whether the request carried a cache salt; the salt is its own id.
    pub salted: bool,
    /// Number of earlier requests that ended alike, in the same series of interruptions, and are folded into this one.
    /// Tokens and time are sums over all of them; the time of sending is that of the first.
    pub repeats: u32,
    /// Token budget of the request.
    pub max_tokens: u32,
    /// Tokens that it used.
    pub tokens: TokenUsage,
    /// Time of sending, in milliseconds since the Unix epoch.
    pub started_unix_ms: i64,
    /// Time from sending to the first token; `None` without a token.
    pub time_to_first_token: Option<Duration>,
    /// Time from sending to the end.
    pub duration: Duration,
    /// Characters of text in the answer, up to where it began to repeat itself. White space does not count; text in the
    /// wrong script or of an implausible length counts as one character.
    pub kept_characters: u32,
    /// Explanation of the judge or the server; for an accepted answer, what is odd about it, mostly empty.
    pub reason: String,
    /// The raw answer, whole or partial. Empty in copies that are sent between ranks.
    pub answer: String,
}

impl Attempt {
    /// An attempt of which only stage and outcome count, on a whole page and with the first sampling: for the simulator and
    /// for tests.
    pub(crate) fn sample(stage: Stage, outcome: AttemptOutcome) -> Attempt {
        Attempt {
            served_by: ServedBy {
                engine: EngineNames::default().names()[0].clone(),
                server: ServerKind::Model,
                profile: String::new(),
                model: String::new(),
                version: String::new(),
                dialect: String::new(),
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
            repeats: 0,
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
