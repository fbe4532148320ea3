//! The version of PBS.

/// A version of PBS, such as 23.06 or 2021.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PbsVersion {
    major: u32,
    minor: u32,
}

impl PbsVersion {
    /// The first version whose jobs can go on after the loss of a node.
    const TOLERATES_LOST_NODES: PbsVersion = PbsVersion { major: 18, minor: 2 };

    /// Reads the answer of `qsub --version`, such as `pbs_version = 23.06.06`; `None` where it names no version.
    pub(crate) fn read(answer: &str) -> Option<PbsVersion> {
        let (_, version) = answer.split_once("pbs_version = ")?;
        let mut numbers = version.split(|character: char| !character.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(PbsVersion { major: next()?, minor: next()? })
    }

    /// Whether it knows `-W tolerate_node_failures`.
    pub fn can_tolerate_lost_nodes(self) -> bool {
        self >= Self::TOLERATES_LOST_NODES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let tolerates =
            |version: &str| PbsVersion::read(&format!("pbs_version = {version}\n")).unwrap().can_tolerate_lost_nodes();
        assert!(["18.2.1", "19.1.3", "23.06.06", "2021.1.2.20211217"].into_iter().all(tolerates));
        assert!(!["13.1.2", "14.2.5.20171012", "18.1.0"].into_iter().any(tolerates));
        assert_eq!(PbsVersion::read("Version: 6.1.2\n"), None);
    }
}
