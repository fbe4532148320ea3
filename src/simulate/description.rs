//! The description of a cluster and its run, as in a TOML file. Times are in seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gpu_model::GpuModel;
use serde::{Deserialize, Serialize};

use crate::model::{
    Engine, EngineName, EngineNames, RankId, Role, RoleNames, RolePattern, RunEngines, RunEnginesError,
    configuration::Schedule,
};

use super::{Cluster, EngineService, Failures, Jobs, Lengths, PageTime, Service, SharedService, Spread};

/// A cluster and its run. Every field has a default: one rank, and the figures of an H200 (`docs/facts/h200.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// Number of ranks; each has a GPU.
    pub ranks: u32,
    /// Which rank serves which engines, as in a configuration. By default all serve the first engine.
    pub roles: Option<RoleNames>,
    /// The engines that a page goes to, in order, as in a configuration.
    pub stages: Option<Vec<EngineName>>,
    /// Number of pages.
    pub pages: u32,
    /// Pages of a document.
    pub pages_per_document: u32,
    /// Share of blank pages, 0.0..=1.0.
    pub blank: f64,
    /// From the start of the run until rank 0 can deal pages: it reads all files once.
    pub preparation: f64,
    /// From the last verdict to the end of the run: shards are sealed.
    pub ending: f64,
    /// From an answer to its verdict at rank 0: the record is synced.
    pub latency: f64,
    /// Probability that a server dies with an answer, 0.0..=1.0.
    pub server_deaths: f64,
    /// From the death of a server until it is ready again.
    pub restart: f64,
    /// Share of ranks that are slow, 0.0..=1.0.
    pub slow_ranks: f64,
    /// How many times as long a page takes on a slow rank.
    pub slow_factor: f64,
    /// Ranks that are lost, and when, since the start of the run.
    pub losses: Vec<Loss>,
    /// Walltime of a job; none is no limit.
    pub walltime: Option<f64>,
    /// Number of jobs; each continues the one before.
    pub jobs: u32,
    /// Seed of all random numbers.
    pub seed: u64,
    /// How often the run is simulated, each time with the next seed; the one of median duration counts. By default once,
    /// and up to 15 times if it has few pages.
    pub runs: Option<u32>,
    /// The servers of the engines, by name.
    pub engines: BTreeMap<EngineName, EngineDescription>,
    /// Settings of the scheduler, as in a configuration.
    pub schedule: Schedule,
}

/// The servers of an engine. Without figures, those of Chandra on an H200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineDescription {
    /// Requests in flight on a server.
    pub in_flight: u32,
    /// Time of a page of mean length: `max(floor, each × in flight) + prefill × in flight`. This is `floor`.
    pub page_floor: f64,
    /// The `each` of the same.
    pub page_each: f64,
    /// The `prefill` of the same.
    pub page_prefill: f64,
    /// Standard deviation of the logarithm of the pages' lengths.
    pub length_sigma: f64,
    /// Lengths of pages, of which each is as likely as every other; they take the place of `length_sigma`. Only their
    /// ratios count.
    pub lengths: Vec<f64>,
    /// How much a rank knows of the lengths before it asks: the correlation of expected and actual ones, 0.0..=1.0.
    pub length_correlation: f64,
    /// Share of pages whose first attempt fails, 0.0..=1.0.
    pub failures: f64,
    /// Share of the further attempts on those pages that fail again, 0.0..=1.0.
    pub failures_again: f64,
    /// Length of a failed attempt, in mean pages.
    pub failure_length: f64,
    /// From the start of the run until a rank's server is ready: the mean, and the longest deviation from it.
    pub start: f64,
    /// The longest deviation from `start`.
    pub start_deviation: f64,
    /// Time of a rank's first switch to the engine.
    pub switch_first: f64,
    /// Time of a rank's switch back to the engine.
    pub switch_back: f64,
}

/// The loss of a rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The rank.
    pub rank: u32,
    /// Seconds since the start of the run.
    pub at: f64,
}

/// A description that cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// A syntax error, an unknown key or a value of another type. The message names its line.
    #[error(transparent)]
    Syntax(#[from] toml::de::Error),
    /// The engines, stages and roles contradict each other.
    #[error(transparent)]
    Engines(#[from] RunEnginesError),
    /// A value is out of its range.
    #[error("{key} is {value}: {range}")]
    Range {
        /// The key.
        key: String,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

impl Default for Description {
    fn default() -> Self {
        Description {
            ranks: 1,
            roles: None,
            stages: None,
            pages: 10_000,
            pages_per_document: 40,
            blank: 0.0,
            preparation: 0.0,
            ending: 0.0,
            latency: 0.001,
            server_deaths: 0.0,
            restart: 140.0,
            slow_ranks: 0.0,
            slow_factor: 1.0,
            losses: Vec::new(),
            walltime: None,
            jobs: 1,
            seed: 0,
            runs: None,
            engines: BTreeMap::new(),
            schedule: Schedule::default(),
        }
    }
}

impl Default for EngineDescription {
    /// Chandra on an H200 (`docs/facts/h200.md`, "Patterns of a client" and "Start, sleep and wake-up").
    fn default() -> Self {
        let page = PageTime::on(&GpuModel::default(), 4014.0, 1267.0);
        EngineDescription {
            in_flight: 64,
            page_floor: page.floor,
            page_each: page.each,
            page_prefill: page.prefill,
            length_sigma: 0.5,
            lengths: Vec::new(),
            length_correlation: 0.8,
            failures: 0.03,
            failures_again: 0.8,
            failure_length: 0.7,
            start: 140.0,
            start_deviation: 20.0,
            switch_first: 143.0,
            switch_back: 14.0,
        }
    }
}

impl EngineDescription {
    /// The time of a page.
    pub fn page(&self) -> PageTime {
        PageTime { floor: self.page_floor, each: self.page_each, prefill: self.page_prefill }
    }

    /// Sets the time of a page.
    pub fn set_page(&mut self, page: PageTime) {
        (self.page_floor, self.page_each, self.page_prefill) = (page.floor, page.each, page.prefill);
    }

    fn service(&self) -> EngineService {
        let mean = self.lengths.iter().sum::<f64>() / self.lengths.len().max(1) as f64;
        let lengths = if self.lengths.is_empty() {
            Lengths::Lognormal(self.length_sigma)
        } else {
            let mut lengths: Vec<f64> = self.lengths.iter().map(|length| length / mean).collect();
            lengths.sort_by(f64::total_cmp);
            Lengths::Measured(lengths)
        };
        EngineService {
            in_flight: self.in_flight,
            page: self.page(),
            lengths,
            length_correlation: self.length_correlation,
            failures: Failures { first: self.failures, again: self.failures_again, length: self.failure_length },
            start: Spread { mean: seconds(self.start), deviation: seconds(self.start_deviation) },
            switch_first: Spread::none(seconds(self.switch_first)),
            switch_back: Spread::none(seconds(self.switch_back)),
        }
    }

    fn check(&self, name: &EngineName) -> Result<(), DescriptionError> {
        let key = |key: &str| format!("engines.{name}.{key}");
        at_least_one(key("in_flight"), self.in_flight)?;
        for (name, value) in [
            ("failures", self.failures),
            ("failures_again", self.failures_again),
            ("length_correlation", self.length_correlation),
        ] {
            share(key(name), value)?;
        }
        let times = [
            ("page_floor", self.page_floor),
            ("page_each", self.page_each),
            ("page_prefill", self.page_prefill),
            ("length_sigma", self.length_sigma),
            ("failure_length", self.failure_length),
            ("start", self.start),
            ("start_deviation", self.start_deviation),
            ("switch_first", self.switch_first),
            ("switch_back", self.switch_back),
        ];
        for (name, value) in times.into_iter().chain(self.lengths.iter().map(|length| ("lengths", *length))) {
            not_negative(key(name), value)?;
        }
        let page = self.page().seconds(1);
        let range = "give page_floor, page_each or page_prefill, so that a page takes some time";
        if page > 0.0 { Ok(()) } else { Err(DescriptionError::Range { key: key("page_floor"), value: page, range }) }
    }
}

impl Description {
    /// Parses the text of a description.
    ///
    /// # Errors
    /// A syntax error, an unknown key, or a value of another type.
    pub fn from_toml(text: &str) -> Result<Self, DescriptionError> {
        Ok(toml::from_str(text)?)
    }

    /// The engines that the run has, and the roles of its ranks.
    ///
    /// # Errors
    /// The stages and the roles contradict each other.
    pub fn roles(&self) -> Result<(EngineNames, RolePattern), DescriptionError> {
        let engines = RunEngines::new(self.roles.as_ref(), self.stages.as_deref(), BTreeMap::new())?;
        let roles = match self.roles {
            Some(_) => engines.roles().clone(),
            None => RolePattern::all(Role::One(Engine::FIRST)),
        };
        Ok((engines.names().clone(), roles))
    }

    /// The servers of an engine. Those of the first engine are Chandra's on an H200 if the description has none, those
    /// of another are DeepSeek-OCR's on an A100.
    pub fn engine(&self, names: &EngineNames, engine: Engine) -> EngineDescription {
        let described = self.engines.get(&names[engine]).cloned();
        described.unwrap_or_else(|| match engine {
            Engine::FIRST => EngineDescription::default(),
            // 200,000 pages a day (`docs/facts/deepseek.md`, "Published figures").
            _ => EngineDescription { page_floor: 0.0, page_each: 0.432, page_prefill: 0.0, ..Default::default() },
        })
    }

    /// The cluster, and its jobs.
    ///
    /// # Errors
    /// A value is out of its range, or the roles name an engine that is no stage.
    pub fn cluster(&self) -> Result<(Cluster, Jobs), DescriptionError> {
        self.check()?;
        let (names, roles) = self.roles()?;
        let described = |engine| (engine, self.engine(&names, engine).service());
        let engines: BTreeMap<Engine, EngineService> = roles.engines().iter().map(described).collect();
        let in_flight = |role: Role| {
            let each = role.engines().iter().filter_map(|engine| engines.get(&engine)).map(|engine| engine.in_flight);
            if matches!(role, Role::OneAtATime(_)) { each.max().unwrap_or_default() } else { each.sum() }
        };
        let most = (0..self.ranks).map(|rank| in_flight(roles.of(RankId(rank), self.ranks))).max().unwrap_or(1);
        // The longest attempt of a page, and a start of its server.
        let slowest = engines.values().map(|engine| engine.page.seconds(engine.in_flight)).fold(0.0, f64::max);
        let lease_floor = seconds(60.0 * slowest * self.slow_factor + 4.0 * self.restart + 600.0);
        let documents = self.pages.div_ceil(self.pages_per_document);
        let last = self.pages - (documents.max(1) - 1) * self.pages_per_document;
        let page_counts =
            (0..documents).map(|document| if document + 1 == documents { last } else { self.pages_per_document });
        let service = SharedService {
            engines,
            slowness: self.slowness(),
            preparation: seconds(self.preparation),
            ending: seconds(self.ending),
            schedule: self.schedule.clone(),
            lease_floor,
        };
        let cluster = Cluster {
            seed: self.seed,
            ranks: self.ranks,
            roles,
            page_counts: page_counts.collect(),
            unit_pages: self.schedule.unit_pages.get(),
            credits: 2 * most,
            service: Service::Shared(Box::new(service)),
            latency: seconds(self.latency),
            blank: self.blank,
            poison: BTreeSet::new(),
            server_deaths: self.server_deaths,
            dying_servers: BTreeMap::new(),
            restart: seconds(self.restart),
            engine_losses: 0.0,
            rank_losses: self.losses.iter().map(|loss| (RankId(loss.rank), seconds(loss.at))).collect(),
            hanging_pages: BTreeMap::new(),
            hanging_ranks: BTreeMap::new(),
            failing_servers: BTreeMap::new(),
            holds_on: false,
            deadline: None,
            races: self.schedule.races,
            record: false,
            check: false,
        };
        Ok((cluster, Jobs { walltime: self.walltime.map(seconds), number: self.jobs }))
    }

    /// The slow ranks are spread evenly over all.
    fn slowness(&self) -> BTreeMap<RankId, f64> {
        let up_to = |rank: u32| (f64::from(rank) * self.slow_ranks) as u32;
        let slow = (0..self.ranks).filter(|rank| up_to(rank + 1) > up_to(*rank));
        slow.map(|rank| (RankId(rank), self.slow_factor)).collect()
    }

    fn check(&self) -> Result<(), DescriptionError> {
        for (key, value) in [
            ("ranks", self.ranks),
            ("pages", self.pages),
            ("pages_per_document", self.pages_per_document),
            ("jobs", self.jobs),
            ("runs", self.runs.unwrap_or(1)),
        ] {
            at_least_one(key.into(), value)?;
        }
        for (key, value) in
            [("blank", self.blank), ("server_deaths", self.server_deaths), ("slow_ranks", self.slow_ranks)]
        {
            share(key.into(), value)?;
        }
        let times = [
            ("preparation", self.preparation),
            ("ending", self.ending),
            ("latency", self.latency),
            ("restart", self.restart),
            ("walltime", self.walltime.unwrap_or_default()),
        ];
        for (key, value) in times.into_iter().chain(self.losses.iter().map(|loss| ("losses.at", loss.at))) {
            not_negative(key.into(), value)?;
        }
        let range = |key: &str, value, range| Err(DescriptionError::Range { key: key.into(), value, range });
        if !(self.slow_factor >= 1.0 && self.slow_factor.is_finite()) {
            return range("slow_factor", self.slow_factor, "write how many times as long a page takes, at least 1");
        }
        if let Some(loss) = self.losses.iter().find(|loss| loss.rank == 0 || loss.rank >= self.ranks) {
            let text = "only ranks from 1 to the last can be lost: without rank 0 the run ends";
            return range("losses.rank", f64::from(loss.rank), text);
        }
        self.engines.iter().try_for_each(|(name, engine)| engine.check(name))
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn at_least_one(key: String, value: u32) -> Result<(), DescriptionError> {
    if value > 0 { Ok(()) } else { Err(DescriptionError::Range { key, value: 0.0, range: "write at least 1" }) }
}

fn share(key: String, value: f64) -> Result<(), DescriptionError> {
    let range = "write a share from 0 to 1";
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(DescriptionError::Range { key, value, range }) }
}

fn not_negative(key: String, value: f64) -> Result<(), DescriptionError> {
    /// A hundred years: beyond, sums of times overflow.
    const LONGEST: f64 = 3.2e9;
    let range = "write a number from 0, in seconds where it is a time";
    if (0.0..LONGEST).contains(&value) { Ok(()) } else { Err(DescriptionError::Range { key, value, range }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_as_many_pages_and_slow_ranks_as_it_says() {
        let text = "ranks = 10\npages = 101\nslow_ranks = 0.3\nslow_factor = 2.0\nroles = \"4*chandra,deepseek\"\n";
        let (cluster, _) = Description::from_toml(text).unwrap().cluster().unwrap();
        assert_eq!(cluster.page_counts, [40, 40, 21]);
        let Service::Shared(service) = cluster.service else { panic!() };
        assert_eq!((service.slowness.len(), service.engines.len(), cluster.credits), (3, 2, 128));
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_remedy() {
        let refused = |text: &str| match Description::from_toml(text) {
            Ok(description) => description.cluster().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        for (text, expected) in [
            ("rank = 3", "unknown field `rank`"),
            ("ranks = 0", "ranks is 0: write at least 1"),
            ("blank = 1.5", "blank is 1.5: write a share from 0 to 1"),
            ("slow_factor = 0.5", "at least 1"),
            ("losses = [{ rank = 0, at = 5 }]", "without rank 0 the run ends"),
            ("[engines.chandra]\npage_floor = -1.0", "engines.chandra.page_floor is -1: write a number from 0"),
            ("roles = \"deepseek/surya-2\"\nstages = [\"chandra\"]", "no stage"),
            ("[engines.chandra]\npage_floor = 0.0\npage_each = 0.0\npage_prefill = 0.0", "a page takes some time"),
        ] {
            let message = refused(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
