//! The state of a page without its text: a summary of each record, and which record is final.

use std::{cmp::Reverse, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{
    Document, DocumentId, DocumentState, Engine, EngineSet, Language, LeaseId, PageRecord, PageRef, RankId,
    RecordPlace, ServerKind, Verdict,
};

/// How a record settled its page: the record without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The page.
    pub page: PageRef,
    /// The lease under which the rank settled the page.
    pub lease: LeaseId,
    /// The rank that settled the page.
    pub rank: RankId,
    /// Read, blank or failed.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// Whether the model or a stand-in gave the verdict; `None` where no engine saw the page.
    pub server: Option<ServerKind>,
    /// Language of the text.
    pub language: Language,
    /// Attempts in the record.
    pub attempts: u16,
    /// Characters of text without white space. For a failed page in an index: those of the record with the most.
    pub kept_characters: u32,
    /// Checksum of the record's text: the first eight bytes of its SHA-256.
    pub sha64: u64,
}

/// The columns of a row of `/pages` that describe the state of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How the record settled its page.
    pub settled: Settled,
    /// If the page failed, the engines that it may still be given to.
    pub remaining: EngineSet,
}

/// The final record of a page as the catalogue lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// How the page was settled. Language and characters are those of the record with the page's text.
    pub settled: Settled,
    /// The shard and the row of the record.
    pub place: RecordPlace,
    /// The record with the page's text: this one, unless an earlier stage read more text of a page that failed.
    pub text: RecordPlace,
}

/// The final record of a page, and what its other records add. It is small, because the ranks send one for every page
/// of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestRecord {
    /// The page.
    pub page: PageRef,
    /// The lease under which the final record was made.
    pub lease: LeaseId,
    /// The record with the highest lease. It differs from the final one if a later attempt failed a page that was read.
    pub latest: Latest,
    /// Read, blank or failed.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// The file and the row of the final record.
    pub place: RecordPlace,
    /// The record with the page's text: this one, unless another record has more text of a page that failed.
    pub text: BestText,
}

/// The record of a page that has the highest lease. If the page failed, this is the final record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The lease under which the record was made.
    pub lease: LeaseId,
    /// If the page failed, the engines that it may still be given to.
    pub remaining: EngineSet,
    /// The file and the row of the record.
    pub place: RecordPlace,
}

/// The record that has the text of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestText {
    /// Characters of text without white space.
    pub kept_characters: u32,
    /// Language of the text.
    pub language: Language,
    /// The file and the row of the record.
    pub place: RecordPlace,
}

impl LatestRecord {
    /// A record at `place`, before the other records of the page are added.
    pub(super) fn of_record(record: &PageRecord, place: RecordPlace) -> Self {
        LatestRecord {
            page: record.page,
            lease: record.lease,
            latest: Latest { lease: record.lease, remaining: record.remaining, place },
            verdict: record.verdict,
            engine: record.engine,
            place,
            text: BestText { kept_characters: record.kept_characters(), language: record.language, place },
        }
    }

    /// The record of a row of `/pages` at `place`, before the other records of the page are added.
    pub(super) fn of_row(row: &Summary, place: RecordPlace) -> Self {
        let Summary { settled, remaining } = *row;
        let Settled { page, lease, verdict, engine, language, kept_characters, .. } = settled;
        let latest = Latest { lease, remaining, place };
        LatestRecord {
            page,
            lease,
            latest,
            verdict,
            engine,
            place,
            text: BestText { kept_characters, language, place },
        }
    }

    /// Adds another record of the page; this record has precedence over it.
    fn supersede(&mut self, other: &LatestRecord) {
        if other.latest.lease > self.latest.lease {
            self.latest = other.latest;
        }
        if matches!(self.verdict, Verdict::Failed(_)) && other.text.kept_characters > self.text.kept_characters {
            self.text = other.text;
        }
    }
}

/// The final record of each page, ordered by page ([`PageRecord::precedence`]). `records` may also be the results of
/// earlier calls, one for each share. Records of documents that `documents`, the plan, marks as replaced are never
/// final.
pub fn latest_records(records: impl IntoIterator<Item = LatestRecord>, documents: &[Document]) -> Vec<LatestRecord> {
    let replaced = documents.iter().filter(|document| document.state == DocumentState::Replaced);
    let replaced: BTreeSet<DocumentId> = replaced.map(|document| document.id).collect();
    let mut records: Vec<_> = records.into_iter().filter(|record| !replaced.contains(&record.page.document)).collect();
    records.sort_unstable_by_key(|record| {
        (record.page, Reverse(PageRecord::precedence(record.verdict, record.lease)), record.place)
    });
    records.dedup_by(|other, kept| {
        let same = other.page == kept.page;
        if same {
            kept.supersede(other);
        }
        same
    });
    records
}
