//! How long a client waits for what.

use std::time::Duration;

/// Deadlines by progress, with a far limit on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for the first token: queueing, image encoding and prefill.
    pub first_token: Duration,
    /// Longest silence between two tokens.
    pub token_gap: Duration,
    /// Longest whole answer.
    pub total: Duration,
}
