//! Starts `bocr run` under mpirun, attempt by attempt, until the run reports its own end.
//!
//! [`Launcher`] is a pure state machine: events with their time go in, actions come out. It decides when to end an
//! attempt, what its end means, which hosts the next attempt has, and when to give up. The driver around it starts
//! processes, sends signals and reads the files of the run directory, and decides nothing. This module never
//! initialises MPI.
//!
//! | file | holds |
//! |---|---|
//! | `request` | the user's request, and the launcher from its start to its exit code |
//! | `run_arguments` | the arguments of `bocr run` that the launcher understands |
//! | `hosts` | the hosts, and the number of ranks on each |
//! | `protocol` | events, actions and messages of the state machine |
//! | `policy` | limits of the state machine |
//! | `launcher` | the state machine |
//! | `attempt` | the part that watches one attempt |
//! | `mpirun` | family of the mpirun, and how it reaches other hosts |
//! | `command` | the command line of an attempt |
//! | `programs` | programs on the `PATH` |
//! | `shell_word` | quotes words for a shell |
//! | `driver` | carries out the actions of the state machine |
//! | `processes` | mpirun and the processes that it leaves on this host |
//! | `host_fault` | why a host gets no ranks |
//! | `host_pool` | the hosts that get ranks, and those that are left out for now |
//! | `remote_shell` | runs commands on hosts |
//! | `node_commands` | the commands that the launcher runs on hosts |
//! | `node_check` | the check of a node, as it runs there |
//! | `signals` | signals to the launcher |
//! | `run_files` | the files of the run directory that show the state of an attempt |
//! | `error` | errors before the first attempt |

mod attempt;
mod command;
mod driver;
mod error;
mod host_fault;
mod host_pool;
mod hosts;
mod launcher;
mod mpirun;
mod node_check;
mod node_commands;
mod policy;
mod processes;
mod programs;
mod protocol;
mod remote_shell;
mod request;
mod run_arguments;
mod run_files;
mod shell_word;
mod signals;

#[cfg(test)]
mod stories;

pub use error::LaunchError;
pub use host_fault::HostFault;
pub use hosts::{HostRanks, Hosts, is_same_host};
pub use launcher::Launcher;
pub use node_check::{NodeLack, NodeNeeds, check_node};
pub use policy::Policy;
pub use processes::kill_marked;
pub use protocol::{Account, Action, AttemptEnd, EarlyEnd, Event, FileIdentity, KillReason, Message, RunFiles};
pub use request::{LaunchRequest, launch, preview};
