//! The job that is proposed, and what it asks PBS for.

use std::{num::NonZeroU32, time::Duration};

use bytesize::ByteSize;
use serde::Serialize;

use super::{JobSize, JobTable, Work};
use crate::job::Select;

/// What the job is to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask {
    /// GPUs.
    pub gpus: Option<NonZeroU32>,
    /// Walltime.
    pub walltime: Option<Duration>,
}

/// How the job that is proposed stands to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// It is expected to end in time.
    Fits,
    /// It takes so many jobs, each of which continues the one before.
    Jobs(u32),
}

/// Cores and memory for a GPU, where no job file says it.
pub(super) const CORES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
const MEMORY: ByteSize = ByteSize::gib(180);
/// Longest walltime that is proposed where none is given: a day is what queues of GPUs mostly allow.
const DAY: Duration = Duration::from_secs(86_400);
/// More GPUs are not looked for.
const MOST_GPUS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// Walltimes are asked for in steps of this.
const STEP: u64 = 300;

/// A job that answers what was asked.
pub(super) struct Proposal {
    pub(super) size: JobSize,
    /// Its reserve included.
    pub(super) walltime: Duration,
    pub(super) fit: Fit,
}

/// The job that answers what was asked: with GPUs alone a walltime that is enough at worst; else with the fewest GPUs
/// that are expected to be done in time.
pub(super) fn propose(ask: &Ask, work: &Work, reading: Duration, reserve: Duration) -> Proposal {
    let size = |gpus| JobSize::of(gpus, work, reading);
    let worst = |size: &JobSize| rounded(Duration::from_secs_f64(size.seconds.2) + reserve);
    match (ask.gpus, ask.walltime) {
        (Some(gpus), None) => {
            let size = size(gpus);
            let walltime = worst(&size);
            Proposal { size, walltime, fit: Fit::Fits }
        }
        (gpus, walltime) => {
            let most = walltime.unwrap_or(DAY);
            let usable = most.saturating_sub(reserve);
            let size = match gpus {
                Some(gpus) => size(gpus),
                None => JobSize::within(usable, work, reading, MOST_GPUS).unwrap_or_else(|| size(MOST_GPUS)),
            };
            let fit = fit(&size, usable);
            let asked = if walltime.is_some() { most } else { most.min(worst(&size)) };
            Proposal { size, walltime: asked, fit }
        }
    }
}

/// How many jobs of so much usable time a run takes.
fn fit(size: &JobSize, usable: Duration) -> Fit {
    let jobs = (size.seconds.1 / usable.as_secs_f64().max(1.0)).ceil().max(1.0) as u32;
    if jobs == 1 { Fit::Fits } else { Fit::Jobs(jobs) }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().div_ceil(STEP) * STEP)
}

/// Nodes of as many GPUs as the job file says, each with its share of cores and memory.
pub(super) fn select(job: &JobTable, gpus: u32) -> Select {
    let of_node = job.gpus.and_then(NonZeroU32::new).or(job.ranks).unwrap_or(NonZeroU32::MIN);
    let on_each = of_node.get().min(gpus.max(1));
    let share = |value: u64| value * u64::from(on_each) / u64::from(of_node.get());
    let said = job.gpus.is_some() || job.ranks.is_some();
    let cores = job.cores.map_or(u64::from(CORES.get() * on_each), |cores| share(u64::from(cores.get())));
    let memory = if said { job.memory() } else { Some(job.memory().unwrap_or(MEMORY)) };
    let number = |value: u64| u32::try_from(value).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Select {
        nodes: number(u64::from(gpus.div_ceil(on_each))),
        cores: number(cores),
        memory: memory.map(|memory| ByteSize(share(memory.as_u64()))),
        gpus: if job.gpus == Some(0) { 0 } else { on_each },
        ranks: number(u64::from(on_each)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{Earlier, PageCost};

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn work(pages: u64) -> Work {
        let cost = PageCost { images: 1.0, prompt_tokens: 4014.0, generated_tokens: 1000.0, ..PageCost::default() };
        Work::of(pages, &cost, 1, &Earlier::default())
    }

    const RESERVE: Duration = Duration::from_secs(180);

    #[test]
    fn what_is_not_asked_is_answered() {
        let propose = |gpus, walltime: Option<u64>| {
            let ask = Ask { gpus, walltime: walltime.map(Duration::from_secs) };
            let Proposal { size, walltime, fit } = super::propose(&ask, &work(100_000), Duration::ZERO, RESERVE);
            (size.gpus, walltime.as_secs(), fit)
        };
        let (gpus, walltime, fit) = propose(Some(number(8)), None);
        assert_eq!((gpus, fit, walltime % STEP), (8, Fit::Fits, 0));
        assert!((12_000..15_000).contains(&walltime), "twice the expected time, as at worst: {walltime}");
        assert_eq!(propose(None, None), (1, 86_400, Fit::Fits), "one GPU is done in a day");
        let (gpus, walltime, fit) = propose(None, Some(7200));
        assert!((7..=9).contains(&gpus) && walltime == 7200 && fit == Fit::Fits, "{gpus}");
        assert_eq!(propose(Some(number(2)), Some(7200)), (2, 7200, Fit::Jobs(4)));
    }

    #[test]
    fn chunks_are_as_the_job_file_has_nodes() {
        let select = |job: &JobTable, gpus| super::select(job, gpus).to_string();
        let none = JobTable::default();
        assert_eq!(select(&none, 4), "4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1");
        let nodes = JobTable { gpus: Some(4), cores: NonZeroU32::new(96), memory: Some("400gb".into()), ..none };
        assert_eq!(select(&nodes, 9), "3:ncpus=96:mem=400gb:ngpus=4:mpiprocs=4");
        assert_eq!(select(&nodes, 2), "1:ncpus=48:mem=200gb:ngpus=2:mpiprocs=2");
        let cores =
            JobTable { gpus: Some(0), ranks: NonZeroU32::new(2), cores: NonZeroU32::new(8), ..JobTable::default() };
        assert_eq!(select(&cores, 4), "2:ncpus=8:mpiprocs=2");
    }
}
