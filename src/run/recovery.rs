//! The records of earlier starts: every rank seals and reads its share, rank 0 collects them.

use crate::{
    comm::RecoveredPart,
    model::{LeaseId, RankId},
    store::LatestRecord,
};

/// The shares received so far.
#[derive(Debug)]
pub(super) struct Collected {
    awaited: Vec<RankId>,
    pub(super) records: Vec<LatestRecord>,
    pub(super) highest_lease: Option<LeaseId>,
}

impl Collected {
    /// No share has arrived; these ranks have one.
    pub(super) fn from_ranks(awaited: Vec<RankId>) -> Self {
        Collected { awaited, records: Vec::new(), highest_lease: None }
    }

    pub(super) fn add(&mut self, rank: RankId, part: RecoveredPart) {
        self.records.extend(part.records);
        self.highest_lease = self.highest_lease.max(part.highest_lease);
        if part.last {
            self.awaited.retain(|other| *other != rank);
        }
    }

    /// A rank whose share has not fully arrived.
    pub(super) fn awaited_rank(&self) -> Option<RankId> {
        self.awaited.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DocumentId, EngineSet, Language, PageIndex, PageRef, RecordPlace, Verdict};
    use crate::store::{BestText, Latest, Recovered};
    use crate::worker::recovered_parts;

    fn recorded(index: u32) -> LatestRecord {
        let lease = LeaseId(u64::from(index));
        let place = RecordPlace { rank: RankId(0), sequence: 0, row: index };
        LatestRecord {
            page: PageRef { document: DocumentId(0), page: PageIndex(index) },
            lease,
            latest: Latest { lease, remaining: EngineSet::default(), place },
            verdict: Verdict::Read,
            engine: None,
            place,
            text: BestText { kept_characters: 0, language: Language::Unknown, place },
        }
    }

    #[test]
    fn parts_fit_a_frame_and_put_together_are_the_share() {
        let records: Vec<_> = (0..70_000).map(recorded).collect();
        let highest_lease = Some(LeaseId(69_999));
        let whole = Recovered { records: records.clone(), highest_lease, ..Recovered::default() };
        let mut collected = Collected::from_ranks(vec![RankId(0), RankId(1)]);
        let parts = recovered_parts(whole);
        assert_eq!(parts.len(), 2);
        for part in parts {
            assert!(crate::comm::encode(&crate::comm::ToCoordinator::Recovered(part.clone())).is_ok());
            assert_eq!(collected.awaited_rank(), Some(RankId(0)));
            collected.add(RankId(0), part);
        }
        assert_eq!(collected.awaited_rank(), Some(RankId(1)));
        for part in recovered_parts(Recovered::default()) {
            collected.add(RankId(1), part);
        }
        assert_eq!((collected.awaited_rank(), collected.highest_lease), (None, highest_lease));
        assert_eq!(collected.records, records);
    }
}
