//! The exit codes of this program's commands.

use std::{fmt, process};

use serde::{Deserialize, Serialize};

/// The exit code of a command. Reports have it as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum ExitCode {
    /// 0: the command has succeeded; after a run, every page is read or blank.
    Success,
    /// 1: an error that has no code of its own.
    Failure,
    /// 2: wrong usage or configuration, or a run directory that another run uses. The user must change something.
    WrongUsage,
    /// 3: the run is finished, and some pages or documents failed or are not whole.
    PagesFailed,
    /// 75: stopped early; the same command continues (`EX_TEMPFAIL` of `sysexits.h`).
    StoppedEarly,
    /// 130: ended by an interrupt from the keyboard (128 + SIGINT, as in a shell).
    Interrupted,
    /// A code of one command: that of another program which it passes on (the server of `bocr guard`, the job of `bocr
    /// follow`), or what a node lacks (`bocr node check`).
    OfProgram(u8),
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> Self {
        match code {
            0 => ExitCode::Success,
            1 => ExitCode::Failure,
            2 => ExitCode::WrongUsage,
            3 => ExitCode::PagesFailed,
            75 => ExitCode::StoppedEarly,
            130 => ExitCode::Interrupted,
            other => ExitCode::OfProgram(other),
        }
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Success => 0,
            ExitCode::Failure => 1,
            ExitCode::WrongUsage => 2,
            ExitCode::PagesFailed => 3,
            ExitCode::StoppedEarly => 75,
            ExitCode::Interrupted => 130,
            ExitCode::OfProgram(other) => other,
        }
    }
}

impl From<ExitCode> for i32 {
    fn from(code: ExitCode) -> Self {
        i32::from(u8::from(code))
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        process::ExitCode::from(u8::from(code))
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u8::from(*self).fmt(f)
    }
}

impl ExitCode {
    /// Ends this process at once, without running destructors.
    pub fn exit(self) -> ! {
        process::exit(self.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_keeps_its_meaning() {
        for code in 0..=u8::MAX {
            assert_eq!(u8::from(ExitCode::from(code)), code);
        }
        assert_eq!(serde_json::to_string(&ExitCode::StoppedEarly).unwrap(), "75");
        assert_eq!(serde_json::from_str::<ExitCode>("3").unwrap(), ExitCode::PagesFailed);
    }
}
