//! A run: rank 0 prepares it, deals the pages and concludes it. Every rank also has a worker ([`crate::worker`]).
//!
//! | file | holds |
//! |---|---|
//! | `run` | a rank from start to exit code, and the loop of every rank but 0 |
//! | `request` | the inputs and options of a run |
//! | `rank_zero` | rank 0's loop through its phases: gathering, recovering, reading, concluding |
//! | `gathering` | the first phase: rank 0 prepares the run directory while the ranks report |
//! | `recovering` | the second phase: the ranks seal and read the files of earlier starts |
//! | `conclusion` | what rank 0 writes at the end |
//! | `roster` | messages of the ranks before there is a scheduler |
//! | `background` | a thread for work that waits |
//! | `preparation` | before the first page: run directory, lock, settings, plan, state of the pages |
//! | `planning` | the plan of the inputs, with embedded PDFs |
//! | `lock` | one run at a time in a run directory |
//! | `settings` | which settings a later start may change |
//! | `difference` | a setting that has changed |
//! | `stop_file` | the file that asks a run to stop |
//! | `reprocess_request` | requests to read settled pages again |
//! | `reprocess_record` | those requests as the run directory keeps them |
//! | `run_directory` | files that a start removes |
//! | `recovery` | the records of earlier starts, as the ranks report them |
//! | `walltime` | how long the job may still run |
//! | `coordinator` | messages to the scheduler, its actions to the ranks |
//! | `preparation_error` | why a run cannot start |
//! | `error` | errors of a run |
//! | `logging` | a log file for each rank |

mod background;
mod conclusion;
mod coordinator;
mod difference;
mod error;
mod gathering;
mod lock;
mod logging;
mod planning;
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
pub use run::{over_ranks, run, run_on, run_with};
pub use settings::check_settings;
pub(crate) use stop_file::{STOP_FILE, StopRequest};
pub use walltime::{Remaining, TimeLimit, WalltimeError};
