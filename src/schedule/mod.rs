//! Which rank reads which page: the pure state machine of rank 0.
//!
//! Events in, actions out ([`Scheduler::step`]). It does no I/O, reads no clock, draws no random number, starts no
//! thread and writes no log. It depends only on [`crate::model`] and [`crate::retry`]: tests are stories of events, and
//! the simulator runs the same code. Containers are ordered: the same events give the same actions, byte for byte.
//!
//! | file | holds |
//! |---|---|
//! | `protocol` | events, actions and the order in which a driver must carry them out |
//! | `scheduler` | the state machine |
//! | `settling` | verdicts: a page goes on to its next stage, or is settled |
//! | `deal` | which pages go to which rank next |
//! | `trial` | pages that were in flight when their engine died: which of them kills it |
//! | `timer` | timers: what happens when time passes |
//! | `failures` | pages that servers fail by their answers: whose fault it is |
//! | `expiry` | leases of pages that do not come back |
//! | `race` | the last pages are also asked on idle ranks |
//! | `ending` | the phases of an early end: deadline, stop, silence |
//! | `role_switch` | which ranks switch to another engine, and when |
//! | `page_times` | how long pages take |
//! | `ledger` | one state per page |
//! | `open_page` | pages with a history |
//! | `lease` | open assignments |
//! | `queue` | waiting pages, as ranges |
//! | `ranks` | all ranks together |
//! | `rank_state` | what one rank serves and holds |
//! | `server_trust` | how far the failures of a rank's server are believed |
//! | `invariants` | what holds after every step |

mod deal;
mod ending;
mod expiry;
mod failures;
mod invariants;
mod lease;
mod ledger;
mod open_page;
mod page_times;
mod protocol;
mod queue;
mod race;
mod rank_state;
mod ranks;
mod role_switch;
mod scheduler;
mod server_trust;
mod settling;
mod timer;
mod trial;

pub use ending::Deadline;
pub use ledger::PageState;
pub use protocol::{Action, Event, Tick};
pub use scheduler::{Policy, Restored, Scheduler};
