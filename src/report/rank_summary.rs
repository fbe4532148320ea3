//! What a rank did, in numbers.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    model::{Engine, ServedBy},
    pace::ServerTime,
};

/// Tokens spent on one engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenTotals {
    /// Attempts made.
    pub attempts: u64,
    /// Prompt tokens, image included.
    pub prompt: u64,
    /// Generated tokens of accepted answers.
    pub accepted: u64,
    /// Generated tokens of answers that were not accepted.
    pub wasted: u64,
}

impl TokenTotals {
    /// Adds another rank's totals.
    pub fn add(&mut self, other: &TokenTotals) {
        self.attempts += other.attempts;
        self.prompt += other.prompt;
        self.accepted += other.accepted;
        self.wasted += other.wasted;
    }
}

/// What a rank did, at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankSummary {
    /// Pages whose records this rank wrote.
    pub pages: u64,
    /// Shards it sealed.
    pub shards: u32,
    /// Its store failed: a journal is left for the next start.
    pub unsealed: bool,
    /// Tokens by engine.
    pub tokens: BTreeMap<Engine, TokenTotals>,
    /// Where the time of its servers went.
    pub server_time: BTreeMap<Engine, ServerTime>,
    /// What answered it.
    pub served_by: Vec<ServedBy>,
    /// Time spent drawing pages, over all its renderer children.
    pub rendering: Duration,
    /// Time spent encoding them.
    pub encoding: Duration,
}
