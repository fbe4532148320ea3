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
mod engine_settings;
pub mod error;
mod ids;
mod image;
pub mod node;
mod pages;
mod rank_summary;
mod record;
mod role;
mod run;
mod run_engines;
mod server_kind;
mod shown;
mod stage;
mod verdict;

pub use assignment::{Prior, Settlement, Trial, Unit};
pub use attempt::{Attempt, AttemptOutcome, FinishReason, Sampling, ServedBy, TokenUsage};
pub use block::{Block, FORMULA_TAGS};
pub use capabilities::Capabilities;
pub use document::{Damage, Document, DocumentState, Edition, Fingerprint, Inspected};
pub use engine::{Engine, EngineName, EngineNames, EngineNamesError, EngineSet, ParseEngineNameError};
pub use ids::{DocumentId, LeaseId, PageIndex, PageRef, RankId};
pub use image::{ImageFacts, ImageRule, Scaling};
pub use page_image::{
    BBox, Columns, ColumnsReason, Confidence, Divide, Grid, Language, LayoutRule, PageLayout, PixelSize, Region,
    Rotation, Skew, View, When,
};
pub use pages::{DocumentPages, ParsePagesError};
pub use rank_summary::{NoPages, RankSummary, ServerLoad, ServerTime, Spent, TimeWithoutPages, TokenTotals};
pub use record::{Answer, PageRecord, Part, RecordPlace};
pub use role::{ParseRolesError, Role, RoleNames, RolePattern};
pub use run::{Counts, Outcome, StopReason};
pub use run_engines::{RunEngines, RunEnginesError};
pub use server_kind::ServerKind;
pub use shown::Shown;
pub use stage::Stage;
pub use verdict::{FailureClass, MachineFault, Remedy, Verdict};
