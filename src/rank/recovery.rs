//! How the pages stand that earlier starts settled: every rank seals and reads its share, rank 0 puts them together.

use crate::{
    comm::RecoveredPart,
    model::{LeaseId, RankId},
    store::{LatestRecord, Recovered},
};

/// Records of one part: some megabytes, within a frame's limit.
const PART: usize = 65_536;

/// A share as the messages that carry it.
pub(super) fn parts(recovered: Recovered) -> Vec<RecoveredPart> {
    let Recovered { records, highest_lease, .. } = recovered;
    let mut parts: Vec<RecoveredPart> = records
        .chunks(PART)
        .map(|records| RecoveredPart { records: records.to_vec(), highest_lease, last: false })
        .collect();
    match parts.last_mut() {
        Some(part) => part.last = true,
        None => parts.push(RecoveredPart { records, highest_lease, last: true }),
    }
    parts
}

/// The shares that have come so far.
#[derive(Debug)]
pub(super) struct Collected {
    awaited: Vec<RankId>,
    pub(super) records: Vec<LatestRecord>,
    pub(super) highest_lease: Option<LeaseId>,
}

impl Collected {
    /// Nothing has come; these ranks will tell.
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

    /// A rank that has not told yet.
    pub(super) fn awaits(&self) -> Option<RankId> {
        self.awaited.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DocumentId, EngineSet, Language, PageIndex, PageRef, RecordPlace, Verdict};
    use crate::store::{BestText, Latest};

    fn recorded(index: u32) -> LatestRecord {
        let lease = LeaseId(u64::from(index));
        let place = RecordPlace { rank: RankId(0), sequence: 0, row: index };
        LatestRecord {
            page: PageRef { document: DocumentId(0), page: PageIndex(index) },
            lease,
            latest: Latest { lease, ahead: EngineSet::default(), place },
            verdict: Verdict::Read,
            engine: None,
            place,
            text: BestText { kept_characters: 0, language: Language::Unknown, place },
        }
    }

    #[test]
    fn parts_fit_a_frame_and_put_together_are_the_share() {
        let records: Vec<_> = (0..PART as u32 + 1).map(recorded).collect();
        let highest_lease = Some(LeaseId(PART as u64));
        let whole = Recovered { records: records.clone(), highest_lease, ..Recovered::default() };
        let mut collected = Collected::from_ranks(vec![RankId(0), RankId(1)]);
        for part in parts(whole) {
            assert!(crate::comm::encode(&crate::comm::ToCoordinator::Recovered(part.clone())).is_ok());
            assert_eq!(collected.awaits(), Some(RankId(0)));
            collected.add(RankId(0), part);
        }
        assert_eq!(collected.awaits(), Some(RankId(1)));
        for part in parts(Recovered::default()) {
            collected.add(RankId(1), part);
        }
        assert_eq!((collected.awaits(), collected.highest_lease), (None, highest_lease));
        assert_eq!(collected.records, records);
    }
}
