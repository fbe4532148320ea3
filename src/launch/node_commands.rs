//! The commands of `bocr node` that the launcher runs on the hosts.

use std::{ffi::OsString, future::Future, path::PathBuf, pin::Pin};

use super::{
    Event,
    remote_shell::{RemoteShell, run_on_hosts},
};
use crate::sys::PROGRAM_VERSION;

/// A command in progress on hosts; it gives the event that follows.
pub(super) type OnHosts = Pin<Box<dyn Future<Output = Event>>>;

/// What the commands of all hosts have in common.
#[derive(Debug, Clone)]
pub(super) struct NodeCommands {
    /// The way to the other hosts; `None` if there is none.
    pub(super) way: Option<RemoteShell>,
    /// The program of the ranks.
    pub(super) bocr: PathBuf,
    /// The directory in which the ranks start.
    pub(super) directory: PathBuf,
    /// The run directory, absolute.
    pub(super) run_directory: PathBuf,
    /// Arguments of `bocr run`.
    pub(super) run_arguments: Vec<OsString>,
}

impl NodeCommands {
    /// Checks these hosts and this one. [`Event::HostsChecked`] follows.
    pub(super) fn check(&self, hosts: Vec<String>) -> OnHosts {
        let mut words = self.words("check");
        words.extend(["--program-version".into(), PROGRAM_VERSION.into()]);
        words.extend(["--directory".into(), self.directory.clone().into(), "--".into()]);
        words.extend(self.run_arguments.iter().cloned());
        let checked = run_on_hosts(self.way.clone(), hosts, words);
        Box::pin(async move {
            let (here, faults) = checked.await;
            Event::HostsChecked { here, faults }
        })
    }

    /// Ends what ranks that were started with this `mark` have left on these hosts and on this one.
    /// [`Event::CleanedUp`] follows.
    pub(super) fn clean_up(&self, hosts: Vec<String>, mark: &str) -> OnHosts {
        let mut words = self.words("clean-up");
        words.extend(["--mark".into(), mark.into(), "--run".into(), self.run_directory.clone().into()]);
        let cleaned = run_on_hosts(self.way.clone(), hosts, words);
        Box::pin(async move {
            // A host that does not answer cannot be helped: its guards end the servers after the orphan grace.
            cleaned.await;
            Event::CleanedUp
        })
    }

    fn words(&self, command: &str) -> Vec<OsString> {
        vec![self.bocr.clone().into(), "node".into(), command.into()]
    }
}
