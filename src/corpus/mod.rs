//! The documents of a run. They are found, named, fingerprinted and counted, and the result is the plan. The plan is
//! updated when the run starts again.
//!
//! Inputs are never written. A document that cannot be read is in the plan too, as refused with its reason.

mod changes;
mod contents;
mod discover;
mod document_names;
mod error;
mod fingerprint;
mod found;
mod inputs;
mod name;
mod plan;
mod source_integrity;
mod survey;
mod update;

pub use changes::Changes;
pub use contents::InspectFailure;
pub use discover::{Candidate, discover};
pub use error::CorpusError;
pub use fingerprint::{Modified, fingerprint};
pub use inputs::Inputs;
pub use name::edition;
pub use plan::{PLAN_FILE, Plan, plan, read, write};
pub use source_integrity::{SourceIntegrity, SourceState};
pub use survey::{Survey, Surveyed, duplicate_groups, survey};
pub use update::update;
