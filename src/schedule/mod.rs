//! Who works on what: the pure state machine of rank 0.
//!
//! Events in, actions out ([`Scheduler::step`]). It never does I/O, reads a clock, draws a random number, starts
//! a thread or logs; it depends on nothing but [`crate::model`] and [`crate::retry`], so that its tests are stories and the simulator
//! runs the very same code. Containers are ordered: the same events give the same actions, byte for byte.
//!
//! | file | holds |
//! |---|---|
//! | `protocol` | events, actions and the order in which a driver must carry them out |
//! | `scheduler` | the state machine |
//! | `deal` | which pages go to which rank next |
//! | `timer` | what the passing of time brings about |
//! | `expiry` | pages that do not come back |
//! | `ending` | the phases of an early end: deadline, stop, silence |
//! | `role_switch` | which ranks change to their other engine, and when |
//! | `page_times` | how long pages take |
//! | `ledger` | one state a page |
//! | `open_page` | what is known of pages that something has happened to |
//! | `lease` | assignments that are out |
//! | `queue` | pages that wait, as ranges |
//! | `ranks` | all ranks together |
//! | `rank_state` | what one rank can do and holds |
//! | `invariants` | what must hold after every step |

mod deal;
mod ending;
mod expiry;
mod invariants;
mod lease;
mod ledger;
mod open_page;
mod page_times;
mod protocol;
mod queue;
mod rank_state;
mod ranks;
mod role_switch;
mod scheduler;
mod timer;

pub use ending::Deadline;
pub use ledger::PageState;
pub use protocol::{Action, Event, Tick};
pub use scheduler::{Policy, Restored, Scheduler};
