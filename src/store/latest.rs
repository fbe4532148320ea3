//! What is known of a page without reading its text: what each of its records says, and which of them is final.

use std::{cmp::Reverse, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{
    Document, DocumentId, DocumentState, Engine, EngineSet, Language, LeaseId, PageRecord, PageRef, RankId,
    RecordPlace, ServerKind, Verdict,
};

/// How a record settled its page: all of a record but what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The page.
    pub page: PageRef,
    /// The assignment under which it was settled.
    pub lease: LeaseId,
    /// The rank that settled it.
    pub rank: RankId,
    /// How the page ended.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// Whether the model answered or a stand-in; `None` where no engine saw the page.
    pub server: Option<ServerKind>,
    /// Language of the text.
    pub language: Language,
    /// Attempts kept in the record.
    pub attempts: u16,
    /// Characters of text, white space not counted; of a failed page in an index, those of the record with most.
    pub kept_characters: u32,
    /// Checksum of the record's text.
    pub sha64: u64,
}

/// What a row of `/pages` says of how its page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How the record settled its page.
    pub settled: Settled,
    /// If it failed the page, the engines that this may yet be given to.
    pub remaining: EngineSet,
}

/// The final record of a page as the catalogue lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// How the page stands. Language and characters are those of the record with the page's text.
    pub settled: Settled,
    /// Where the record lies.
    pub place: RecordPlace,
    /// The record with the page's text: this one, but where an earlier visit gave more of a failed page.
    pub text: RecordPlace,
}

/// The final record of a page, and what its other records add. Small: it travels between ranks for every page of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestRecord {
    /// The page.
    pub page: PageRef,
    /// Under which assignment it was settled.
    pub lease: LeaseId,
    /// The record with the highest lease: it may have failed what this one had read.
    pub latest: Latest,
    /// How the page was settled.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// Where the record lies.
    pub place: RecordPlace,
    /// The text of the page: that of this record, but where another one has more of a failed page.
    pub text: BestText,
}

/// What is known of the record of a page that has the highest lease. Of a failed page it is the final one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The assignment under which it was made.
    pub lease: LeaseId,
    /// If it failed the page, the engines that this may yet be given to.
    pub remaining: EngineSet,
    /// Where the record lies.
    pub place: RecordPlace,
}

/// What is known of the record that has the text of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestText {
    /// Characters, white space not counted.
    pub kept_characters: u32,
    /// Its language.
    pub language: Language,
    /// Where the record lies.
    pub place: RecordPlace,
}

impl LatestRecord {
    /// A record that lies at `place`, alone.
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

    /// The record of a row of `/pages` that is `place`, alone.
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

    /// Adds another record of the page, over which this one takes precedence.
    fn supersede(&mut self, other: &LatestRecord) {
        if other.latest.lease > self.latest.lease {
            self.latest = other.latest;
        }
        if matches!(self.verdict, Verdict::Failed(_)) && other.text.kept_characters > self.text.kept_characters {
            self.text = other.text;
        }
    }
}

/// The final record of each page, ordered by page: see [`PageRecord::precedence`]. `records` may be those of several shares,
/// each of which was reduced before. Records of documents that `documents`, the plan, says were replaced are never
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
