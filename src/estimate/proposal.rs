//! The proposed job, and the resources that it requests from PBS.

use std::{num::NonZeroU32, time::Duration};

use bytesize::ByteSize;
use serde::Serialize;

use crate::pbs::Select;

use super::{EstimateError, JobSize, Work};

/// The size of the job that the user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EstimateTarget {
    /// Number of GPUs; `None`: to be proposed.
    pub gpus: Option<NonZeroU32>,
    /// Walltime of the job; `None`: to be proposed.
    pub walltime: Option<Duration>,
}

/// Whether the proposed job is enough for the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feasibility {
    /// One job is expected to be enough.
    Fits,
    /// This number of jobs is needed, of which each continues the one before.
    Jobs(u32),
}

/// Cores and memory for each GPU on the cluster that `docs/cluster.md` describes.
const CORES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
const MEMORY: ByteSize = ByteSize::gib(180);
/// Longest walltime that is proposed if none is given. GPU queues mostly allow a day.
const DAY: Duration = Duration::from_secs(86_400);
/// The most GPUs that are proposed.
const MOST_GPUS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// Walltimes are rounded up to a multiple of this, in seconds.
const STEP: u64 = 300;

/// The part of a walltime that is reserved for an orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// The reserve of scripts/pbs-job: three minutes, at most a fifth of the walltime.
    OfPbsJob,
    /// The same time for any walltime.
    Exactly(Duration),
}

/// The longest reserve of scripts/pbs-job.
const MOST_KEPT: Duration = Duration::from_secs(180);
/// Of a short walltime, scripts/pbs-job reserves one part in this many.
const PART_KEPT: u32 = 5;

impl Reserve {
    /// The reserve of a walltime.
    pub(super) fn of(self, walltime: Duration) -> Duration {
        match self {
            Reserve::OfPbsJob => MOST_KEPT.min(walltime / PART_KEPT),
            Reserve::Exactly(time) => time,
        }
    }

    /// The shortest walltime, rounded up to a step, that leaves `needed` beside its reserve.
    fn beside(self, needed: Duration) -> Duration {
        let kept = match self {
            Reserve::OfPbsJob => MOST_KEPT.min(needed / (PART_KEPT - 1)),
            Reserve::Exactly(time) => time,
        };
        rounded(needed.saturating_add(kept))
    }
}

/// A proposed job.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) size: JobSize,
    /// With its reserve.
    pub(super) walltime: Duration,
    pub(super) fit: Feasibility,
}

/// The proposed job. If only the number of GPUs is given, its walltime is enough at worst. Otherwise it has the fewest
/// GPUs that are expected to be enough in one job, or in as few jobs as possible.
///
/// # Errors
/// The walltime ends before a page is read.
pub(super) fn propose(
    ask: &EstimateTarget,
    work: &Work,
    reading: Duration,
    reserve: Reserve,
) -> Result<Proposal, EstimateError> {
    let size = |gpus| JobSize::of(gpus, work, reading);
    let worst = |size: &JobSize| reserve.beside(Duration::from_secs_f64(size.seconds.2));
    if let (Some(gpus), None) = (ask.gpus, ask.walltime) {
        let size = size(gpus);
        return Ok(Proposal { walltime: worst(&size), size, fit: Feasibility::Fits });
    }
    let most = ask.walltime.unwrap_or(DAY);
    let usable = most.saturating_sub(reserve.of(most));
    let beginning = Duration::from_secs_f64(work.server_start).max(reading);
    let first_page = beginning + Duration::from_secs_f64(work.first.seconds_per_page);
    if work.seconds() > 0.0 && usable <= first_page {
        let (kept, least) = (reserve.of(most), reserve.beside(first_page));
        return Err(EstimateError::TooShort { walltime: most, kept, first_page, least });
    }
    // Each job starts its servers again, so each loses the time before the first page.
    let reads = usable.saturating_sub(beginning);
    let jobs = |size: &JobSize| {
        let reading = (size.seconds.1 - beginning.as_secs_f64()).max(0.0);
        (reading / reads.as_secs_f64()).ceil().max(1.0) as u32
    };
    let size = match ask.gpus {
        Some(gpus) => size(gpus),
        None => {
            // With more GPUs than pages, some would be idle.
            let most = NonZeroU32::new(work.first.pages as u32).map_or(NonZeroU32::MIN, |pages| pages.min(MOST_GPUS));
            let largest = size(most);
            let time = beginning + reads.saturating_mul(jobs(&largest));
            JobSize::within(time, work, reading, most).unwrap_or(largest)
        }
    };
    let fit = match jobs(&size) {
        1 => Feasibility::Fits,
        jobs => Feasibility::Jobs(jobs),
    };
    let walltime = if ask.walltime.is_some() { most } else { most.min(worst(&size)) };
    Ok(Proposal { size, walltime, fit })
}

fn rounded(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().div_ceil(STEP).saturating_mul(STEP))
}

/// The resources of each node if no job file gives them.
const OF_A_GPU: Select =
    Select { nodes: NonZeroU32::MIN, cores: CORES, memory: Some(MEMORY), gpus: 1, ranks: NonZeroU32::MIN };

/// Nodes like those of the job file. If the job needs fewer GPUs than one node has, it requests that share of the
/// node's cores and memory.
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
    use crate::model::EngineNames;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn work(pages: u64) -> Work {
        let cost = PageCost { images: 1.0, prompt_tokens: 4014.0, generated_tokens: 1000.0, ..PageCost::default() };
        Work::of(pages, &cost, 1, &Earlier::default(), &EngineNames::default())
    }

    #[test]
    fn what_is_not_asked_is_answered() {
        let propose = |gpus, walltime: Option<u64>| {
            let ask = EstimateTarget { gpus, walltime: walltime.map(Duration::from_secs) };
            let proposal = super::propose(&ask, &work(100_000), Duration::ZERO, Reserve::OfPbsJob);
            let Proposal { size, walltime, fit } = proposal.unwrap();
            (size.gpus, walltime.as_secs(), fit)
        };
        let (gpus, walltime, fit) = propose(Some(number(8)), None);
        assert_eq!((gpus, fit, walltime % STEP), (8, Feasibility::Fits, 0));
        assert!((12_000..15_000).contains(&walltime), "twice the expected time, as at worst: {walltime}");
        assert_eq!(propose(None, None), (1, 86_400, Feasibility::Fits), "one GPU is done in a day");
        let (gpus, walltime, fit) = propose(None, Some(7200));
        assert!((7..=9).contains(&gpus) && walltime == 7200 && fit == Feasibility::Fits, "{gpus}");
        assert_eq!(propose(Some(number(2)), Some(7200)), (2, 7200, Feasibility::Jobs(4)));
    }

    #[test]
    fn a_walltime_that_is_over_before_the_first_page_is_refused_and_a_short_one_asks_for_no_more_gpus_than_help() {
        let propose = |walltime: u64, gpus, reserve| {
            let ask = EstimateTarget { gpus, walltime: Some(Duration::from_secs(walltime)) };
            super::propose(&ask, &work(11), Duration::ZERO, reserve)
        };
        // 120 s, less a fifth, are less than the 140 s in which a server starts.
        for gpus in [None, Some(number(4))] {
            let refused = propose(120, gpus, Reserve::OfPbsJob).unwrap_err();
            assert_eq!(refused.exit_code(), crate::sys::ExitCode::WrongUsage);
            let told = refused.to_string();
            assert!(told.contains("00:02:00") && told.contains("24 s") && told.contains("00:05:00"), "{told}");
        }
        assert!(propose(300, None, Reserve::Exactly(Duration::from_secs(300))).is_err());
        assert!(propose(300, None, Reserve::Exactly(Duration::MAX)).is_err());
        let proposal = propose(300, None, Reserve::OfPbsJob).unwrap();
        assert_eq!((proposal.size.gpus, proposal.fit), (1, Feasibility::Jobs(2)), "{proposal:?}");
    }

    #[test]
    fn what_is_kept_of_a_walltime_is_what_the_script_of_a_job_keeps() {
        let seconds = Duration::from_secs;
        assert_eq!(Reserve::OfPbsJob.of(seconds(86_400)), seconds(180));
        assert_eq!(Reserve::OfPbsJob.of(seconds(300)), seconds(60));
        assert_eq!(Reserve::Exactly(seconds(90)).of(seconds(300)), seconds(90));
        for needed in [1, 240, 241, 719, 721, 100_000].map(seconds) {
            let walltime = Reserve::OfPbsJob.beside(needed);
            assert!(walltime - Reserve::OfPbsJob.of(walltime) >= needed, "{needed:?}");
        }
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
