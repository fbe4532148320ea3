//! How many requests are kept in flight on a server: the fewest at which its throughput no longer rises; and where the
//! seconds of a server go.
//!
//! Pure: what was seen comes in, a limit comes out. [`crate::simulate`] drives it in virtual time.

mod controller;
mod costs;
mod crowd;
mod level;
mod load;
mod observation;
mod time;

pub use controller::{Bounds, Controller};
pub use observation::{Observation, VITALS_EVERY, Vitals};
pub use time::ServerLife;
