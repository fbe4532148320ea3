//! What follows an attempt: the retry policy, used by the worker and by the simulator. Pure.
//!
//! | file | holds |
//! |---|---|
//! | `policy` | in which ways an engine is asked, by failure class: tables |
//! | `state` | one stage of a page on an engine: what follows each attempt |
//! | `escalation` | which engine follows one that has failed the page |
//! | `blank_check` | whether an engine is believed that finds nothing to read |

pub mod blank_check;
pub mod escalation;
mod policy;
pub mod state;

pub use policy::RetryStep;
