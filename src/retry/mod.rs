//! What follows an attempt. The worker and the simulator use the same retry policy. Pure.
//!
//! | file | holds |
//! |---|---|
//! | `policy` | the retry steps of each failure class: tables |
//! | `state` | the retry state of a page on one stage: what follows each attempt |
//! | `escalation` | which engine follows after one has failed the page |
//! | `folding` | attempts that were interrupted alike, as one |
//! | `blank_check` | whether to believe an engine that finds nothing to read |
//! | `repetition` | whether to believe an answer that says a page twice, or that another page got |

pub mod blank_check;
pub mod escalation;
pub mod folding;
mod policy;
pub mod repetition;
pub mod state;

pub use policy::RetryStep;
