//! A setting that differs from that of an earlier start.

use std::fmt;

/// One setting that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub(super) key: String,
    pub(super) was: Option<String>,
    pub(super) is: Option<String>,
    /// Whether pages read before and after the change are not comparable.
    pub(super) mixes: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "\n  {}: was {}, is {}", self.key, text(&self.was), text(&self.is))?;
        f.write_str(if self.mixes { " (would mix results)" } else { "" })
    }
}
