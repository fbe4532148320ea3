//! The time that a number of GPUs takes, and the number of GPUs for a given time.

use std::{num::NonZeroU32, time::Duration};

use serde::Serialize;

use super::Work;
use crate::model::{Engine, EngineSet, RankId, Role, RoleNames, RolePattern};

/// The size of a job and the time that it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobSize {
    /// Number of GPUs, which is the number of ranks.
    pub gpus: u32,
    /// The roles of the ranks.
    pub roles: RoleNames,
    /// Seconds from the start of the job to the end of the run: at best, as expected, at worst.
    pub seconds: (f64, f64, f64),
}

/// Share of a GPU that stage 2 must keep busy before it gets a GPU of its own.
const WORTH_A_GPU: f64 = 0.75;

/// The roles of the ranks, given the share of the second stage in all work, 0.0..=1.0. If the second stage keeps GPUs
/// busy, one rank in each group of ranks reads failed pages only. Otherwise the last rank switches its role when stage
/// 1 has no pages left.
pub fn roles_for(gpus: NonZeroU32, second_share: f64, engines: EngineSet) -> RolePattern {
    let (gpus, later) = (gpus.get(), engines.without(Engine::FIRST));
    let (length, last) = if second_share * f64::from(gpus) >= WORTH_A_GPU && gpus > 1 && !later.is_empty() {
        let length = (1.0 / second_share).round().clamp(2.0, f64::from(gpus));
        (length as usize, Role::one_at_a_time(later))
    } else {
        (gpus as usize, Role::one_at_a_time(engines))
    };
    RolePattern::new(std::iter::repeat_n(Role::One(Engine::FIRST), length - 1).chain([last]))
}

impl JobSize {
    /// The run of `work` on `gpus` GPUs. `reading` is the time in which rank 0 reads all files once, while servers
    /// start.
    pub fn of(gpus: NonZeroU32, work: &Work, reading: Duration) -> JobSize {
        let roles = roles_for(gpus, work.second_share(), work.engines.all());
        let seconds = |factor: f64| {
            if work.seconds() == 0.0 {
                return 0.0;
            }
            let (switching, read) = split_roles(&roles, gpus.get(), work);
            work.server_start.max(reading.as_secs_f64()) + switching + read * factor + work.tail
        };
        let (best, worst) = work.range;
        JobSize {
            gpus: gpus.get(),
            seconds: (seconds(best), seconds(1.0), seconds(worst)),
            roles: roles.named(&work.engines),
        }
    }

    /// The fewest GPUs with which the work is expected to end within `time`; `None` if it needs more than `most`.
    pub fn within(time: Duration, work: &Work, reading: Duration, most: NonZeroU32) -> Option<JobSize> {
        let fits = |gpus: u32| {
            let size = JobSize::of(NonZeroU32::new(gpus)?, work, reading);
            (size.seconds.1 <= time.as_secs_f64()).then_some(size)
        };
        let (mut few, mut enough) = (0, most.get());
        fits(enough)?;
        while enough - few > 1 {
            let middle = few + (enough - few) / 2;
            if fits(middle).is_some() { enough = middle } else { few = middle }
        }
        fits(enough)
    }
}

/// Seconds lost by role switches, and seconds of reading, with ranks of these roles.
fn split_roles(roles: &RolePattern, gpus: u32, work: &Work) -> (f64, f64) {
    let ranks = (0..gpus).map(|rank| roles.of(RankId(rank), gpus));
    let second = ranks.filter(|role| !role.engines().contains(Engine::FIRST)).count() as f64;
    if second == 0.0 {
        let switching = if work.later.seconds() > 0.0 { work.server_start } else { 0.0 };
        return (switching, work.seconds() / f64::from(gpus));
    }
    let first = f64::from(gpus) - second;
    (0.0, (work.first.seconds() / first).max(work.later.seconds() / second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        estimate::{Earlier, PageCost},
        model::EngineNames,
    };

    fn gpus(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    /// Half a second a page, and 3 % of that for stage 2.
    fn work(pages: u64) -> Work {
        let cost = PageCost { images: 1.0, prompt_tokens: 4014.0, generated_tokens: 1000.0, ..PageCost::default() };
        Work::of(pages, &cost, 1, &Earlier::default(), &EngineNames::default())
    }

    #[test]
    fn few_gpus_take_turns_and_many_have_one_for_the_second_stage() {
        let of = |number, share, engines: &EngineNames| {
            roles_for(gpus(number), share, engines.all()).named(engines).to_string()
        };
        let roles = |number, share| of(number, share, &EngineNames::default());
        assert_eq!(roles(1, 0.03), "chandra/deepseek");
        assert_eq!(roles(8, 0.03), "7*chandra,chandra/deepseek");
        assert_eq!(roles(8, 0.125), "7*chandra,deepseek");
        assert_eq!(roles(64, 0.03), "32*chandra,deepseek");
        assert_eq!(roles(2, 0.9), "chandra,deepseek");
        let names = |text: &str| EngineNames::new(text.split(' ').map(|name| name.parse().unwrap()).collect()).unwrap();
        assert_eq!(of(8, 0.0, &names("surya-2")), "8*surya-2");
        assert_eq!(of(8, 0.125, &names("surya-2 chandra deepseek")), "7*surya-2,chandra/deepseek");
    }

    #[test]
    fn more_gpus_are_never_slower_by_more_than_a_rank_and_the_range_is_kept() {
        let work = work(100_000);
        let table = [1, 2, 4, 8, 16, 32, 64].map(|number| JobSize::of(gpus(number), &work, Duration::ZERO).seconds);
        assert!(table.windows(2).all(|pair| pair[1].1 < pair[0].1), "{table:?}");
        assert!(table.iter().all(|(best, expected, worst)| best < expected && expected < worst));
        assert!((table[0].1 - work.seconds() - 2.0 * 140.0 - 52.0).abs() < 1e-6, "{table:?}");
    }

    #[test]
    fn a_wanted_walltime_gives_the_fewest_gpus() {
        let work = work(100_000);
        let hours = |hours: u64| Duration::from_secs(3600 * hours);
        let size = JobSize::within(hours(4), &work, Duration::ZERO, gpus(1024)).unwrap();
        assert!(size.seconds.1 <= 4.0 * 3600.0, "{size:?}");
        let fewer = JobSize::of(gpus(size.gpus - 1), &work, Duration::ZERO);
        assert!(fewer.seconds.1 > 4.0 * 3600.0, "{fewer:?}");
        assert_eq!(JobSize::within(Duration::from_secs(60), &work, Duration::ZERO, gpus(1024)), None);
    }

    #[test]
    fn files_are_read_while_servers_start_and_nothing_to_do_takes_no_time() {
        let long = JobSize::of(gpus(4), &work(1000), Duration::from_secs(1000)).seconds.1;
        let short = JobSize::of(gpus(4), &work(1000), Duration::from_secs(100)).seconds.1;
        assert!((long - short - 860.0).abs() < 1e-6);
        assert_eq!(JobSize::of(gpus(4), &work(0), Duration::from_secs(100)).seconds.1, 0.0);
    }
}
