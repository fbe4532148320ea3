//! One MPI rank: the two loops that wire the other rooms together, and nothing that decides.
//!
//! | file | holds |
//! |---|---|
//! | `run` | a run from start to exit code, and a worker's loop |
//! | `rank_zero` | rank 0's loop: prepare, deal, conclude |
//! | `preparation` | what rank 0 does before the first page: lock, plan, how the pages stand |
//! | `lock` | one run at a time in a run directory |
//! | `settings` | what a later start may change |
//! | `stop_file` | the file that asks a run to stop |
//! | `again` | settled pages to be read again |
//! | `recovery` | what earlier starts left, shared among the ranks |
//! | `walltime` | how long the job may still run |
//! | `coordinator` | rank 0's side of the conversation, around the scheduler |
//! | `worker` | every rank's side, around its pages |
//! | `beginning` | from the frozen plan to a rank that can read |
//! | `cores` | its part of the node's cores |
//! | `planned` | what this rank is to serve |
//! | `context` | what the tasks of its pages share |
//! | `page` | one page at work, from its assignment to its record |
//! | `asking` | the page's way up an engine's ladder |
//! | `drawing` | the page's images |
//! | `image_memory` | the bound on page images held |
//! | `slots` | places among the requests in flight, in changing numbers |
//! | `pacing` | watches a server, and sets how many those are |
//! | `post` | messages, and signs of life |
//! | `pump` | how long to wait for the next event |
//! | `error` | why a run could not do its work |
//! | `logging` | a log file a rank |

mod again;
mod asking;
mod beginning;
mod context;
mod coordinator;
mod cores;
mod drawing;
mod error;
mod image_memory;
mod lock;
mod logging;
mod pacing;
mod page;
mod planned;
mod post;
mod preparation;
mod pump;
mod rank_zero;
mod recovery;
mod run;
mod settings;
mod slots;
mod stop_file;
mod turns;
mod walltime;
mod worker;

pub use again::{Again, ParseAgainError};
pub use error::RunError;
pub use lock::RunLock;
pub use preparation::{Inputs, PreparationError};
pub use run::{RunRequest, run, run_on};
pub use settings::Difference;
pub(crate) use stop_file::STOP_FILE;
pub use walltime::{Remaining, TimeLimit, WalltimeError, parse_walltime};
