//! What ranks did over time, for a picture. Its size does not depend on the length of the run.

use std::time::Duration;

use crate::model::RankId;

use super::accounting::RankSeconds;

/// Most columns; then two become one.
const COLUMNS: usize = 480;
/// Most ranks that are recorded.
const ROWS: u32 = 64;

/// Activities of some ranks and settled pages of all, in columns of equal time.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Seconds of a column.
    pub column: f64,
    /// The ranks that are recorded, and what each did in every column.
    pub rows: Vec<(RankId, Vec<RankSeconds>)>,
    /// Pages settled in each column.
    pub settled: Vec<u64>,
    /// One rank of this many is recorded.
    stride: u32,
    settled_before: u64,
}

impl Recording {
    pub(super) fn new(ranks: u32) -> Recording {
        let stride = ranks.div_ceil(ROWS).max(1);
        let rows = (0..ranks).step_by(stride as usize).map(|rank| (RankId(rank), Vec::new())).collect();
        Recording { column: 0.25, rows, settled: Vec::new(), stride, settled_before: 0 }
    }

    /// What the rank did between two times.
    pub(super) fn add(&mut self, rank: RankId, from: Duration, to: Duration, did: RankSeconds) {
        if !rank.0.is_multiple_of(self.stride) || from >= to {
            return;
        }
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        self.widen_to(to);
        let column = self.column;
        let Some((_, cells)) = self.rows.get_mut((rank.0 / self.stride) as usize) else { return };
        let last = (to / column) as usize;
        cells.resize(cells.len().max(last + 1), RankSeconds::default());
        for (index, cell) in cells.iter_mut().enumerate().take(last + 1).skip((from / column) as usize) {
            let begin = index as f64 * column;
            let part = (to.min(begin + column) - from.max(begin)).max(0.0) / (to - from);
            *cell += did.times(part);
        }
    }

    /// So many pages are settled at this time.
    pub(super) fn count(&mut self, now: Duration, settled: u64) {
        if settled == self.settled_before {
            return;
        }
        let now = now.as_secs_f64();
        self.widen_to(now);
        let index = (now / self.column) as usize;
        self.settled.resize(self.settled.len().max(index + 1), 0);
        self.settled[index] += settled.saturating_sub(self.settled_before);
        self.settled_before = settled;
    }

    fn widen_to(&mut self, time: f64) {
        while time / self.column >= COLUMNS as f64 {
            self.column *= 2.0;
            self.settled = self.settled.chunks(2).map(|pair| pair.iter().sum()).collect();
            for (_, cells) in &mut self.rows {
                let sum = |pair: &[RankSeconds]| {
                    pair.iter().fold(RankSeconds::default(), |mut sum, cell| {
                        sum += *cell;
                        sum
                    })
                };
                *cells = cells.chunks(2).map(sum).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_its_sums_in_few_columns() {
        let mut recording = Recording::new(200);
        let busy = |seconds| RankSeconds { busy: seconds, ..RankSeconds::default() };
        for second in 0..5_000 {
            let at = Duration::from_secs(second);
            recording.add(RankId(4), at, at + Duration::from_secs(1), busy(1.0));
            recording.add(RankId(5), at, at + Duration::from_secs(1), busy(1.0));
            recording.count(at, 3 * (second + 1));
        }
        let sums: Vec<f64> = recording.rows.iter().map(|(_, cells)| cells.iter().map(|cell| cell.busy).sum()).collect();
        assert_eq!((sums.len(), sums.iter().sum::<f64>().round(), recording.rows[1].0), (50, 5_000.0, RankId(4)));
        assert_eq!((recording.settled.iter().sum::<u64>(), recording.settled.len() <= COLUMNS), (15_000, true));
    }
}
