//! The job that is proposed, and what it asks PBS for.

use std::{num::NonZeroU32, time::Duration};

use bytesize::ByteSize;
use serde::Serialize;

use super::{JobSize, Work};
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

/// Cores and memory for a GPU on the cluster described (facts on HPC, C4).
const CORES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
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

/// What is asked of each node where no job file says it.
const OF_A_GPU: Select =
    Select { nodes: NonZeroU32::MIN, cores: CORES, memory: Some(MEMORY), gpus: 1, ranks: NonZeroU32::MIN };

/// Nodes like those of the job file, each with its share of cores and memory where it has fewer GPUs than they.
pub(super) fn select(job: Option<Select>, gpus: u32) -> Select {
    let node = job.unwrap_or(OF_A_GPU);
    let on_each = node.ranks.get().min(gpus.max(1));
    let share = |value: u64| value * u64::from(on_each) / u64::from(node.ranks.get());
    let number = |value: u64| u32::try_from(value).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Select {
        nodes: number(u64::from(gpus.div_ceil(on_each))),
        cores: number(share(u64::from(node.cores.get()))),
        memory: node.memory.map(|memory| ByteSize(share(memory.as_u64()))),
        gpus: if node.gpus == 0 { 0 } else { on_each },
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
        let select = |job, gpus| super::select(job, gpus).to_string();
        assert_eq!(select(None, 4), "4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1");
        let memory = Some(ByteSize::gib(400));
        let node = Select { nodes: number(7), cores: number(96), memory, gpus: 4, ranks: number(4) };
        assert_eq!(select(Some(node), 9), "3:ncpus=96:mem=400gb:ngpus=4:mpiprocs=4");
        assert_eq!(select(Some(node), 2), "1:ncpus=48:mem=200gb:ngpus=2:mpiprocs=2");
        let of_cores = Select { cores: number(8), memory: None, gpus: 0, ranks: number(2), ..node };
        assert_eq!(select(Some(of_cores), 4), "2:ncpus=8:mpiprocs=2");
    }
}
