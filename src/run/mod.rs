//! A run: rank 0 prepares it, deals the pages and concludes it. Every rank also has a worker (`worker`).
//!
//! | file | holds |
//! |---|---|
//! | `run` | a rank from start to exit code, and the loop of every rank but 0 |
//! | `request` | what a run is asked to do |
//! | `rank_zero` | rank 0's loop through its phases: gathering, recovering, reading, concluding |
//! | `gathering` | its first phase: the run directory is prepared while the ranks introduce themselves |
//! | `recovering` | its second phase: the ranks read what earlier starts left |
//! | `conclusion` | what it writes at the end |
//! | `roster` | what it knows of the ranks before there is a scheduler |
//! | `background` | its thread for work that waits |
//! | `preparation` | what rank 0 does before the first page: lock, plan, how the pages stand |
//! | `lock` | one run at a time in a run directory |
//! | `settings` | what a later start may change |
//! | `difference` | a setting that is not what it was |
//! | `stop_file` | the file that asks a run to stop |
//! | `reprocess_request` | settled pages to be read again |
//! | `reprocess_record` | those requests as the run directory keeps them |
//! | `run_directory` | files that a start removes |
//! | `recovery` | what earlier starts left, as the ranks report it |
//! | `walltime` | how long the job may still run |
//! | `coordinator` | messages in, scheduler, messages out |
//! | `preparation_error` | why a run cannot begin |
//! | `error` | why a run could not do its work |
//! | `logging` | a log file a rank |

mod background;
mod conclusion;
mod coordinator;
mod difference;
mod error;
mod gathering;
mod lock;
mod logging;
mod preparation;
mod preparation_error;
mod rank_zero;
mod recovering;
mod recovery;
mod reprocess_record;
mod reprocess_request;
mod request;
mod roster;
#[allow(clippy::module_inception, reason = "the module's main functions, in a file of their own")]
mod run;
mod run_directory;
mod settings;
mod stop_file;
mod walltime;

pub use difference::Difference;
pub use error::RunError;
pub use lock::RunLock;
pub use preparation_error::PreparationError;
pub use reprocess_request::{ParseReprocessError, ReprocessRequest};
pub use request::RunRequest;
pub use run::{run, run_on};
pub(crate) use stop_file::STOP_FILE;
pub use walltime::{Remaining, TimeLimit, WalltimeError};
