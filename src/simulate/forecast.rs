//! What a described run will take, and where the time goes.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    model::{Outcome, StopReason},
    sys::seconds_text,
};

use super::{Cluster, Description, DescriptionError, RankSeconds, Recording, Service, StartReport, simulate_jobs};

/// What a run will take. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Number of ranks at the beginning.
    pub ranks: u32,
    /// Number of pages.
    pub pages: u64,
    /// Whether every page was settled.
    pub complete: bool,
    /// Pages read.
    pub read: u64,
    /// Pages among them that a later engine read.
    pub recovered: u64,
    /// Blank pages.
    pub blank: u64,
    /// Failed pages.
    pub failed: u64,
    /// Seconds of the run, over all its starts.
    pub seconds: f64,
    /// Number of runs that were simulated, of which this is that of median duration.
    pub runs: u32,
    /// The shortest and the longest of them.
    pub range: (f64, f64),
    /// Pages settled in a second.
    pub pages_per_second: f64,
    /// The shortest time that the same servers could take: they start, and then all are busy until the end.
    pub bound: Bound,
    /// The bound, divided by the time of the run.
    pub efficiency: f64,
    /// Where the time of the ranks went.
    pub rank_seconds: RankSeconds,
    /// Number of role switches.
    pub role_switches: u32,
    /// Deaths of servers.
    pub server_deaths: u32,
    /// The starts of the run.
    pub starts: Vec<StartForecast>,
    /// What ranks did over time, in each start.
    #[serde(skip)]
    pub recordings: Vec<Recording>,
}

/// The shortest time that the servers could take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// Their mean start, or the preparation of the run if that is longer; once for each start of the run.
    pub start: f64,
    /// All attempts on fully loaded servers, divided by the ranks.
    pub work: f64,
}

/// One start of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartForecast {
    /// The job, from 1.
    pub job: u32,
    /// Number of ranks.
    pub ranks: u32,
    /// Its seconds.
    pub seconds: f64,
    /// Pages that it settled.
    pub settled: u64,
    /// How it ended.
    #[serde(serialize_with = "text")]
    pub outcome: Option<Outcome>,
}

fn text<S: Serializer>(outcome: &Option<Outcome>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&outcome_text(*outcome))
}

fn outcome_text(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Complete) => "complete".into(),
        Some(Outcome::Stopped(StopReason::Deadline)) => "stopped at its walltime".into(),
        Some(Outcome::Stopped(StopReason::RankSilent(rank))) => format!("stopped, because {rank} was lost"),
        Some(Outcome::Stopped(StopReason::NoEngine(_) | StopReason::AllServersFail(_))) => {
            "stopped, because pages waited for an engine that no rank could serve".into()
        }
        Some(Outcome::Stopped(_)) => "stopped".into(),
        None => "never ended".into(),
    }
}

/// A forecast that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// The description is wrong.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A defect of the scheduler or of the simulated cluster.
    #[error("the simulated scheduler did what no rank can do, which is a defect of this program: {0}")]
    Defect(String),
}

/// Simulates the run once or several times with other random numbers, and gives the run of median duration. With
/// `record`, also records what its ranks do.
///
/// # Errors
/// The description is wrong.
pub fn forecast(description: &Description, record: bool) -> Result<Forecast, ForecastError> {
    let (cluster, jobs) = description.cluster()?;
    let simulate = |seed, record| -> Result<Forecast, ForecastError> {
        let cluster = Cluster { seed, record, ..cluster.clone() };
        let starts = simulate_jobs(&cluster, jobs).map_err(ForecastError::Defect)?;
        Ok(Forecast::of(&cluster, starts))
    };
    let runs = description.runs.unwrap_or_else(|| runs_for(description.pages));
    let seeds = (0..u64::from(runs)).map(|run| description.seed.wrapping_add(run));
    let all = seeds.map(|seed| Ok((simulate(seed, false)?, seed))).collect::<Result<Vec<_>, ForecastError>>();
    let mut all = all?;
    all.sort_by(|(one, _), (other, _)| one.seconds.total_cmp(&other.seconds));
    let range = (all.first().map_or(0.0, |(run, _)| run.seconds), all.last().map_or(0.0, |(run, _)| run.seconds));
    let (median, seed) = all.swap_remove(all.len() / 2);
    let median = if record { simulate(seed, true)? } else { median };
    Ok(Forecast { runs, range, ..median })
}

/// How often a run of so many pages is simulated: a short one depends on which pages are the last.
fn runs_for(pages: u32) -> u32 {
    /// Pages that are simulated in about a second.
    const PAGES: u32 = 50_000;
    (PAGES / pages.max(1)).clamp(1, 15) | 1
}

impl Forecast {
    fn of(cluster: &Cluster, starts: Vec<StartReport>) -> Forecast {
        let seconds: f64 = starts.iter().map(|start| start.report.elapsed.as_secs_f64()).sum();
        let mut rank_seconds = RankSeconds::default();
        starts.iter().for_each(|start| rank_seconds += start.report.rank_seconds);
        let bound = bound(cluster, &starts);
        let counts = starts.last().map(|start| start.report.counts.clone()).unwrap_or_default();
        let start = |start: &StartReport| StartForecast {
            job: start.job + 1,
            ranks: start.ranks,
            seconds: start.report.elapsed.as_secs_f64(),
            settled: start.report.counts.settled() - start.report.counts.restored,
            outcome: start.report.outcome,
        };
        Forecast {
            ranks: cluster.ranks,
            pages: counts.pages,
            complete: counts.settled() == counts.pages,
            read: counts.read,
            recovered: counts.recovered,
            blank: counts.blank,
            failed: counts.failed_total(),
            seconds,
            runs: 1,
            range: (seconds, seconds),
            pages_per_second: counts.settled() as f64 / seconds.max(1e-9),
            efficiency: (bound.start + bound.work) / seconds.max(1e-9),
            bound,
            rank_seconds,
            role_switches: starts.iter().map(|start| start.report.turns).sum(),
            server_deaths: starts.iter().map(|start| start.report.deaths).sum(),
            starts: starts.iter().map(start).collect(),
            recordings: starts.into_iter().filter_map(|start| start.report.recording).collect(),
        }
    }
}

fn bound(cluster: &Cluster, starts: &[StartReport]) -> Bound {
    let Service::Shared(service) = &cluster.service else { return Bound { start: 0.0, work: 0.0 } };
    let engines = service.engines.values().map(|engine| engine.start.mean);
    let start = engines.min().unwrap_or_default().max(service.preparation).as_secs_f64();
    let slow = service.slowness.values().map(|factor| 1.0 - 1.0 / factor).sum::<f64>();
    let speed = |ranks: u32| f64::from(ranks) - slow * f64::from(ranks) / f64::from(cluster.ranks);
    let work = starts.iter().map(|start| start.report.work / speed(start.ranks).max(1.0)).sum();
    Bound { start: start * starts.len() as f64, work }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: f64| seconds_text(Duration::from_secs_f64(seconds.max(0.0)));
        let Bound { start, work } = self.bound;
        writeln!(
            f,
            "{} pages on {} ranks: {} ({:.2} pages/s){}",
            self.pages,
            self.ranks,
            time(self.seconds),
            self.pages_per_second,
            if self.complete { "" } else { "; NOT COMPLETE" }
        )?;
        writeln!(
            f,
            "  read {} ({} by a later engine), blank {}, failed {}",
            self.read, self.recovered, self.blank, self.failed
        )?;
        writeln!(
            f,
            "  efficiency {:.3} of the bound of {}: servers start in {}, and then each rank is busy for {}",
            self.efficiency,
            time(start + work),
            time(start),
            time(work)
        )?;
        if self.runs > 1 {
            let (shortest, longest) = self.range;
            writeln!(
                f,
                "  the median of {} simulated runs, which took {} to {}",
                self.runs,
                time(shortest),
                time(longest)
            )?;
        }
        if self.role_switches > 0 || self.server_deaths > 0 {
            writeln!(f, "  role switches {}, deaths of servers {}", self.role_switches, self.server_deaths)?;
        }
        let RankSeconds { starting, busy, waiting, last_pages, switching, down, lost } = self.rank_seconds;
        let total = self.rank_seconds.total().max(1e-9);
        writeln!(f, "\n  {:<44}  {:>12}  {:>7}", "time of the ranks", "rank seconds", "share")?;
        for (name, seconds) in [
            ("starting", starting),
            ("busy", busy),
            ("no page, although some wait", waiting),
            ("no page: other ranks hold the last ones", last_pages),
            ("switching roles", switching),
            ("server down", down),
            ("rank lost", lost),
        ] {
            writeln!(f, "  {name:<44}  {seconds:>12.0}  {:>5.1} %", 100.0 * seconds / total)?;
        }
        if self.starts.len() > 1 {
            writeln!(f, "\n  {:>3}  {:>5}  {:>10}  {:>10}  end", "job", "ranks", "seconds", "pages")?;
            for StartForecast { job, ranks, seconds, settled, outcome } in &self.starts {
                writeln!(f, "  {job:>3}  {ranks:>5}  {seconds:>10.1}  {settled:>10}  {}", outcome_text(*outcome))?;
            }
        }
        Ok(())
    }
}
