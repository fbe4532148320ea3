//! What a rank did, in numbers.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Engine, ServedBy};

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

/// Attempts of a kind, and their tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Requests made.
    pub attempts: u64,
    /// Prompt tokens, image included.
    pub prompt: u64,
    /// Generated tokens.
    pub generated: u64,
}

/// Tokens spent on one engine. Every attempt is of one kind; what retries took is told once more by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenTotals {
    /// Answers that were accepted, or said that the page is blank.
    pub accepted: Spent,
    /// Answers that looped.
    pub loops: Spent,
    /// Answers that failed in another way.
    pub failures: Spent,
    /// Requests that the machine's faults ended. What no attempt came of, as at a recall, is not known.
    pub interrupted: Spent,
    /// Of all these, those that were not the page's first, whatever ended them.
    pub retries: Spent,
    /// Tokens that looping answers had left when they were cut: what they would have cost at most.
    pub saved_by_cutting: u64,
}

/// Seconds of a server, each labelled once.
///
/// A server that is ready is busy by the share of its limit that is in flight. The rest it is starved: by rendering as far
/// as pages of this rank are still on their way to it, by the coordinator for the places that no page of this rank is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerTime {
    /// It had the work that it wants.
    pub busy: Duration,
    /// The rank had pages, but not their images.
    pub idle_rendering: Duration,
    /// The rank had no pages for it: at the beginning, at the end, or because rank 0 was behind.
    pub idle_no_pages: Duration,
    /// Before it was ready for the first time, or again on a rank whose engines take turns; what it rests is not counted.
    pub starting: Duration,
    /// It had died, or hung, and was not back.
    pub down: Duration,
    /// After the recall of all pages, until it was stopped.
    pub draining: Duration,
}

/// Sums over the seconds in which a server was seen; over several servers, of all their seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerLoad {
    /// Seconds.
    pub seconds: f64,
    /// The limit, times seconds.
    pub limit: f64,
    /// Requests in flight, times seconds.
    pub in_flight: f64,
    /// Seconds of which the server's metrics told.
    #[serde(rename = "metrics_seconds", alias = "told_seconds")]
    pub told_seconds: f64,
    /// Requests on the GPU, times those seconds.
    pub running: f64,
    /// Requests that waited for it, times those seconds.
    pub waiting: f64,
}
