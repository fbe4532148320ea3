//! Events, actions and messages of the launcher.

use std::{fmt, path::PathBuf, time::Duration};

use super::{HostFault, Hosts};
use crate::{report::Finished, sys::ExitCode};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The launcher starts.
    Begin,
    /// A signal asks the launcher to stop.
    Signal,
    /// Time has passed.
    Clock,
    /// The answer to [`Action::ReadRunFiles`].
    RunFiles(RunFiles),
    /// mpirun could not be started.
    NotStarted {
        /// The system's error message.
        error: String,
    },
    /// mpirun has ended.
    MpirunEnded {
        /// Its exit code, or 128 plus the signal that killed it.
        code: i32,
    },
    /// The stop file could not be written.
    NotAsked {
        /// The system's error message.
        error: String,
    },
    /// The answer to [`Action::CheckHosts`].
    HostsChecked {
        /// What this host lacks; `None` if it has all that a rank needs.
        here: Option<HostFault>,
        /// The other hosts that have a fault.
        faults: Vec<(String, HostFault)>,
    },
    /// The answer to [`Action::CleanUp`].
    CleanedUp,
}

/// An order to the driver. Actions are carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Print this message.
    Say(Message),
    /// Read the files of the run directory now; [`Event::RunFiles`] follows.
    ReadRunFiles,
    /// Start mpirun; [`Event::MpirunEnded`] or [`Event::NotStarted`] follows.
    StartMpirun {
        /// Hosts of the ranks.
        hosts: Hosts,
        /// The deadline of the run from now on; `None` without one.
        time_left: Option<Duration>,
    },
    /// Create the stop file, if it does not exist; [`Event::NotAsked`] follows if that fails.
    AskToStop {
        /// Time in which the run must end; `None` without a limit.
        time_left: Option<Duration>,
    },
    /// Send SIGTERM to mpirun.
    TerminateMpirun,
    /// Send SIGKILL to mpirun's process group.
    KillMpirun,
    /// Kill all processes that the ended mpirun left on this host.
    KillLeftovers,
    /// Remove the account of the run (`finished.json`).
    RemoveAccount,
    /// Check these hosts and this one; [`Event::HostsChecked`] follows.
    CheckHosts(Vec<String>),
    /// End all processes that killed ranks have left on these hosts and on this one; [`Event::CleanedUp`] follows.
    CleanUp(Vec<String>),
    /// Remove the stop file, which was created because of a signal.
    RemoveStopFile,
    /// End with this exit code. This is the last action.
    Exit(ExitCode),
}

/// Distinguishes one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Inode number.
    pub inode: u64,
    /// Time of its last status change (ctime), as seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// The account of a run (`finished.json`), possibly that of an earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Version of the file.
    pub identity: FileIdentity,
    /// Its content; `None` if it cannot be parsed.
    pub finished: Option<Finished>,
}

/// The files of the run directory that show the state of an attempt. A file that cannot be read counts as missing: if
/// that lasts, the status does not change, and the attempt is ended for that reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFiles {
    /// The account; `None` without `finished.json`.
    pub account: Option<Account>,
    /// The bytes of the status file; `None` without one.
    pub status: Option<Vec<u8>>,
    /// Whether the stop file exists.
    pub stop_requested: bool,
}

/// Why the launcher ended mpirun before the run gave its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillReason {
    /// The status file did not change for this long.
    Silence(Duration),
    /// It did not end although its time was over.
    Overtime,
    /// A second signal arrived.
    SecondSignal,
    /// These hosts can get ranks again.
    HostsReturned(Vec<String>),
    /// The run could not be asked to stop.
    NotAsked {
        /// Path of the stop file.
        stop_file: PathBuf,
        /// Why the file could not be written.
        error: String,
    },
}

/// How an attempt ended that did not end the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The launcher ended it.
    Killed(KillReason),
    /// The run ended because ranks on these hosts became silent.
    SilentRanks(Vec<String>),
    /// mpirun ended with this code, and the run gave no account.
    Mpirun(i32),
    /// The account of the run cannot be parsed.
    UnreadableAccount,
    /// mpirun could not be started, with this error.
    NotStarted(String),
}

/// Why the launcher ends before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EarlyEnd {
    /// A signal arrived while no attempt was in progress.
    Signal,
    /// A signal arrived, and the run gave no account.
    NoAccountAfterSignal(Option<KillReason>),
    /// No time is left; with the end of the last attempt.
    NoTime(Option<AttemptEnd>),
    /// This many consecutive attempts settled no page; with the end of the last one.
    Fruitless(u32, AttemptEnd),
    /// No host is left.
    NoHost,
    /// The stop file exists, and the launcher did not create it.
    StopFile(PathBuf),
}

/// A message to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// An attempt starts.
    Attempt {
        /// Its number, from 1.
        number: u32,
        /// Hosts of the ranks.
        hosts: Hosts,
        /// How the last attempt ended.
        last: Option<AttemptEnd>,
    },
    /// Hosts get no ranks.
    HostsLeftOut(Vec<(String, HostFault)>),
    /// Hosts get ranks again.
    HostsBack(Vec<String>),
    /// The launcher ends before the run.
    StoppedEarly(EarlyEnd),
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KillReason::Silence(limit) => write!(f, "status.json did not change for {} s", limit.as_secs()),
            KillReason::Overtime => f.write_str("it did not end in time"),
            KillReason::SecondSignal => f.write_str("a second signal came"),
            KillReason::HostsReturned(hosts) => write!(f, "ended to start ranks on {} again", hosts.join(" ")),
            KillReason::NotAsked { stop_file, error } => {
                write!(f, "{} could not be written ({error})", stop_file.display())
            }
        }
    }
}

impl fmt::Display for AttemptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttemptEnd::Killed(reason) => reason.fmt(f),
            AttemptEnd::SilentRanks(hosts) if hosts.is_empty() => f.write_str("a rank became silent"),
            AttemptEnd::SilentRanks(hosts) => write!(f, "a rank became silent on {}", hosts.join(" ")),
            AttemptEnd::Mpirun(code) => write!(f, "mpirun ended with code {code} before the run ended"),
            AttemptEnd::UnreadableAccount => f.write_str("the run's finished.json is damaged"),
            AttemptEnd::NotStarted(error) => write!(f, "mpirun could not be started: {error}"),
        }
    }
}

impl fmt::Display for EarlyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EarlyEnd::Signal => f.write_str("a signal came"),
            EarlyEnd::NoAccountAfterSignal(None) => f.write_str("the run died after a signal"),
            EarlyEnd::NoAccountAfterSignal(Some(reason)) => write!(f, "{reason} after a signal"),
            EarlyEnd::NoTime(None) => f.write_str("no time is left"),
            EarlyEnd::NoTime(Some(last)) => write!(f, "no time is left ({last})"),
            EarlyEnd::Fruitless(attempts, last) => {
                write!(f, "{attempts} starts in a row settled no page; the last: {last}")
            }
            EarlyEnd::NoHost => f.write_str("no host is left"),
            EarlyEnd::StopFile(path) => write!(f, "{} asks the run to stop", path.display()),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Attempt { number, hosts, last } => {
                write!(f, "attempt {number}: {} ranks on {}", hosts.total_ranks(), hosts.names())?;
                match last {
                    Some(last) => write!(f, "; the last one ended: {last}"),
                    None => Ok(()),
                }
            }
            Message::HostsLeftOut(hosts) => {
                let hosts: Vec<_> = hosts.iter().map(|(host, fault)| format!("{host} ({fault})")).collect();
                write!(f, "without {}", hosts.join(", "))
            }
            Message::HostsBack(hosts) => write!(f, "with {} again", hosts.join(", ")),
            Message::StoppedEarly(reason) => write!(f, "stopped early: {reason}; the same command continues"),
        }
    }
}
