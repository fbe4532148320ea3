//! The id of a PBS job.

use std::{fmt, str::FromStr};

use super::values::ValueError;

/// Id of a job, such as `22.pbssrv`; in an array of jobs `22[3].pbssrv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobId(String);

impl FromStr for JobId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let begins = text.starts_with(|first: char| first.is_ascii_digit());
        let fitting = |character: char| character.is_ascii_alphanumeric() || "._-[]".contains(character);
        if begins && text.chars().all(fitting) {
            Ok(JobId(text.to_owned()))
        } else {
            Err(ValueError::new(format!("`{}` is not the id of a PBS job, such as 22.pbssrv", text.escape_debug())))
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
