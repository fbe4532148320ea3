//! How long the end of a server may take. Each limit is longer than those it has to contain, so that no process gives
//! up on another that is still within its own limit:
//!
//! | process | waits for | at most |
//! |---|---|---|
//! | guard | the server, after SIGTERM | [`GRACE`]; no wait for a broken server |
//! | guard | all processes that it has killed, in the group and outside it | [`REAP`] |
//! | rank | its guard | [`END`], which contains both; then it kills the guard, and has [`REAP`] for what is left |
//! | next attempt | the lease holder before it, which may be ending the server | [`HOLDER`], which contains [`END`] and [`REAP`] |
//!
//! A shutdown request ends every other wait of a guard or a service. So a rank that stops is done after `GRACE` and the
//! time that the kernel takes, whatever its server was doing.

use std::time::Duration;

/// Between SIGTERM and SIGKILL. A server with requests in flight would never end (`docs/facts/vllm.md`, "Signals").
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Until killed processes are gone: the driver takes seconds to free the memory of a large GPU.
pub(super) const REAP: Duration = Duration::from_secs(10);

/// Until a guard has ended its server.
pub(super) const END: Duration = Duration::from_secs(15);

/// Until another lease holder of the server has gone: an earlier attempt of the run that is ending.
pub(super) const HOLDER: Duration = Duration::from_secs(30);

const _: () = assert!(GRACE.as_secs() + REAP.as_secs() < END.as_secs());
const _: () = assert!(END.as_secs() + REAP.as_secs() < HOLDER.as_secs());
