//! The server process of a GPU: launched, waited for, watched, restarted, stopped. Knows nothing of pages.
//!
//! A server is started through `bocr guard`, a small process that keeps a connection to the rank, its holder, and takes
//! the whole process group of the server down when that ends: at once after a goodbye, else after the linger time, in
//! which the next attempt of the run may take the server over. So no server outlives its run, whatever kills the rank.
//!
//! # What happens to servers, and the answer to it
//!
//! Measured on real servers (`docs/facts/vllm.md`, "Deaths" and "Signals"):
//!
//! | event | answer | where |
//! |---|---|---|
//! | engine killed: HTTP 500 or an error event with `EngineCore`, then `[DONE]` | the page is interrupted, not failed; its rank reports the death; the group is killed without grace, the next start follows at once | `engine::classify`, [`Service::report_death`] |
//! | … idle: `/health` 503, or refused | refused: dead at once; anything else: three times in a row, with no token meanwhile | `engine::Client::gone` |
//! | … the process ends with exit status 0 | any end of the process is a death; no status is believed | [`guard`], `process` |
//! | engine hangs: `/health` 200, no token, no end | no token on any stream for `hang_limit`, counters in `/metrics` still, a request of one token unanswered for `hang_limit`: killed; pages that stall meanwhile ask the same and are not blamed | `watch`, `engine::Reader` |
//! | SIGTERM, idle | is how an orderly end begins | [`guard`] |
//! | SIGTERM with requests in flight: waits for its clients for ever | SIGKILL of the group after a grace of 2 s | [`guard`] |
//! | SIGTERM while starting: wedged, or lost | the same | [`guard`] |
//! | API server killed: its engine lives on, holding the GPU | the guard sees its child's end and kills the group | [`guard`] |
//! | two servers on one port, both ready | each has a key of its own: what answers without one is not ours, another port is tried | `process`, `launch` |
//! | not ready in time | killed as a group and gone before the next start | `supervisor` |
//! | two servers that start on one GPU at once: each takes what the other has not taken yet for free (`docs/facts/vllm.md`, "Memory and sleep") | the second starts when the first is ready | `turns` |
//! | the other engine's turn: `/sleep`; refused, not in time, or it says so and does not | killed; without sleep mode ended in order: the other starts only then | `turns` |
//! | its turn again: `/wake_up`; refused, not in time, still asleep, or no answer to a request of one token | killed, and started anew | `start` |
//! | a request to a server that sleeps | none is sent: nobody watches it but for its process | `turns` |
//! | `TMPDIR` missing, or the folder's name taken by another user | the next place, with a warning | `place` |
//!
//! And to those who watch over them:
//!
//! | event | answer | where |
//! |---|---|---|
//! | rank killed, guard lives | the server lingers; the next attempt adopts it if it was launched alike, is healthy, or will be within the start limit, and answers a request of one token, and ends it otherwise | `start`, `control` |
//! | the server that lingers is of an engine that the rank no longer serves, on its GPU | ended before the next is launched | `process` |
//! | nobody comes in the linger time | the guard ends the server | [`guard`] |
//! | earlier attempt still holds the server | busy: waited for 30 s, then an error | `process` |
//! | the server that lingers is of the engine whose turn it is not | put to sleep, or ended, before the other starts or wakes up | `turns` |
//! | guard killed, rank lives | the rank ends the group by what the guard wrote into the folder | `process`, `folder` |
//! | guard and rank killed | the next guard ends the group before it launches | [`guard`], `folder` |
//! | guard does not end | killed, then as above | `process` |
//! | the URL of a server that is not ours hangs or dies | nothing is killed; it is waited for as if it were starting, then given up | `start` |
//!
//! What is done on a node before a model server is launched is in `care`: which GPU it has in `gpu`, its model's files in
//! `staging`, what it compiles in `caches`.
//!
//! How long the end of a server may take is said in `limits`.

mod budget;
mod control;
mod desired_state;
mod folder;
mod gpu_permit;
pub mod guard;
mod launch;
mod launch_hash;
mod limits;
mod memory_share;
mod plan;
mod port;
mod process;
mod service;
mod start;
mod state;
mod supervisor;
mod switch;
mod watch;

pub use control::ShutdownRequest;
pub use desired_state::{DesiredState, DesiredStateSwitch};
pub use folder::{FOLDER_VARIABLE, FolderError, FolderLock, Record, ServerFolder};
pub use gpu_permit::GpuPermits;
pub use launch::{Launch, LaunchError, Share};
pub use launch_hash::LaunchHash;
pub use memory_share::{MemoryShare, MemoryShareError};
pub use plan::ServicePlan;
pub use process::{CheckError, Server, ServerError};
pub use service::Service;
pub use state::{LifeWatch, Ready, ServiceEvent};
