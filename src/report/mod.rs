//! What people see of a run: progress, a status file, and the report at its end. It owns no state of the run.

mod end;
mod finished;
mod progress;
mod server_seconds;
mod servers;
mod status;
mod tokens;
mod turns;

pub use end::{EndReport, FailingServer, FailingServerEnd, PlannedDocuments, RankFigures, RunOutcome};
pub use finished::{FINISHED_FILE, Finished};
pub use progress::{Progress, Snapshot};
pub use servers::{SERVERS_FILE, ServersFile};
pub use status::{RunPhase, Status, StatusFile};
pub use turns::RoleSwitchTimes;

/// Version of the format of `report.json` and `status.json` (`docs/reports.md`). New fields do not change it.
pub const VERSION: u32 = 2;

/// Version of files without one: times were `{secs, nanos}`, and some fields had other names.
pub const FIRST_VERSION: u32 = 1;

/// Name of the status file in the run directory.
pub const STATUS_FILE: &str = "status.json";

/// Name of the end report in the run directory.
pub const REPORT_FILE: &str = "report.json";
