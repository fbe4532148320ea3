//! How many requests are kept in flight on a server: the fewest at which its throughput no longer rises. Also which page
//! is asked next, and where a server's time goes.
//!
//! Pure: observations come in, a limit comes out. [`crate::simulate`] drives it in virtual time.

mod controller;
mod cost_model;
mod load;
mod observation;
mod operating_point;
mod page_lengths;
mod queue_pressure;
mod search;
mod time_accounting;
mod waiting_pages;

pub use controller::{Bounds, Controller};
pub use observation::{EngineGauges, GAUGES_EVERY, Observation};
pub use page_lengths::PageLengths;
pub use time_accounting::ServerActivity;
pub use waiting_pages::{Length, WaitingPages};
