//! The hosts of the ranks, and the number of ranks on each.

/// A host and the number of its ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRanks {
    /// Host name as mpirun gets it.
    pub name: String,
    /// Number of ranks on it, at least 1.
    pub ranks: u32,
}

/// The hosts of the ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// This host only.
    Here {
        /// Name of this host.
        name: String,
        /// Number of ranks, at least 1.
        ranks: u32,
    },
    /// The hosts of a hosts file.
    Listed {
        /// Name of this host. It need not be in the list.
        here: String,
        /// At least one, in the order of the file.
        hosts: Vec<HostRanks>,
    },
}

impl Hosts {
    /// Reads a hosts file: one host per line; the rest of a line is ignored; a line that begins with `#` is a comment.
    /// A host named twice gets two ranks, as in `$PBS_NODEFILE`; with `per_host` every host gets that number instead.
    /// `None` if the file names no host.
    pub fn of_file(text: &str, here: &str, per_host: Option<u32>) -> Option<Hosts> {
        let mut hosts: Vec<HostRanks> = Vec::new();
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| !name.starts_with('#')) {
            match hosts.iter_mut().find(|host| host.name == name) {
                Some(host) => host.ranks = per_host.unwrap_or(host.ranks + 1),
                None => hosts.push(HostRanks { name: name.to_owned(), ranks: per_host.unwrap_or(1) }),
            }
        }
        (!hosts.is_empty()).then(|| Hosts::Listed { here: here.to_owned(), hosts })
    }

    /// Number of ranks on all hosts.
    pub fn total_ranks(&self) -> u32 {
        match self {
            Hosts::Here { ranks, .. } => *ranks,
            Hosts::Listed { hosts, .. } => hosts.iter().map(|host| host.ranks).sum(),
        }
    }

    /// Number of ranks on this host.
    pub fn ranks_here(&self) -> u32 {
        match self {
            Hosts::Here { ranks, .. } => *ranks,
            Hosts::Listed { here, hosts } => {
                hosts.iter().filter(|host| is_local(&host.name, here)).map(|host| host.ranks).sum()
            }
        }
    }

    /// Number of ranks on each host; `None` if they differ.
    pub fn ranks_on_each(&self) -> Option<u32> {
        let first = self.list().first()?.ranks;
        self.list().iter().all(|host| host.ranks == first).then_some(first)
    }

    /// Hosts with their ranks in the form that mpirun of both families reads: `n1:2,n2:2`.
    pub fn mpirun_list(&self) -> String {
        match self {
            // The host is named, so that mpirun does not use the other hosts of a batch job.
            Hosts::Here { ranks, .. } => format!("localhost:{ranks}"),
            Hosts::Listed { hosts, .. } => {
                let entries: Vec<_> = hosts.iter().map(|host| format!("{}:{}", host.name, host.ranks)).collect();
                entries.join(",")
            }
        }
    }

    /// Host names, separated by blanks.
    pub fn names(&self) -> String {
        match self {
            Hosts::Here { name, .. } => name.clone(),
            Hosts::Listed { hosts, .. } => hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(" "),
        }
    }

    /// The hosts of the hosts file; empty if ranks run on this host only.
    pub(super) fn list(&self) -> &[HostRanks] {
        match self {
            Hosts::Here { .. } => &[],
            Hosts::Listed { hosts, .. } => hosts,
        }
    }

    /// Names of the listed hosts other than this one.
    pub(super) fn others(&self) -> Vec<String> {
        let Hosts::Listed { here, hosts } = self else { return Vec::new() };
        hosts.iter().map(|host| host.name.clone()).filter(|name| !is_local(name, here)).collect()
    }

    /// The listed hosts other than this one that are among `silent`, which may have other forms of the names.
    pub(super) fn silent_among(&self, silent: &[String]) -> Vec<String> {
        let is_silent = |name: &String| silent.iter().any(|other| is_same_host(name, other));
        self.others().into_iter().filter(is_silent).collect()
    }

    /// Removes hosts by their names in the list.
    pub(super) fn remove(&mut self, names: &[String]) {
        if let Hosts::Listed { hosts, .. } = self {
            hosts.retain(|host| !names.contains(&host.name));
        }
    }

    /// Whether no host of the list is left.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Hosts::Listed { hosts, .. } if hosts.is_empty())
    }
}

/// Whether two names mean the same host. Either may be fully qualified.
pub fn is_same_host(one: &str, other: &str) -> bool {
    let label = |name: &str| name.split('.').next().map(str::to_owned);
    label(one) == label(other)
}

fn is_local(name: &str, here: &str) -> bool {
    name == "localhost" || is_same_host(name, here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_named_twice_gets_two_ranks() {
        let hosts = Hosts::of_file("# a comment\nn1 slots=4\n\nn2\n  n1\n", "n1.site", None).unwrap();
        assert_eq!((hosts.mpirun_list().as_str(), hosts.names().as_str()), ("n1:2,n2:1", "n1 n2"));
        assert_eq!((hosts.total_ranks(), hosts.ranks_here(), hosts.ranks_on_each()), (3, 2, None));
        let hosts = Hosts::of_file("n1\nn2\nn1\n", "login", Some(4)).unwrap();
        assert_eq!(
            (hosts.mpirun_list().as_str(), hosts.ranks_here(), hosts.ranks_on_each()),
            ("n1:4,n2:4", 0, Some(4))
        );
        assert_eq!(Hosts::of_file("# none\n\n", "n1", None), None);
    }

    #[test]
    fn silent_hosts_are_found_by_their_short_names_and_this_host_is_never_among_them() {
        let hosts = Hosts::of_file("n1\nn2.site\nn3\nlocalhost\n", "n1.site", None).unwrap();
        let silent = ["n1".to_owned(), "n2".to_owned(), "localhost".to_owned()];
        assert_eq!(hosts.silent_among(&silent), ["n2.site"]);
        assert_eq!(hosts.others(), ["n2.site", "n3"]);
    }
}
