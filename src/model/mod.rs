//! Types that all modules share: ids, page references, verdicts, records, messages between ranks, and the
//! configuration.
//!
//! It depends on no other module but `sys`, and does no I/O: the configuration is parsed from text.

mod assignment;
mod attempt;
mod block;
mod capabilities;
pub mod configuration;
mod document;
mod engine;
pub mod error;
mod ids;
mod image;
mod layout;
pub mod node;
mod pages;
mod rank_summary;
mod record;
mod role;
mod rotation;
mod run;
mod stage;
mod verdict;
mod view;

pub use assignment::{Prior, Settlement, Unit};
pub use attempt::{Attempt, AttemptOutcome, FinishReason, Sampling, ServedBy, TokenUsage};
pub use block::{BBox, Block};
pub use capabilities::Capabilities;
pub use document::{Document, DocumentState, Edition, Fingerprint, Language};
pub use engine::{Engine, EngineSet, ParseEngineError, ServerKind};
pub use ids::{DocumentId, LeaseId, PageIndex, PageRef, RankId};
pub use image::{Grid, ImageFacts, ImageRule, PixelSize, Scaling};
pub use layout::{Columns, ColumnsReason, Confidence, Divide, LayoutRule, PageLayout, Region, When};
pub use pages::{DocumentPages, ParsePagesError};
pub use rank_summary::{RankSummary, ServerLoad, ServerTime, Spent, TokenTotals};
pub use record::{Answer, PageRecord, Part, RecordPlace};
pub use role::{Role, RolePattern};
pub use rotation::{Rotation, Skew};
pub use run::{Counts, Outcome, StopReason};
pub use stage::Stage;
pub use verdict::{FailureClass, MachineFault, Remedy, Verdict};
pub use view::{Shown, View};
