//! One page at work on a rank, from its assignment to its record.
//!
//! | file | holds |
//! |---|---|
//! | `task` | the page's assignment, what has come of it so far, and its record |
//! | `rendering` | the page's images |
//! | `attempt` | one visit of the page to an engine: image after image, attempt after attempt |

mod attempt;
mod rendering;
mod task;

pub(super) use task::{PageTask, work};
