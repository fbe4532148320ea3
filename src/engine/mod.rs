//! The engines: profiles (data), the request, the streaming client, the judge of a growing answer, and the parsers that
//! bring all dialects to one form.
//!
//! [`Reader`] is the interface for a worker: one call is one attempt on one image. Everything below it is pure except
//! [`Client`], which alone does I/O.

mod acceptance;
mod client;
mod error;
mod judge;
mod known;
mod parse;
mod profile;
mod reader;

pub use acceptance::{Acceptance, Expectation, accept, language::language_of};
pub use client::{
    Client, ServerAddress,
    classify::{Classification, Health, classify},
    events::{AnswerField, EventParser, StreamEvent},
    health::Gone,
    limits::Limits,
    metrics::ServerMetrics,
    request::{EngineRequest, TokenBudget},
    stream::{Deadline, End, EngineResponse},
    traffic::{Traffic, TrafficCounts},
};
pub use error::EngineError;
pub use judge::{Judge, Judgement, Loop, MAX_PERIOD, Proof};
pub use known::{UnknownEngine, check_engines};
pub use parse::{
    html::{Reading, text_of},
    markdown::{block_to_markdown, normalise, to_html, to_markdown},
    parse as parse_answer,
};
pub use profile::{
    Avoided, Dialect, Formulas, Launch, Profile, RepetitionDetection, Since, Tried,
    version::{ParseVersionError, Version},
    visual::VisualTokens,
};
pub use reader::{Asking, AttemptResult, PageImage, Reader};
