//! What a rank did, in numbers.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    concurrency::{ServerLoad, ServerTime},
    model::{Engine, ServedBy},
};

use super::TokenTotals;

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
    /// Where the time of its servers went, and what they had to do.
    pub servers: BTreeMap<Engine, (ServerTime, ServerLoad)>,
    /// What answered it.
    pub served_by: Vec<ServedBy>,
    /// Time spent drawing pages, over all its renderer children.
    pub rendering: Duration,
    /// Time spent encoding them.
    pub encoding: Duration,
}
