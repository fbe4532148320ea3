//! One MPI rank: the two loops that wire the other rooms together, and nothing that decides.
//!
//! | file | holds |
//! |---|---|
//! | `run` | a run from start to exit code |
//! | `preparation` | what rank 0 does before the first page: lock, plan, recovery |
//! | `coordinator` | rank 0's loop around the scheduler |
//! | `worker` | every rank's loop around its pages |
//! | `planned` | what this rank is to serve |
//! | `context` | what the tasks of its pages share |
//! | `page` | the way of one page through imaging, engine and store |
//! | `image_memory` | the bound on page images held |
//! | `pump` | how long to wait for the next event |
//! | `logging` | a log file a rank |

mod context;
mod coordinator;
mod image_memory;
mod logging;
mod page;
mod planned;
mod preparation;
mod pump;
mod run;
mod worker;

pub use preparation::{Inputs, PreparationError};
pub use run::{RunError, RunRequest, run, run_on};
