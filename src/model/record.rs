//! What is kept of a page.

use serde::{Deserialize, Serialize};

use super::{
    Attempt, AttemptOutcome, BBox, Block, Engine, ImageFacts, Language, LeaseId, PageRef, RankId, ServedBy, Verdict,
};

/// A part of a page that was read by itself (a column, a turned table), or the whole page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its place on the page; [`BBox::PAGE`] for a page read whole.
    pub bbox: BBox,
    /// Blocks in reading order, boxes on the scale of the whole page.
    pub blocks: Vec<Block>,
    /// HTML of the blocks, headers and footers included.
    pub html: String,
    /// Markdown of the same.
    pub markdown: String,
}

/// Where a sealed record lies: a row of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordPlace {
    /// The rank that wrote the shard.
    pub rank: RankId,
    /// The shard's number among that rank's.
    pub sequence: u32,
    /// The row of its `/pages`.
    pub row: u32,
}

/// One rank's settlement of one page: a row of a journal, then of a shard.
///
/// A page that went to a second engine has one record for each; see [`PageRecord::precedence`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageRecord {
    /// The page.
    pub page: PageRef,
    /// The assignment under which it was worked on.
    pub lease: LeaseId,
    /// The rank that worked on it.
    pub rank: RankId,
    /// How it ended.
    pub verdict: Verdict,
    /// The engine whose answer this is; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// Language of the text read, or [`Language::Unknown`].
    pub language: Language,
    /// What was sent; `None` where rendering failed.
    pub image: Option<ImageFacts>,
    /// Every attempt in order, those on the other engine before (without their answers) included.
    pub attempts: Vec<Attempt>,
    /// The accepted answer, or the best partial one of a failed page; empty for a blank page.
    pub parts: Vec<Part>,
    /// Why the page failed, for people; empty otherwise.
    pub reason: String,
    /// When it was settled, milliseconds since the Unix epoch.
    pub settled_unix_ms: i64,
}

impl PageRecord {
    /// Sort key among the records of one page: the record with the greatest key is the final one. A page
    /// that was read (or is blank) stays so whatever a late second answer says; else the latest lease wins.
    pub fn precedence(verdict: Verdict, lease: LeaseId) -> (bool, LeaseId) {
        (!matches!(verdict, Verdict::Failed(_)), lease)
    }

    /// Who gave the answer that the record keeps: the accepted attempt of its engine, else that engine's last.
    pub fn answered_by(&self) -> Option<&ServedBy> {
        let of_engine = || self.attempts.iter().rev().filter(|attempt| Some(attempt.served_by.engine) == self.engine);
        let accepted = |attempt: &&Attempt| matches!(attempt.outcome, AttemptOutcome::Accepted | AttemptOutcome::Blank);
        of_engine().find(accepted).or_else(|| of_engine().next()).map(|attempt| &attempt.served_by)
    }
}
