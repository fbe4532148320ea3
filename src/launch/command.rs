//! The command line of an attempt. Pure.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use super::{
    Hosts,
    mpirun::{Family, Mpirun},
    processes::MARK_VARIABLE,
};

/// What all attempts have in common.
#[derive(Debug, Clone)]
pub(super) struct StartCommand {
    pub(super) mpirun: Mpirun,
    /// Additional options for mpirun.
    pub(super) mpirun_options: Vec<String>,
    /// The program of the ranks. An absolute path, because a rank may have another working directory.
    pub(super) bocr: PathBuf,
    /// The subcommand of the ranks: `run`, or an experiment.
    pub(super) subcommand: Vec<OsString>,
    /// Arguments of the subcommand: the launcher's own, then the user's.
    pub(super) run_arguments: Vec<OsString>,
}

impl StartCommand {
    /// Program and arguments of an attempt on these hosts, with this much time left (`None`: no limit).
    pub(super) fn words(&self, hosts: &Hosts, time_left: Option<Duration>) -> Vec<OsString> {
        let options = match self.mpirun.family {
            Family::OpenMpi(major) => self.open_mpi_options(major, hosts),
            Family::Hydra => self.hydra_options(hosts),
        };
        let mut words = vec![self.mpirun.program.clone().into_os_string()];
        words.extend(options.into_iter().chain(self.mpirun_options.iter().cloned()).map(OsString::from));
        words.push(self.bocr.clone().into_os_string());
        words.extend(self.subcommand.iter().cloned());
        words.extend(self.run_arguments.iter().cloned());
        if let Some(left) = time_left {
            words.extend(["--deadline".into(), left.as_secs().to_string().into()]);
        }
        words
    }

    fn open_mpi_options(&self, major: u32, hosts: &Hosts) -> Vec<String> {
        let (runtime, launcher) = if major >= 5 { ("--prtemca", "ssh") } else { ("--mca", "rsh") };
        // Without this option every child of a rank, its server included, inherits one core.
        let mut options = vec!["--bind-to".to_owned(), "none".to_owned()];
        let mut set = |name: &str, value: &str| options.extend([runtime, name, value].map(str::to_owned));
        // mpirun and its daemons check whether the other side still lives. Both notice a cut link within 30 s.
        set("oob_tcp_keepalive_time", "10");
        set("oob_tcp_keepalive_intvl", "3");
        set("oob_tcp_keepalive_probes", "5");
        // The ranks that are left after a death are killed at once: their records are on disk.
        set("odls_base_sigkill_timeout", "0");
        if let Some(agent) = &self.mpirun.agent {
            set("plm", launcher);
            set(&format!("plm_{launcher}_agent"), agent);
            // Without this option the daemon detaches itself from the agent, and PBS kills it or loses track of it.
            options.push("--leave-session-attached".to_owned());
        }
        if matches!(hosts, Hosts::Listed { .. }) {
            // mpirun gives its own variables to the ranks on this host only.
            options.extend(["-x".to_owned(), MARK_VARIABLE.to_owned()]);
        }
        options.extend(["--host".to_owned(), hosts.mpirun_list()]);
        let ranks = hosts.total_ranks().to_string();
        options.extend(match (hosts, hosts.ranks_on_each()) {
            (Hosts::Here { .. }, _) => vec!["-n".to_owned(), ranks],
            (Hosts::Listed { .. }, Some(each)) => vec!["--map-by".to_owned(), format!("ppr:{each}:node")],
            (Hosts::Listed { .. }, None) => ["-n", &ranks, "--map-by", "slot"].map(str::to_owned).into(),
        });
        if self.mpirun.is_started_by_pbs || self.mpirun.cores < hosts.ranks_here() as usize {
            options.push("--oversubscribe".to_owned());
        }
        options
    }

    fn hydra_options(&self, hosts: &Hosts) -> Vec<String> {
        let agent = self.mpirun.agent.iter().flat_map(|agent| ["-launcher", "rsh", "-launcher-exec", agent]);
        let mut options: Vec<String> = agent.map(str::to_owned).collect();
        options.extend(["-hosts".to_owned(), hosts.mpirun_list(), "-n".to_owned(), hosts.total_ranks().to_string()]);
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_line(family: Family, agent: Option<&str>, hosts: &Hosts, time_left: Option<u64>) -> String {
        let mpirun = Mpirun {
            program: "/opt/mpi/bin/mpirun".into(),
            family,
            agent: agent.map(str::to_owned),
            is_started_by_pbs: false,
            cores: 2,
        };
        let command = StartCommand {
            mpirun,
            mpirun_options: vec!["-x".into(), "HOME".into()],
            bocr: "/opt/bocr".into(),
            subcommand: vec!["run".into()],
            run_arguments: ["--linger", "120", "-o", "run"].map(OsString::from).into(),
        };
        let words = command.words(hosts, time_left.map(Duration::from_secs));
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn listed(text: &str) -> Hosts {
        Hosts::of_file(text, "n1", None).unwrap()
    }

    #[test]
    fn ranks_on_this_host_are_named_as_such_and_may_be_more_than_its_cores() {
        let here = |ranks| Hosts::Here { name: "n1".into(), ranks };
        let line = command_line(Family::OpenMpi(4), None, &here(3), Some(90));
        assert!(line.starts_with("/opt/mpi/bin/mpirun --bind-to none --mca oob_tcp_keepalive_time 10 "), "{line}");
        let end = "--host localhost:3 -n 3 --oversubscribe -x HOME /opt/bocr run --linger 120 -o run --deadline 90";
        assert!(line.ends_with(end), "{line}");
        let line = command_line(Family::OpenMpi(4), None, &here(2), None);
        assert!(line.ends_with("-n 2 -x HOME /opt/bocr run --linger 120 -o run"), "{line}");
        let line = command_line(Family::Hydra, None, &here(3), None);
        assert_eq!(line, "/opt/mpi/bin/mpirun -hosts localhost:3 -n 3 -x HOME /opt/bocr run --linger 120 -o run");
    }

    #[test]
    fn an_agent_is_named_as_each_family_wants_it() {
        let hosts = listed("n1\nn2\n");
        let line = command_line(Family::OpenMpi(4), Some("rsh -q"), &hosts, None);
        let agent =
            "--mca plm rsh --mca plm_rsh_agent rsh -q --leave-session-attached -x MPIEXEC_BOCR_LAUNCH --host n1:1,n2:1";
        assert!(line.contains(agent), "{line}");
        let line = command_line(Family::OpenMpi(5), Some("rsh"), &hosts, None);
        assert!(line.contains("--prtemca plm ssh --prtemca plm_ssh_agent rsh "), "{line}");
        assert!(!line.contains("--mca "), "{line}");
        let line = command_line(Family::Hydra, Some("rsh"), &hosts, None);
        assert!(line.contains(" -launcher rsh -launcher-exec rsh -hosts n1:1,n2:1 -n 2 "), "{line}");
    }

    #[test]
    fn hosts_with_unequal_ranks_are_filled_by_slots() {
        let line = command_line(Family::OpenMpi(4), None, &listed("n1\nn2\nn2\n"), None);
        assert!(line.contains("--host n1:1,n2:2 -n 3 --map-by slot"), "{line}");
        let line = command_line(Family::OpenMpi(4), None, &listed("n1\nn1\nn2\nn2\n"), None);
        assert!(line.contains("--host n1:2,n2:2 --map-by ppr:2:node"), "{line}");
    }
}
