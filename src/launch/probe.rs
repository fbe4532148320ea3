//! Checks whether hosts answer.

use std::{ffi::OsString, path::PathBuf, process::Stdio, time::Duration};

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{process::Command, time::timeout};

/// Time limit for a host to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Time for a probe command to end after a signal.
const END_LIMIT: Duration = Duration::from_secs(1);

/// A probe of a host: a command that does nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    before_host: Vec<OsString>,
    after_host: Vec<OsString>,
}

impl Probe {
    /// With the command that mpirun starts its daemons with, split at blanks as mpirun does.
    pub(super) fn by_agent(agent: &str) -> Probe {
        Probe::new(agent.split_whitespace().map(OsString::from).collect(), &["true"])
    }

    /// With the remote shell of PBS, which starts a program and not a shell.
    pub(super) fn by_pbs(tmrsh: PathBuf) -> Probe {
        Probe::new(vec![tmrsh.into()], &["/bin/sh", "-c", "true"])
    }

    /// With ssh, which must not ask for a password.
    pub(super) fn by_ssh() -> Probe {
        Probe::new(["ssh", "-o", "BatchMode=yes"].map(OsString::from).into(), &["true"])
    }

    fn new(before_host: Vec<OsString>, command: &[&str]) -> Probe {
        Probe { before_host, after_host: command.iter().map(OsString::from).collect() }
    }

    /// Probes all hosts at the same time. Gives those that do not answer within 10 s.
    pub(super) async fn find_unanswering(self, hosts: Vec<String>) -> Vec<String> {
        let answers = join_all(hosts.iter().map(|host| self.has_answer(host))).await;
        hosts.into_iter().zip(answers).filter(|(_, has_answer)| !has_answer).map(|(host, _)| host).collect()
    }

    async fn has_answer(&self, host: &str) -> bool {
        let [program, options @ ..] = &self.before_host[..] else { return false };
        let mut command = Command::new(program);
        command.args(options).arg(host).args(&self.after_host).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else { return false };
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Ok(status) = timeout(ANSWER_LIMIT, child.wait()).await {
            return status.is_ok_and(|status| status.success());
        }
        for signal in [Signal::TERM, Signal::KILL] {
            // The group may have ended meanwhile.
            let _ = group.map(|group| kill_process_group(group, signal));
            if timeout(END_LIMIT, child.wait()).await.is_ok() {
                break;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_that_answer_are_distinguished_from_those_that_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        std::fs::write(&agent, "[ \"$2 $3\" = \"n1 true\" ]\n").unwrap();
        let probe = Probe::by_agent(&format!("sh {} -q", agent.display()));
        let hosts = ["n1", "n2"].map(str::to_owned);
        assert_eq!(probe.find_unanswering(hosts.into()).await, ["n2"]);
        let nothing = Probe::by_agent("/no/such/program");
        assert_eq!(nothing.find_unanswering(vec!["n1".into()]).await, ["n1"]);
    }
}
