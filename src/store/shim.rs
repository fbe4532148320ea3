#![allow(missing_docs)]
use super::{recover::Recovered as Old, *};
use crate::model::*;
use std::path::Path;
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Leftovers {
    pub any: bool,
}
impl Leftovers {
    pub fn find(run_directory: &Path) -> Result<Leftovers, StoreError> {
        let l = Layout::new(run_directory);
        Ok(Leftovers { any: !l.journals()?.is_empty() || !l.shards()?.is_empty() })
    }
    pub fn is_empty(&self) -> bool {
        !self.any
    }
    pub fn shares(&self, ranks: usize) -> Vec<Leftovers> {
        (0..ranks).map(|i| Leftovers { any: i == 0 && self.any }).collect()
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recorded {
    pub page: PageRef,
    pub lease: LeaseId,
    pub last_lease: LeaseId,
    pub verdict: Verdict,
    pub engine: Option<Engine>,
    pub place: RecordPlace,
}
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    pub records: Vec<Recorded>,
    pub highest_lease: Option<LeaseId>,
    pub sealed: Vec<Sealed>,
}
pub fn recover(
    run_directory: &Path,
    _share: &Leftovers,
    _run_id: &str,
    _wait: Duration,
) -> Result<Recovered, StoreError> {
    let old: Old = super::recover::recover(run_directory)?;
    let layout = Layout::new(run_directory);
    let mut records = Vec::new();
    for file in layout.shards()? {
        for (row, s) in ShardReader::open(&layout.shard(file))?.settled()?.into_iter().enumerate() {
            records.push(Recorded {
                page: s.page,
                lease: s.lease,
                last_lease: s.lease,
                verdict: s.verdict,
                engine: s.engine,
                place: RecordPlace { rank: file.rank, sequence: file.sequence, row: row as u32 },
            });
        }
    }
    Ok(Recovered { highest_lease: old.highest_lease(), records: finals(records), sealed: Vec::new() })
}
pub fn finals(records: Vec<Recorded>) -> Vec<Recorded> {
    let mut map: std::collections::BTreeMap<PageRef, Recorded> = Default::default();
    for r in records {
        let e = map.entry(r.page).or_insert(r);
        let last = e.last_lease.max(r.last_lease);
        if PageRecord::precedence(r.verdict, r.lease) > PageRecord::precedence(e.verdict, e.lease) {
            *e = r;
        }
        e.last_lease = last;
    }
    map.into_values().collect()
}
pub fn attempts(run_directory: &Path, place: RecordPlace) -> Result<Vec<Attempt>, StoreError> {
    let file = StoreFile { rank: place.rank, sequence: place.sequence };
    let record = ShardReader::open(&Layout::new(run_directory).shard(file))?.read(place.row.into())?;
    Ok(record.attempts.into_iter().map(|a| Attempt { answer: String::new(), ..a }).collect())
}
impl StoreError {
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Full { .. })
    }
}
