//! What people are shown: progress while the run goes on, a status file, and the report at its end. Owns no state of
//! the run.

mod end;
mod progress;
mod rank_summary;
mod status;

pub use end::{EndReport, RunOutcome};
pub use progress::{Progress, Snapshot};
pub use rank_summary::{RankSummary, TokenTotals};
pub use status::write_status;

/// Name of the status file in the run directory.
pub const STATUS_FILE: &str = "status.json";

/// Name of the end report in the run directory. Its presence marks an attempt that came to its own end.
pub const REPORT_FILE: &str = "report.json";
