//! Who works on what: the pure state machine of rank 0.
//!
//! Events in, actions out ([`Scheduler::step`]). It never does I/O, reads a clock, draws a random number, starts
//! a thread or logs; it depends on nothing but [`crate::model`], so that its tests are stories and the simulator
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
//! | `turning` | which ranks turn to their other engine, and when |
//! | `page_times` | how long pages take |
//! | `ledger` | one state a page |
//! | `open_page` | what is known of pages that something has happened to |
//! | `lease` | assignments that are out |
//! | `queue` | pages that wait, as ranges |
//! | `ranks` | all ranks together |
//! | `rank_state` | what one rank can do and holds |
//! | `ladder` | in which ways an engine is asked: tables |
//! | `climb` | one visit to an engine: what follows each attempt |
//! | `nothing` | whether an engine is believed that finds nothing to read |
//! | `course` | what follows a visit |
//! | `invariants` | what must hold after every step |

pub mod climb;
pub mod course;
mod deal;
mod ending;
mod expiry;
mod invariants;
mod ladder;
mod lease;
mod ledger;
pub mod nothing;
mod open_page;
mod page_times;
mod protocol;
mod queue;
mod rank_state;
mod ranks;
mod scheduler;
mod timer;
mod turning;

pub use ending::Deadline;
pub use ladder::Rung;
pub use ledger::PageStage;
pub use protocol::{Action, Event, Tick};
pub use scheduler::{Policy, Restored, Scheduler};
