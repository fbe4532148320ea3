//! Every rank's side of a run: pages come in, records go to the disk, verdicts go out.
//!
//! It decides nothing about the run: rank 0 does, in `run`, which drives the [`Worker`] of its own rank too.
//!
//! | file | holds |
//! |---|---|
//! | `worker` | the worker, driven by its rank's main thread |
//! | `request` | what a rank is asked to do |
//! | `engine_setup` | the engines of this rank, from configuration and place among the ranks |
//! | `rank_engine` | an engine at work: server, limiter, monitor |
//! | `role_switches` | which of two engines serves, on a rank that switches between them |
//! | `start_up` | from the frozen plan to a rank that can read |
//! | `renderer_pool` | the renderer children |
//! | `context` | what the tasks of its pages share |
//! | `page` | one page at work, from its assignment to its record |
//! | `image_memory` | the bound on page images held |
//! | `limiter` | the bound on requests in flight on a server, and the account of its time |
//! | `slots` | places among the requests in flight, in changing numbers |
//! | `server_monitor` | looks at a server, and sets how many requests may be in flight |
//! | `observation_log` | the lines that the monitor writes |
//! | `recovered_parts` | what the rank found of earlier starts, as messages |
//! | `cores` | the rank's part of the node's cores |
//! | `mutex` | locking a mutex where panics end the process |
//! | `error` | why a rank cannot read pages |

mod context;
mod cores;
mod engine_setup;
mod error;
mod image_memory;
mod limiter;
mod mutex;
mod observation_log;
mod page;
mod rank_engine;
mod recovered_parts;
mod renderer_pool;
mod request;
mod role_switches;
mod server_monitor;
mod slots;
mod start_up;
#[allow(clippy::module_inception, reason = "the module's main type, in a file of its own")]
mod worker;

pub(crate) use engine_setup::configured_profile;
pub use error::WorkerError;
#[cfg(test)]
pub(crate) use recovered_parts::recovered_parts;
pub(crate) use renderer_pool::renderer_pool;
pub use request::WorkerRequest;
pub use worker::Worker;
