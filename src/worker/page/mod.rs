//! One page at work on a rank, from its assignment to its record.
//!
//! | file | holds |
//! |---|---|
//! | `settle` | the page until it is settled, given back, or called back |
//! | `attempt` | one stage of the page to an engine: get an image, ask, judge |
//! | `rendering` | the page's images |
//! | `progress` | what has come of the page so far |
//! | `task` | the page's assignment |

mod attempt;
mod progress;
mod rendering;
mod settle;
mod task;

pub(super) use settle::work_on_page;
