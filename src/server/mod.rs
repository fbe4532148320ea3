//! The server process of a GPU: launch, readiness, health, restart, stop. This module knows of pages only which of them
//! may have killed a server.
//!
//! A server is started through `bocr guard`, a small process with a connection to the rank, which holds the server's
//! lease. When that connection ends, the guard ends the whole process group of the server: at once after a goodbye,
//! else after the orphan grace (`linger`), in which the next attempt of the run may take the server over. So no server
//! outlives its run, whatever kills the rank.
//!
//! # Events of a server, and the reaction
//!
//! Measured on real servers (`docs/facts/vllm.md`, "Deaths" and "Signals"):
//!
//! | event | reaction | where |
//! |---|---|---|
//! | engine killed: HTTP 500 or an error event with `EngineCore`, then `[DONE]` | the page is interrupted, not failed; its rank reports the death; the group is killed without grace, and the next start follows at once | `engine::classify`, [`Service::report_death`] |
//! | … idle: `/health` 503, or refused | refused: dead at once; anything else: dead after three times in a row with no token meanwhile | `engine::Client::await_gone` |
//! | … the process ends with exit status 0 | any end of the process is a death, whatever its exit status | [`guard`], `process` |
//! | engine hangs: `/health` 200, no token, no end | killed if no stream had a token for `hang_limit`, the counters in `/metrics` stand still, and a canary request of one token is unanswered for `hang_limit`; pages that stall meanwhile make the same check and are not blamed | `watch`, `engine::Reader` |
//! | SIGTERM, idle | the server ends; an orderly end begins with SIGTERM | [`guard`] |
//! | SIGTERM with requests in flight: waits for its clients for ever | SIGKILL of the group after a grace of 2 s | [`guard`] |
//! | SIGTERM while starting: the server hangs, or ignores the signal | the same | [`guard`] |
//! | API server killed: its engine lives on and keeps the GPU | the guard sees the end of its child and kills the group | [`guard`] |
//! | two servers on one port, both ready | each has a key of its own: a server that answers without the key is not ours, and another port is tried | `process`, `launch` |
//! | not ready in time | the group is killed, and gone before the next start | `supervisor` |
//! | two servers that start on one GPU at once: each counts as free what the other has not allocated yet (`docs/facts/vllm.md`, "Memory and sleep") | the second starts when the first is ready | `switch`, `gpu_permit` |
//! | role switch away from the engine: `/sleep` is refused, is too slow, or reports success without sleeping | the server is killed; one without sleep mode is ended in order; only then the other starts | `switch` |
//! | role switch to the engine: `/wake_up` is refused, is too slow, leaves the server asleep, or the canary request fails | the server is killed, and started again | `start` |
//! | a request to a sleeping server | none is sent; only the end of its process is watched | `switch` |
//! | `TMPDIR` missing, or the folder's name taken by another user | the next place is used, with a warning | `folder::place` |
//!
//! Events of the processes around a server:
//!
//! | event | reaction | where |
//! |---|---|---|
//! | rank killed, guard lives | the server lives on for the orphan grace; the next attempt adopts it if it was launched alike, is healthy within the start limit, and answers a canary request; otherwise the attempt ends it | `start`, `control` |
//! | an orphaned server on the rank's GPU is of an engine that the rank no longer serves | ended before the next is launched | `process` |
//! | no attempt comes within the orphan grace | the guard ends the server | [`guard`] |
//! | the launcher ends, and no attempt follows | it ends the servers that no rank holds, on every host | `orphans` |
//! | the job ends, however: PBS removes the job's `TMPDIR`, and the server's folder with it | the guard ends the server within 1 s | [`guard`] |
//! | PBS kills the session of a rank on another node | the guard has left that session: the server lives on for the orphan grace | [`guard`] |
//! | an earlier attempt still holds the lease | the rank waits for up to 30 s, then reports an error | `process` |
//! | an orphaned server is of the engine that is to rest | put to sleep, or ended, before the other starts or wakes up | `switch` |
//! | guard killed, rank lives | the rank ends the group by the record that the guard wrote into the folder | `process`, `folder` |
//! | guard and rank killed | the next guard ends the group before it launches | [`guard`], `folder` |
//! | guard does not end | killed, then as above | `process` |
//! | a server that is configured by its URL hangs or dies | nothing is killed; the rank waits for it as for a starting server, then gives it up | `start` |
//!
//! The module `node` prepares the node before a model server is launched: its GPU, the files of its model, its caches.
//!
//! The module `limits` says how long the end of a server may take.

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
mod orphans;
mod plan;
mod port;
mod process;
mod requests;
mod service;
mod start;
mod state;
mod supervisor;
mod switch;
mod watch;

pub use budget::{Spent, StartBudget};
pub use control::ShutdownRequest;
pub use desired_state::{DesiredState, DesiredStateSwitch};
pub use folder::{FOLDER_VARIABLE, FolderError, FolderLock, Record, ServerFolder};
pub use gpu_permit::GpuPermits;
pub use launch::{Launch, LaunchError, Share};
pub use launch_hash::LaunchHash;
pub use memory_share::{MemoryShare, MemoryShareError};
pub use orphans::end_orphans;
pub use plan::ServicePlan;
pub use process::{CheckError, Server, ServerError};
pub use requests::{DeathEvidence, Requests};
pub use service::Service;
pub use state::{LifeWatch, Ready, ReportedDeath, ServiceEvent};
