//! Starts `bocr run` under mpirun, again and again, until the run has ended by its own account.
//!
//! [`Launcher`] is a pure state machine: events with their time go in, actions come out. It decides when a start is
//! ended, what its end means, which hosts the next one has, and when to give up. The driver around it starts processes,
//! sends signals and reads the files of the run directory, and decides nothing. Nothing here initialises MPI.
//!
//! | file | holds |
//! |---|---|
//! | `request` | what a user asks for, and the launcher from its beginning to its exit code |
//! | `run_arguments` | what the launcher must know of the arguments of `bocr run` |
//! | `hosts` | the hosts, and how many ranks each has |
//! | `protocol` | events, actions and messages of the state machine |
//! | `policy` | its limits |
//! | `launcher` | the state machine |
//! | `attempt` | its part that watches one start of mpirun |
//! | `mpirun` | which mpirun this is, and how it reaches other hosts |
//! | `command` | the command line of a start |
//! | `programs` | programs on the `PATH` |
//! | `shell_word` | words as a shell reads them |
//! | `driver` | the loop around the state machine |
//! | `processes` | mpirun, and what it leaves on this host |
//! | `probe` | asks hosts whether they answer |
//! | `signals` | signals to the launcher |
//! | `run_files` | the files of the run directory that tell how a start stands |
//! | `error` | why there was no start |

mod attempt;
mod command;
mod driver;
mod error;
mod hosts;
mod launcher;
mod mpirun;
mod policy;
mod probe;
mod processes;
mod programs;
mod protocol;
mod request;
mod run_arguments;
mod run_files;
mod shell_word;
mod signals;

#[cfg(test)]
mod stories;

pub use error::LaunchError;
pub use hosts::{HostRanks, Hosts, is_same_host};
pub use launcher::Launcher;
pub use policy::Policy;
pub use protocol::{Account, Action, AttemptEnd, EarlyEnd, Event, FileIdentity, KillReason, Message, RunFiles};
pub use request::{LaunchRequest, launch, preview};
