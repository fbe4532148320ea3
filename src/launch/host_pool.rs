//! The hosts of a launch: those that get ranks, and those that are left out for now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{HostFault, Hosts};

/// A host whose ranks became silent this many times gets no more ranks: something on it hangs although it answers.
const SILENCES: u32 = 2;

/// The hosts of a launch.
#[derive(Debug)]
pub(super) struct HostPool {
    /// The hosts that the user gave.
    all: Hosts,
    /// Hosts that get no ranks for now.
    out: BTreeMap<String, OutHost>,
    /// How often ranks of a host became silent.
    silences: BTreeMap<String, u32>,
    /// Hosts for whose return an attempt was ended.
    returned: BTreeSet<String>,
}

#[derive(Debug)]
struct OutHost {
    fault: HostFault,
    /// Whether its last check found no fault.
    is_fit: bool,
}

/// What a check of hosts has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostChanges {
    /// Hosts that get no ranks from now on, or for another reason than before.
    pub(super) out: Vec<(String, HostFault)>,
    /// Hosts that get ranks again.
    pub(super) back: Vec<String>,
}

impl HostPool {
    pub(super) fn new(all: Hosts) -> HostPool {
        HostPool { all, out: BTreeMap::new(), silences: BTreeMap::new(), returned: BTreeSet::new() }
    }

    /// The hosts that get ranks.
    pub(super) fn in_use(&self) -> Hosts {
        let mut hosts = self.all.clone();
        hosts.remove(&self.out.keys().cloned().collect::<Vec<_>>());
        hosts
    }

    /// The hosts to check before an attempt: those in use, and those whose last check found no fault. A lost host is
    /// not among them, because its check takes until the limit.
    pub(super) fn to_check(&self) -> Vec<String> {
        let is_candidate = |name: &String| self.out.get(name).is_none_or(|host| host.is_fit);
        self.all.others().into_iter().filter(is_candidate).collect()
    }

    /// The hosts to check while an attempt runs: those left out that may come back.
    pub(super) fn to_check_again(&self) -> Vec<String> {
        let may_return = |name: &&String| self.silences.get(*name).is_none_or(|number| *number < SILENCES);
        self.out.keys().filter(may_return).cloned().collect()
    }

    /// Leaves out the hosts whose ranks became silent. Gives them by their names in the list.
    pub(super) fn leave_out_silent(&mut self, silent: &[String]) -> Vec<(String, HostFault)> {
        let mut changed = Vec::new();
        for name in self.in_use().silent_among(silent) {
            let number = self.silences.entry(name.clone()).or_default();
            *number = number.saturating_add(1);
            let fault = HostFault::Silent(*number);
            self.out.insert(name.clone(), OutHost { fault, is_fit: false });
            changed.push((name, fault));
        }
        changed
    }

    /// Takes the faults that a check of `checked` before an attempt has found. Hosts without one get ranks. A fault that
    /// this host (`here`) has too is no fault of a host: the run itself reports it.
    pub(super) fn take(
        &mut self,
        checked: &[String],
        here: Option<HostFault>,
        faults: &[(String, HostFault)],
    ) -> HostChanges {
        let mut changes = HostChanges::default();
        for name in checked {
            match fault_of(name, here, faults) {
                Some(fault) => {
                    let earlier = self.out.insert(name.clone(), OutHost { fault, is_fit: false });
                    if earlier.is_none_or(|earlier| earlier.fault != fault) {
                        changes.out.push((name.clone(), fault));
                    }
                }
                None => changes.back.extend(self.out.remove(name).map(|_| name.clone())),
            }
        }
        changes
    }

    /// Takes the faults that a check of the hosts left out has found while an attempt runs. Gives the hosts without a
    /// fault for whose return no attempt was ended before.
    pub(super) fn note(&mut self, here: Option<HostFault>, faults: &[(String, HostFault)]) -> Vec<String> {
        let checked = self.to_check_again();
        for (name, host) in self.out.iter_mut().filter(|(name, _)| checked.contains(name)) {
            host.is_fit = fault_of(name, here, faults).is_none();
        }
        let fit = self.out.iter().filter(|(name, host)| host.is_fit && !self.returned.contains(*name));
        fit.map(|(name, _)| name.clone()).collect()
    }

    /// Notes that an attempt is ended for the return of these hosts.
    pub(super) fn note_return(&mut self, names: &[String]) {
        self.returned.extend(names.iter().cloned());
    }

    /// Number of ranks on these hosts.
    pub(super) fn ranks_on(&self, names: &[String]) -> u32 {
        self.all.list().iter().filter(|host| names.contains(&host.name)).map(|host| host.ranks).sum()
    }
}

fn fault_of(name: &str, here: Option<HostFault>, faults: &[(String, HostFault)]) -> Option<HostFault> {
    faults.iter().find(|(host, _)| host == name).map(|(_, fault)| *fault).filter(|fault| Some(*fault) != here)
}
