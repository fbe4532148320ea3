//! One page on a rank, from its assignment to its record.
//!
//! | file | holds |
//! |---|---|
//! | `settle` | the page until it is settled, returned or recalled |
//! | `attempt` | one stage of the page on an engine: get an image, ask, judge |
//! | `rendering` | the page's images |
//! | `progress` | attempts and best text so far |
//! | `task` | the assignment of the page |

mod attempt;
mod progress;
mod rendering;
mod settle;
mod task;

pub(super) use settle::work_on_page;
