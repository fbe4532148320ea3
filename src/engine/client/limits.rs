//! How long a client waits for an answer.

use std::time::Duration;

/// Deadlines for the progress of an answer, and one for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time to first token: queueing, image encoding and prefill.
    pub first_token: Duration,
    /// Longest time between two tokens.
    pub token_gap: Duration,
    /// Longest time for the whole answer.
    pub total: Duration,
}
