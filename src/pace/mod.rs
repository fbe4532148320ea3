//! How many requests are kept in flight on a server: the fewest at which its throughput no longer rises.
//!
//! Pure: what was seen comes in, a limit comes out. [`crate::simulate`] drives it in virtual time.

mod controller;
mod costs;
mod crowd;
mod level;
mod observation;

pub use controller::{Bounds, Controller};
pub use observation::{Observation, Vitals};
