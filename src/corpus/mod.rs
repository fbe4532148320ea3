//! The documents of a run: found, named, fingerprinted, counted, and written down as a frozen plan.
//!
//! Inputs are only ever read. What cannot be read is a refused document with its reason, never a missing one.

mod discover;
mod error;
mod fingerprint;
mod name;
mod plan;

pub use discover::{Candidate, Inputs, discover};
pub use error::CorpusError;
pub use fingerprint::fingerprint;
pub use name::edition;
pub use plan::{InspectFailure, PLAN_FILE, Plan, plan, read, write};
mod shim;
pub use shim::*;
