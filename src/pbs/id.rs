//! The name that PBS gives to a job.

use std::{fmt, str::FromStr};

use super::values::ValueError;

/// Id of a job, e.g. `22.pbssrv`; of an array's job `22[3].pbssrv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobId(String);

impl FromStr for JobId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let begins = text.starts_with(|first: char| first.is_ascii_digit());
        let fitting = |character: char| character.is_ascii_alphanumeric() || "._-[]".contains(character);
        match begins && text.chars().all(fitting) {
            true => Ok(JobId(text.to_owned())),
            false => {
                Err(ValueError::new(format!("`{}` is no id of a PBS job, as 22.pbssrv is one", text.escape_debug())))
            }
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
