//! Why a host gets no ranks.

use std::fmt;

/// Why a host gets no ranks. The check of a host (`bocr node check`) gives its result by an exit code, because
/// `pbs_tmrsh` passes on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFault {
    /// The host does not answer.
    NoAnswer,
    /// Ranks on it became silent, this many times in the whole launch.
    Silent(u32),
    /// The program of the ranks is missing or cannot be run.
    NoProgram,
    /// The program of the ranks is another build.
    OtherBuild,
    /// The configuration of the run cannot be read.
    Configuration,
    /// The run directory is missing or cannot be written.
    RunDirectory,
    /// An input is missing or cannot be read.
    Input,
    /// PDFium is missing.
    Pdfium,
    /// The program of a server is missing.
    ServerProgram,
    /// The check ended with this code, which says no more.
    Other(i32),
}

/// Exit code of a shell that cannot find a program, and of one that cannot run it.
const SHELL_CODES: [i32; 2] = [127, 126];

/// Exit codes of ssh and of `scripts/lib/tmrsh-agent` without a connection, and of `pbs_tmrsh` for a lost host.
const UNREACHABLE_CODES: [i32; 2] = [255, 254];

/// Faults that a check finds, with their exit codes.
const CHECKED: [(HostFault, u8); 6] = [
    (HostFault::OtherBuild, 81),
    (HostFault::Configuration, 82),
    (HostFault::RunDirectory, 83),
    (HostFault::Input, 84),
    (HostFault::Pdfium, 85),
    (HostFault::ServerProgram, 86),
];

impl HostFault {
    /// The exit code of the check; 1 for a fault that no check finds.
    pub fn exit_code(self) -> u8 {
        CHECKED.iter().find(|(fault, _)| *fault == self).map_or(1, |(_, code)| *code)
    }

    /// What the exit code of a check means; `None` for 0, a host that has all that a rank needs.
    pub fn of_exit_code(code: i32) -> Option<HostFault> {
        let checked = CHECKED.iter().find(|(_, number)| i32::from(*number) == code);
        match code {
            0 => None,
            _ if SHELL_CODES.contains(&code) => Some(HostFault::NoProgram),
            _ if UNREACHABLE_CODES.contains(&code) => Some(HostFault::NoAnswer),
            _ => Some(checked.map_or(HostFault::Other(code), |(fault, _)| *fault)),
        }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostFault::NoAnswer => f.write_str("no answer"),
            HostFault::Silent(1) => f.write_str("silent"),
            HostFault::Silent(_) => f.write_str("silent again: it gets no more ranks"),
            HostFault::NoProgram => f.write_str("the program of the ranks is missing"),
            HostFault::OtherBuild => f.write_str("the program of the ranks is another build"),
            HostFault::Configuration => f.write_str("the configuration cannot be read"),
            HostFault::RunDirectory => f.write_str("the run directory is missing or read-only"),
            HostFault::Input => f.write_str("an input is missing"),
            HostFault::Pdfium => f.write_str("no PDFium"),
            HostFault::ServerProgram => f.write_str("the program of a server is missing"),
            HostFault::Other(code) => write!(f, "its check ended with code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_keeps_its_meaning_on_the_way() {
        for (fault, code) in CHECKED {
            assert_eq!(HostFault::of_exit_code(fault.exit_code().into()), Some(fault));
            assert_eq!(fault.exit_code(), code);
        }
        let of = HostFault::of_exit_code;
        assert_eq!((of(0), of(127), of(255)), (None, Some(HostFault::NoProgram), Some(HostFault::NoAnswer)));
        assert_eq!(of(1), Some(HostFault::Other(1)));
    }
}
