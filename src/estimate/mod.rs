//! Estimates a run before it is submitted: the documents from a survey of the inputs, the cost of a page from a sample
//! that is rendered, GPU hours from earlier runs or from measured figures, and the resources to request from PBS.
//!
//! Nothing is written. Every figure that is not measured here is listed with its source ([`Estimate::assumptions`]).

mod calculation;
mod calibration;
mod clock;
mod disk;
mod documents;
mod earlier;
mod error;
mod job_size;
mod length_correlation;
mod notes;
mod page_cost;
mod proposal;
mod request;
mod sample;
mod text;
mod work;

pub use calculation::estimate;
pub use calibration::calibrate;
pub use disk::{Disk, StoredPage};
pub use documents::{Documents, Refused, Tally};
pub use earlier::Earlier;
pub use error::EstimateError;
pub use job_size::{JobSize, roles_for};
pub use page_cost::PageCost;
pub use proposal::{EstimateTarget, Feasibility, Reserve};
pub use request::{Estimate, EstimateRequest};
pub use sample::{SampledPage, spread_evenly};
pub use work::{EngineWork, Work};
