//! What a process hands on to the programs that it starts: limits, and the mask of permissions of new files.

use std::{fmt, str::FromStr};

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

/// The soft limits and the umask of a process, as text `umask=027,nofile=4096,stack=unlimited`.
///
/// `ulimit` and `umask` in the set-up lines of a job reach the first node only: PBS and ssh start the processes on the
/// others with limits of their own. The launcher therefore hands these on to all ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessLimits {
    umask: u32,
    /// Soft limits; `None` is unlimited.
    limits: Vec<(&'static str, Resource, Option<u64>)>,
}

/// The limits that set-up lines change, by their names in limits.conf.
const RESOURCES: [(&str, Resource); 5] = [
    ("core", Resource::Core),
    ("memlock", Resource::Memlock),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("stack", Resource::Stack),
];

const UNLIMITED: &str = "unlimited";

impl ProcessLimits {
    /// Those of this process. No other thread may create a file meanwhile: the umask can only be read by setting it.
    pub fn of_this_process() -> ProcessLimits {
        let mask = umask(Mode::empty());
        umask(mask);
        let limits = RESOURCES.map(|(name, resource)| (name, resource, getrlimit(resource).current));
        ProcessLimits { umask: mask.bits(), limits: limits.into() }
    }

    /// Sets the umask and the soft limits of this process, as far as its hard limits allow. Gives the names of limits
    /// that the system refused.
    pub fn apply(&self) -> Vec<&'static str> {
        umask(Mode::from_bits_truncate(self.umask));
        let mut refused = Vec::new();
        for (name, resource, wanted) in &self.limits {
            let Rlimit { current, maximum } = getrlimit(*resource);
            let allowed = match (wanted, maximum) {
                (Some(wanted), Some(maximum)) => Some(maximum.min(*wanted)),
                (wanted, maximum) => wanted.or(maximum),
            };
            if allowed != current && setrlimit(*resource, Rlimit { current: allowed, maximum }).is_err() {
                refused.push(*name);
            }
        }
        refused
    }
}

impl fmt::Display for ProcessLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "umask={:03o}", self.umask)?;
        for (name, _, limit) in &self.limits {
            match limit {
                Some(limit) => write!(f, ",{name}={limit}")?,
                None => write!(f, ",{name}={UNLIMITED}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for ProcessLimits {
    type Err = String;

    fn from_str(text: &str) -> Result<ProcessLimits, String> {
        let wrong = || format!("`{text}` is not of the form umask=027,nofile=4096,stack={UNLIMITED}");
        let mut words = text.split(',');
        let umask = words.next().and_then(|word| word.strip_prefix("umask=")).ok_or_else(wrong)?;
        let umask = u32::from_str_radix(umask, 8).map_err(|_| wrong())?;
        let limit = |word: &str| {
            let (name, value) = word.split_once('=')?;
            let (name, resource) = RESOURCES.into_iter().find(|(known, _)| *known == name)?;
            let value = if value == UNLIMITED { None } else { Some(value.parse().ok()?) };
            Some((name, resource, value))
        };
        let limits = words.map(limit).collect::<Option<_>>().ok_or_else(wrong)?;
        Ok(ProcessLimits { umask, limits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_back_and_can_be_applied() {
        let own = ProcessLimits::of_this_process();
        let text = own.to_string();
        assert!(text.starts_with("umask=") && text.contains(",nofile="), "{text}");
        assert_eq!(text.parse(), Ok(own.clone()));
        assert_eq!(own.apply(), [""; 0]);
        assert_eq!(ProcessLimits::of_this_process(), own);
        for wrong in ["", "nofile=1", "umask=8", "umask=022,files=1", "umask=022,nofile=many"] {
            assert!(wrong.parse::<ProcessLimits>().is_err(), "{wrong}");
        }
    }
}
