//! The engines: profiles (data), the request, the streaming client, the judge of an answer, and the parsers that
//! bring both dialects to one form.
//!
//! [`Reader`] is the face for a worker: one call is one attempt on one image. Everything below it is pure but
//! [`Client`], the only part that does I/O.

mod acceptance;
mod capabilities;
mod chandra;
mod classify;
mod client;
mod deepseek;
mod error;
mod events;
mod html;
mod judge;
mod language;
mod markdown;
mod metrics;
mod profile;
mod profile_file;
mod reader;
mod request;
mod sleep;
mod stream;
mod traffic;
mod version;
mod visual;
mod vital_signs;

pub use acceptance::{Acceptance, Expectation, accept};
pub use chandra::parse as parse_divs;
pub use classify::{Health, Ruling, classify};
pub use client::{Client, Limits, ServerAddress};
pub use deepseek::parse as parse_grounding;
pub use error::EngineError;
pub use events::{EventParser, StreamEvent};
pub use html::{Reading, text_of};
pub use judge::{Judge, Judgement, Loop, MAX_PERIOD, Proof};
pub use language::language_of;
pub use markdown::{block_to_markdown, normalise, to_html, to_markdown};
pub use metrics::ServerMetrics;
pub use profile::{Avoided, Dialect, Launch, Profile, RepetitionDetection};
pub use reader::{Asking, AttemptResult, PageImage, Reader};
pub use request::{Question, TokenBudget};
pub use stream::{Deadline, End, Reply};
pub use traffic::{Traffic, TrafficCounts};
pub use version::{ParseVersionError, Version};
pub use visual::VisualTokens;
pub use vital_signs::Gone;
