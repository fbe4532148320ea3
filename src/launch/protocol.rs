//! Events and actions of the launcher, and what it says.

use std::{fmt, path::PathBuf, time::Duration};

use super::Hosts;
use crate::{report::Finished, sys::ExitCode};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The launcher begins.
    Begin,
    /// A signal asks for the end.
    Signal,
    /// Time passed.
    Clock,
    /// The answer to [`Action::ReadRunFiles`].
    RunFiles(RunFiles),
    /// mpirun could not be started.
    NotStarted {
        /// Why not.
        error: String,
    },
    /// mpirun has ended.
    MpirunEnded {
        /// Its exit code, or 128 and the signal that killed it.
        code: i32,
    },
    /// The stop file could not be written.
    NotAsked {
        /// Why not.
        error: String,
    },
    /// The answer to [`Action::ProbeHosts`].
    HostsProbed {
        /// Those of the hosts that did not answer.
        unanswering: Vec<String>,
    },
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write this message.
    Say(Message),
    /// Read the files of the run directory now, and answer with [`Event::RunFiles`].
    ReadRunFiles,
    /// Start mpirun; [`Event::MpirunEnded`] or [`Event::NotStarted`] follows.
    StartMpirun {
        /// Where its ranks are.
        hosts: Hosts,
        /// The deadline of the run from now on; `None` without one.
        time_left: Option<Duration>,
    },
    /// Make the stop file, where there is none; [`Event::NotAsked`] follows where that fails.
    AskToStop,
    /// Send SIGTERM to mpirun.
    TerminateMpirun,
    /// Send SIGKILL to mpirun's process group.
    KillMpirun,
    /// Kill all that the ended mpirun left on this host.
    KillLeftovers,
    /// Remove the account of the run.
    RemoveAccount,
    /// Ask these hosts whether they live, and answer with [`Event::HostsProbed`].
    ProbeHosts(Vec<String>),
    /// Remove the stop file: it was made for a signal.
    RemoveStopFile,
    /// Leave with this exit code. The last action.
    Exit(ExitCode),
}

/// Tells one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Inode.
    pub inode: u64,
    /// Time of its last change, as seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// The account of a run in its directory, maybe that of an earlier start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which version this is.
    pub identity: FileIdentity,
    /// What it says; `None` where that is not understood.
    pub finished: Option<Finished>,
}

/// The files of the run directory that tell how a start stands. A file that cannot be read counts as missing: if it
/// stays so, the status does not change, and the start is ended for that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFiles {
    /// The account.
    pub account: Option<Account>,
    /// The bytes of the status file.
    pub status: Option<Vec<u8>>,
    /// Whether the stop file is there.
    pub stop_requested: bool,
}

/// Why the launcher ended mpirun before the run gave an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillReason {
    /// The status file did not change for this long.
    Silence(Duration),
    /// It went on after the time was over.
    Overtime,
    /// A second signal came.
    SecondSignal,
    /// The run could not be asked to stop.
    NotAsked {
        /// The stop file.
        stop_file: PathBuf,
        /// Why it could not be written.
        error: String,
    },
}

/// How an attempt ended that was not the end of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The launcher ended it.
    Killed(KillReason),
    /// The run ended because ranks fell silent, on these hosts.
    SilentRanks(Vec<String>),
    /// mpirun ended with this code, and the run gave no account.
    Mpirun(i32),
    /// The account of the run is not understood.
    UnreadableAccount,
    /// mpirun could not be started.
    NotStarted(String),
}

/// Why the launcher leaves before the run's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EarlyEnd {
    /// A signal came while no attempt was under way.
    Signal,
    /// A signal came, and the run gave no account.
    NoAccountAfterSignal(Option<KillReason>),
    /// No time is left; with the end of the last attempt.
    NoTime(Option<AttemptEnd>),
    /// So many attempts in a row settled no page; with the end of the last.
    Fruitless(u32, AttemptEnd),
    /// No host is left.
    NoHost,
    /// Somebody else made this stop file.
    StopFile(PathBuf),
}

/// What the launcher says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// An attempt begins.
    Attempt {
        /// Its number, from 1.
        number: u32,
        /// Where its ranks are.
        hosts: Hosts,
        /// How the last one ended.
        last: Option<AttemptEnd>,
    },
    /// Hosts are left out from now on: silent ones, and those that did not answer.
    HostsDropped {
        /// Ranks on them fell silent.
        silent: Vec<String>,
        /// They did not answer.
        unanswering: Vec<String>,
    },
    /// The launcher ends before the run.
    StoppedEarly(EarlyEnd),
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KillReason::Silence(limit) => write!(f, "status.json did not change for {} s", limit.as_secs()),
            KillReason::Overtime => f.write_str("it did not end in time"),
            KillReason::SecondSignal => f.write_str("a second signal came"),
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
            AttemptEnd::SilentRanks(hosts) if hosts.is_empty() => f.write_str("no word came from a rank"),
            AttemptEnd::SilentRanks(hosts) => write!(f, "no word came from a rank on {}", hosts.join(" ")),
            AttemptEnd::Mpirun(code) => write!(f, "mpirun ended with code {code} before the run"),
            AttemptEnd::UnreadableAccount => f.write_str("the run's finished.json is not understood"),
            AttemptEnd::NotStarted(error) => write!(f, "mpirun could not be started: {error}"),
        }
    }
}

impl fmt::Display for EarlyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EarlyEnd::Signal => f.write_str("a signal came"),
            EarlyEnd::NoAccountAfterSignal(None) => f.write_str("the run was cut down after a signal"),
            EarlyEnd::NoAccountAfterSignal(Some(reason)) => write!(f, "{reason} after a signal"),
            EarlyEnd::NoTime(None) => f.write_str("no time is left"),
            EarlyEnd::NoTime(Some(last)) => write!(f, "no time is left ({last})"),
            EarlyEnd::Fruitless(attempts, last) => {
                write!(f, "{attempts} starts in a row settled no page; the last: {last}")
            }
            EarlyEnd::NoHost => f.write_str("no host is left"),
            EarlyEnd::StopFile(path) => write!(f, "{} asks for it", path.display()),
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
            Message::HostsDropped { silent, unanswering } => {
                let silent = silent.iter().map(|host| format!("{host} (silent)"));
                let dropped: Vec<_> =
                    silent.chain(unanswering.iter().map(|host| format!("{host} (no answer)"))).collect();
                write!(f, "without {} from now on", dropped.join(","))
            }
            Message::StoppedEarly(reason) => write!(f, "stopped early: {reason}; the same command continues"),
        }
    }
}
