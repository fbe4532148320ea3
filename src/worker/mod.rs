//! Every rank's side of a run: it receives pages, writes records to disk and reports verdicts.
//!
//! It decides nothing about the run. Rank 0 does, in `run`, which also drives the [`Worker`] of its own rank.
//!
//! | file | holds |
//! |---|---|
//! | `worker` | the worker, driven by its rank's main thread |
//! | `request` | inputs of a worker |
//! | `engine_setup` | the engines of this rank, from the configuration and the rank's position |
//! | `rank_engine` | a running engine: server, limiter, monitor |
//! | `resident_servers` | servers that outlive the worker, for the runs of an experiment |
//! | `role_switches` | which engine serves, on a rank that switches between engines |
//! | `start_up` | start-up after the plan is written |
//! | `renderer_pool` | the renderer children |
//! | `context` | what the tasks of its pages share |
//! | `answered_texts` | the long texts that were accepted, so that one answer for different pages is seen |
//! | `page` | one page, from its assignment to its record |
//! | `image_memory` | limit on the memory of page images |
//! | `found_limits` | the best numbers of requests in flight that earlier searches found |
//! | `limiter` | limit on the requests in flight on a server, and accounting of its time |
//! | `slots` | request slots of a server; their number can change |
//! | `server_monitor` | observes a server, and sets its limit |
//! | `observation_log` | the lines that the monitor writes |
//! | `recovered_parts` | the records of earlier starts, as messages |
//! | `task_beats` | whether the runtime of its tasks makes progress |
//! | `cores` | the rank's share of the node's cores |
//! | `mutex` | locking a mutex where panics end the process |
//! | `error` | errors that keep a rank from reading pages |

mod answered_texts;
mod context;
mod cores;
mod engine_setup;
mod error;
mod found_limits;
mod image_memory;
mod limiter;
mod mutex;
mod observation_log;
mod page;
mod rank_engine;
mod recovered_parts;
mod renderer_pool;
mod request;
mod resident_servers;
mod role_switches;
mod server_monitor;
mod slots;
mod start_up;
mod task_beats;
#[allow(clippy::module_inception, reason = "the module's main type, in a file of its own")]
mod worker;

pub(crate) use engine_setup::configured_profile;
pub use error::WorkerError;
#[cfg(test)]
pub(crate) use recovered_parts::recovered_parts;
pub(crate) use renderer_pool::renderer_pool;
pub use request::WorkerRequest;
pub use resident_servers::ResidentServers;
pub use worker::Worker;
