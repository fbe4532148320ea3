//! What people are shown: progress while the run goes on, a status file, and the report at its end. Owns no state of
//! the run.

mod end;
mod finished;
mod progress;
mod servers;
mod status;
mod tokens;
mod turns;

pub use end::{EndReport, RunOutcome};
pub use finished::{FINISHED_FILE, Finished};
pub use progress::{Progress, Snapshot};
pub use servers::{SERVERS_FILE, ServersFile};
pub use status::{RunPhase, Status, StatusFile};
pub use turns::Turns;

/// Name of the status file in the run directory.
pub const STATUS_FILE: &str = "status.json";

/// Name of the end report in the run directory.
pub const REPORT_FILE: &str = "report.json";
