//! How long pages take, as a histogram of bounded size.

use std::time::Duration;

/// Upper bound of the first bucket; each further bound is half as much again.
const FIRST: Duration = Duration::from_millis(100);
const BUCKETS: usize = 28;
/// Counts are halved when this many are reached, so that old pages weigh less.
const MEMORY: u32 = 4096;

/// Times of pages, from 0.1 s to an hour and a half.
#[derive(Debug, Default)]
pub(super) struct PageTimes {
    counts: [u32; BUCKETS],
    total: u32,
}

impl PageTimes {
    pub(super) fn add(&mut self, time: Duration) {
        let bucket = bounds().position(|bound| time <= bound).unwrap_or(BUCKETS - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        if self.total >= MEMORY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// The bound below which `percent` of the times lie; zero where there are none.
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
}
