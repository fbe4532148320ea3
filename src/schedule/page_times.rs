//! How long pages take: a histogram of bounded size over all pages, and means for each engine.

use std::time::Duration;

/// Upper bound of the first bucket. Each further bound is 1.5 times the one before.
const FIRST: Duration = Duration::from_millis(100);
const BUCKETS: usize = 28;
/// Counts are halved at this total, so that old pages weigh less.
const MEMORY: u32 = 4096;

/// A histogram of page times, from 0.1 s to an hour and a half.
#[derive(Debug, Default)]
pub(super) struct PageTimes {
    counts: [u32; BUCKETS],
    total: u32,
    /// The longest time so far.
    longest: Duration,
}

impl PageTimes {
    pub(super) fn add(&mut self, time: Duration) {
        let bucket = bounds().position(|bound| time <= bound).unwrap_or(BUCKETS - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        self.longest = self.longest.max(time);
        if self.total >= MEMORY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// The longest time of any page; zero without pages.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The bound below which `percent` of the times lie; zero without pages.
    pub(super) fn quantile(&self, percent: u32) -> Duration {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        let reached = |(_, count): &(Duration, &u32)| {
            seen += **count;
            seen >= wanted
        };
        if self.total == 0 {
            return Duration::ZERO;
        }
        bounds().zip(&self.counts).find(reached).map_or(Duration::ZERO, |(bound, _)| bound)
    }
}

/// Mean times of pages of one engine, on ranks that read several at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct RankTimes {
    /// From assignment to verdict, summed over all pages.
    time: Duration,
    pages: u32,
    /// Pages that the rank held at each assignment, summed over all pages.
    loads: u32,
}

impl RankTimes {
    /// Sums are halved at this number of pages, so that old pages weigh less.
    const MEMORY: u32 = 256;

    /// A page that took `time` on a rank that held `load` pages, itself included.
    pub(super) fn first(time: Duration, load: u32) -> Self {
        RankTimes { time, pages: 1, loads: load.max(1) }
    }

    pub(super) fn add(&mut self, time: Duration, load: u32) {
        if self.pages >= Self::MEMORY {
            *self = RankTimes { time: self.time / 2, pages: self.pages / 2, loads: self.loads / 2 };
        }
        *self = RankTimes { time: self.time + time, pages: self.pages + 1, loads: self.loads + load.max(1) };
    }

    /// Mean time of a page.
    pub(super) fn page(&self) -> Duration {
        self.time / self.pages
    }

    /// Mean time of a rank per page, where it reads several at once.
    pub(super) fn share_of_page(&self) -> Duration {
        self.time / self.loads
    }
}

fn bounds() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST), |bound| Some(*bound * 3 / 2)).take(BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket_and_old_times_are_forgotten() {
        let mut times = PageTimes::default();
        assert_eq!(times.quantile(95), Duration::ZERO);
        for _ in 0..95 {
            times.add(Duration::from_secs(10));
        }
        for _ in 0..5 {
            times.add(Duration::from_secs(600));
        }
        let most = times.quantile(95);
        assert!(most >= Duration::from_secs(10) && most <= Duration::from_secs(15), "{most:?}");
        assert!(times.quantile(99) >= Duration::from_secs(600));
        for _ in 0..40_000 {
            times.add(Duration::from_secs(1));
        }
        assert!(times.quantile(100) < Duration::from_secs(600));
        times.add(Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_page_takes_its_share_of_a_rank_that_reads_several() {
        let mut times = RankTimes::first(Duration::from_secs(20), 1);
        for _ in 0..10_000 {
            times.add(Duration::from_secs(40), 8);
        }
        let seconds = |time: Duration| time.as_secs_f64().round();
        assert_eq!((seconds(times.page()), seconds(times.share_of_page())), (40.0, 5.0));
    }
}
