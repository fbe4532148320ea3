//! Versions of vLLM, as servers report them and profiles ask for them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A release of vLLM. A pre-release or a local build counts as the release that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The release with these numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Version {
        Version { major, minor, patch }
    }
}

/// A text that names no release, such as `dev`, or `0.1.dev1` of a build that did not know its own version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version of vLLM: write it like 0.17.0")]
pub struct ParseVersionError(String);

impl FromStr for Version {
    type Err = ParseVersionError;

    /// Parses texts such as `0.17.1`, `v0.17`, `0.17.1rc2+g1234` and `0.26.0+stand-in-synthetic`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let release = text.trim_start_matches('v').split('+').next().unwrap_or_default();
        let mut parts = release.split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse::<u32>().ok()
        });
        match (parts.next().flatten(), parts.next().flatten(), parts.next().unwrap_or(Some(0))) {
            (Some(major), Some(minor), Some(patch)) => Ok(Version { major, minor, patch }),
            _ => Err(ParseVersionError(text.into())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for Version {
    type Error = ParseVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_from_what_servers_report() {
        for (text, expected) in [
            ("0.17.0", Version::new(0, 17, 0)),
            ("v0.17.1", Version::new(0, 17, 1)),
            ("0.32.0rc1+g12", Version::new(0, 32, 0)),
            ("0.11.1rc2.dev45+g1234.d20251101", Version::new(0, 11, 1)),
            ("0.26.0+stand-in-tesseract", Version::new(0, 26, 0)),
            ("1.0", Version::new(1, 0, 0)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert!(Version::new(0, 9, 2) < Version::new(0, 11, 0), "by number, not by letter");
    }

    #[test]
    fn a_build_that_does_not_know_its_release_has_none() {
        for text in ["dev", "", "0", "0.1.dev1+g1234", "0.x.1", "unknown"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
