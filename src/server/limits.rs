//! How long the end of a server may take. Each limit holds those before it, so that whoever waits never gives up on
//! somebody who is still within his own time:
//!
//! | who | waits for | at most |
//! |---|---|---|
//! | guard | the server, asked to end | [`GRACE`]; none for a broken one |
//! | guard | all that it has killed, in the group and outside it | [`REAP`] |
//! | rank | its guard | [`END`], which holds both; only after that it kills the guard, and has [`REAP`] for what is left |
//! | next attempt | the holder before it, who may be ending the server | [`HOLDER`], which holds [`END`] and [`REAP`] |
//!
//! Whatever else a guard or a service waits for is dropped when it is told to end. So a rank that stops is done after
//! `GRACE` and the time that the kernel takes, whatever its server was doing.

use std::time::Duration;

/// Between asking a server to end and killing it. With requests in flight it would never end (`docs/facts/vllm.md`,
/// "Signals").
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// For killed processes to be gone: the driver takes seconds to free the memory of a large GPU.
pub(super) const REAP: Duration = Duration::from_secs(10);

/// For a guard that was told to end its server.
pub(super) const END: Duration = Duration::from_secs(15);

/// For another holder of the server to go: an earlier attempt of the run that is dying.
pub(super) const HOLDER: Duration = Duration::from_secs(30);

const _: () = assert!(GRACE.as_secs() + REAP.as_secs() < END.as_secs());
const _: () = assert!(END.as_secs() + REAP.as_secs() < HOLDER.as_secs());
