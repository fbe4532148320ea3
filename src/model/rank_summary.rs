//! Summary of a rank.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Engine, ServedBy};

/// Summary of a rank at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankSummary {
    /// Number of pages whose records this rank wrote.
    pub pages: u64,
    /// Pages among them that were read with a remark.
    pub remarked: u64,
    /// Number of shards that it sealed.
    pub shards: u32,
    /// Its store failed: a journal is left for the next start.
    pub unsealed: bool,
    /// Tokens by engine.
    pub tokens: BTreeMap<Engine, TokenTotals>,
    /// Time accounting and load of its servers, by engine.
    pub servers: BTreeMap<Engine, (ServerTime, ServerLoad)>,
    /// Models and servers that answered.
    pub served_by: Vec<ServedBy>,
    /// Time spent rendering pages, summed over all renderer children.
    pub rendering: Duration,
    /// Time spent encoding images.
    pub encoding: Duration,
    /// Number of lines that its log lacks, because they could not be written in time.
    pub dropped_log_lines: u64,
}

/// Number and tokens of a kind of attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Number of requests.
    pub attempts: u64,
    /// Prompt tokens, image included.
    pub prompt: u64,
    /// Generated tokens.
    pub generated: u64,
}

/// Tokens spent on one engine. Every attempt is of one kind; retries are counted once more by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenTotals {
    /// Accepted answers, and answers that the page is blank.
    pub accepted: Spent,
    /// Answers that looped.
    pub loops: Spent,
    /// Answers that failed in another way.
    pub failures: Spent,
    /// Requests that a machine fault ended. Requests without an attempt in a record, as at a recall, are not counted.
    pub interrupted: Spent,
    /// Retries among all of these, with any outcome.
    pub retries: Spent,
    /// Tokens that looping answers had left in their budgets when they were cut: the most that they would still have
    /// cost.
    pub saved_by_cutting: u64,
}

/// Time accounting of a server: every second counts for one part.
///
/// A ready server is busy by the share of its limit that is in flight. The rest of its time it is idle. That time
/// counts as rendering for pages that this rank holds and that are not in flight yet, and as no pages for request slots
/// for which the rank holds no page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerTime {
    /// Requests were in flight.
    pub busy: Duration,
    /// The rank had pages, but not yet their images.
    pub idle_rendering: Duration,
    /// The rank had no pages for it.
    pub idle_no_pages: Duration,
    /// The parts of that time with a known cause. In the rest, pages waited and rank 0 had not dealt them yet.
    pub without_pages: TimeWithoutPages,
    /// Before it was ready for the first time, or again after a role switch. While it rests, its time is not counted.
    pub starting: Duration,
    /// It had died or hung, and was not ready again.
    pub down: Duration,
    /// After the recall of all pages, until it was stopped.
    pub draining: Duration,
}

/// Why a rank has no pages for a ready server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoPages {
    /// The plan is not finished.
    #[default]
    Planning,
    /// Pages wait, and rank 0 deals them.
    Dealing,
    /// No page waits: other ranks hold the last ones.
    LastPages,
    /// The pages that wait are for an engine that no rank serves yet.
    OtherEngine,
    /// Pages that may kill the engine are tried in isolation on this rank.
    Trial,
}

/// Time in which a rank had no pages for a ready server, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeWithoutPages {
    /// See [`NoPages::Planning`].
    pub planning: Duration,
    /// See [`NoPages::LastPages`].
    pub last_pages: Duration,
    /// See [`NoPages::OtherEngine`].
    pub other_engine: Duration,
    /// See [`NoPages::Trial`].
    pub trials: Duration,
}

/// Sums over the seconds in which a server was observed; for several servers, over the seconds of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerLoad {
    /// Observed seconds.
    pub seconds: f64,
    /// The limit, times seconds.
    pub limit: f64,
    /// Requests in flight, times seconds.
    pub in_flight: f64,
    /// Observed seconds with engine gauges.
    #[serde(rename = "metrics_seconds", alias = "told_seconds")]
    pub metrics_seconds: f64,
    /// Requests on the GPU, times those seconds.
    pub running: f64,
    /// Requests in the engine's queue, times those seconds.
    pub waiting: f64,
}
