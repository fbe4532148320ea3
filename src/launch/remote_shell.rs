//! Runs commands on hosts: the check of a host, and the end of what killed ranks have left there.

use std::{env, ffi::OsString, path::PathBuf, process::Stdio, time::Duration};

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{process::Command, time::timeout};

use super::{HostFault, shell_word::shell_line};

/// Time limit for a host to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Time for a command to end after a signal.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Variables that `bocr` needs to start and to find its libraries. A remote command has none of those that the job's
/// set-up lines have exported, and mpirun sends them to ranks only.
const CARRIED: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "PDFIUM_LIB"];

/// The way to run a command on another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteShell {
    before_host: Vec<OsString>,
    /// Words between the host and the line for a shell.
    after_host: Vec<OsString>,
}

impl RemoteShell {
    /// With the command that mpirun starts its daemons with, split at blanks as mpirun does.
    pub(super) fn by_agent(agent: &str) -> RemoteShell {
        RemoteShell::new(agent.split_whitespace().map(OsString::from).collect(), &[])
    }

    /// With the remote shell of PBS, which starts a program and not a shell.
    pub(super) fn by_pbs(tmrsh: PathBuf) -> RemoteShell {
        RemoteShell::new(vec![tmrsh.into()], &["/bin/sh", "-c"])
    }

    /// With ssh, which must not ask for a password.
    pub(super) fn by_ssh() -> RemoteShell {
        RemoteShell::new(["ssh", "-o", "BatchMode=yes"].map(OsString::from).into(), &[])
    }

    fn new(before_host: Vec<OsString>, after_host: &[&str]) -> RemoteShell {
        RemoteShell { before_host, after_host: after_host.iter().map(OsString::from).collect() }
    }

    /// The command that runs `words` on a host.
    fn words_for(&self, host: &str, words: &[OsString]) -> Vec<OsString> {
        let carried = CARRIED.iter().filter_map(|name| {
            let mut assignment = OsString::from(format!("{name}="));
            assignment.push(env::var_os(name)?);
            Some(assignment)
        });
        let there: Vec<OsString> = [OsString::from("env")].into_iter().chain(carried).chain(words.to_vec()).collect();
        let line = shell_line(there.iter().map(OsString::as_os_str));
        let mut all = self.before_host.clone();
        all.push(host.into());
        all.extend(self.after_host.iter().cloned());
        all.push(line.into());
        all
    }
}

/// Runs a command on this host and, where there is a way, on others at the same time. Each has 10 s. Gives the fault of
/// this host, and the other hosts that have one, by the exit codes. Without a way the others have none.
pub(super) async fn run_on_hosts(
    way: Option<RemoteShell>,
    hosts: Vec<String>,
    words: Vec<OsString>,
) -> (Option<HostFault>, Vec<(String, HostFault)>) {
    let remote = hosts.iter().map(|host| async {
        match &way {
            Some(way) => run(&way.words_for(host, &words)).await,
            None => None,
        }
    });
    let (here, faults) = tokio::join!(run(&words), join_all(remote));
    (here, hosts.iter().cloned().zip(faults).filter_map(|(host, fault)| Some((host, fault?))).collect())
}

async fn run(words: &[OsString]) -> Option<HostFault> {
    let [program, arguments @ ..] = words else { return Some(HostFault::NoProgram) };
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).kill_on_drop(true);
    // What the command says is for the user.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Some(HostFault::NoAnswer) };
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Ok(status) = timeout(ANSWER_LIMIT, child.wait()).await {
        let code = status.ok().and_then(|status| status.code());
        return code.map_or(Some(HostFault::NoAnswer), HostFault::of_exit_code);
    }
    for signal in [Signal::TERM, Signal::KILL] {
        // The group may have ended meanwhile.
        let _ = group.map(|group| kill_process_group(group, signal));
        if timeout(END_LIMIT, child.wait()).await.is_ok() {
            break;
        }
    }
    Some(HostFault::NoAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_command_says_of_each_host_comes_back_by_its_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        let script = "host=$2; shift 2; case $host in n1) sh -c \"$*\" ;; n2) exit 84 ;; *) exit 255 ;; esac\n";
        std::fs::write(&agent, script).unwrap();
        let way = RemoteShell::by_agent(&format!("sh {} -q", agent.display()));
        let hosts: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).into();
        let words: Vec<OsString> = ["sh", "-c", "[ \"$1\" = \"a b\" ]", "sh", "a b"].map(OsString::from).into();
        let (here, faults) = run_on_hosts(Some(way), hosts, words.clone()).await;
        assert_eq!(here, None);
        assert_eq!(faults, [("n2".to_owned(), HostFault::Input), ("n3".to_owned(), HostFault::NoAnswer)]);
        let nothing = RemoteShell::by_agent("/no/such/program");
        let (_, faults) = run_on_hosts(Some(nothing), vec!["n1".into()], words).await;
        assert_eq!(faults, [("n1".to_owned(), HostFault::NoAnswer)]);
    }
}
