//! The report at the end of a run, for people and as `report.json`.

use std::{collections::BTreeMap, fmt::Write, io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        Counts, EngineName, EngineNames, FailureClass, Outcome, RankId, RankSummary, ServedBy, ServerKind, ServerLoad,
        ServerTime, StopReason, TokenTotals,
    },
    sys::{ExitCode, replace},
};

use super::{FIRST_VERSION, REPORT_FILE, RoleSwitchTimes, SERVERS_FILE, VERSION, server_seconds};

/// How a run ended. It determines the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Every page is read or blank, with all its content, and every document has its pages.
    Complete,
    /// Every page is settled, but some pages or documents failed or are not whole.
    CompleteWithFailures,
    /// Stopped early: the same command continues.
    Stopped(StopReason<EngineName>),
}

impl RunOutcome {
    /// The outcome of a schedule over a plan with this many documents that are refused or lack pages.
    pub fn new(outcome: Outcome, names: &EngineNames, counts: &Counts, damaged: u64) -> Self {
        match outcome {
            Outcome::Stopped(reason) => RunOutcome::Stopped(reason.named(names)),
            Outcome::Complete if counts.failed_total() + counts.incomplete + damaged == 0 => RunOutcome::Complete,
            Outcome::Complete => RunOutcome::CompleteWithFailures,
        }
    }

    /// The exit code of the run.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            RunOutcome::Complete => ExitCode::Success,
            RunOutcome::CompleteWithFailures => ExitCode::PagesFailed,
            RunOutcome::Stopped(_) => ExitCode::StoppedEarly,
        }
    }
}

/// The documents of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlannedDocuments {
    /// Their number.
    pub number: u64,
    /// Refused documents, by class.
    pub refused: BTreeMap<FailureClass, u64>,
    /// What documents lack that are known to lack pages.
    pub lacking_pages: Vec<String>,
}

/// A server that failed pages which other servers of its engine read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingServer {
    /// Its rank.
    pub rank: RankId,
    /// Its engine.
    pub engine: EngineName,
    /// What became of it.
    pub end: FailingServerEnd,
}

/// What became of a server that failed pages which others read. Its failures do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailingServerEnd {
    /// It was restarted.
    Restarted,
    /// It was restarted, failed further pages that others read, and got no more pages.
    GivenUp,
}

/// The part of one rank in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankFigures {
    /// The rank.
    pub rank: RankId,
    /// Its host.
    pub host: String,
    /// Number of pages whose records it wrote.
    pub pages: u64,
    /// Seconds in which its servers were busy.
    pub busy_seconds: f64,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndReport {
    /// Version of the file's format. Earlier programs wrote none, which means 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Identity of the run directory.
    pub run_id: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// The exit code.
    pub exit_code: ExitCode,
    /// The engines, in the order of the stages. Earlier programs had these two and did not name them.
    #[serde(default = "first_engines")]
    pub engines: Vec<EngineName>,
    /// Number of documents in the plan.
    pub documents: u64,
    /// Refused documents by class.
    pub refused: BTreeMap<FailureClass, u64>,
    /// What documents of the plan lack that are known to lack pages.
    #[serde(default)]
    pub lacking_pages: Vec<String>,
    /// Number of pages in the plan.
    pub pages: u64,
    /// Pages read.
    pub read: u64,
    /// Pages among them that a later engine read after the first had failed.
    pub recovered: u64,
    /// Pages among them of which some content could not be drawn.
    #[serde(default)]
    pub incomplete: u64,
    /// Pages that this start read with a remark: their text is odd.
    #[serde(default)]
    pub remarked: u64,
    /// Blank pages.
    pub blank: u64,
    /// Failed pages by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Pages that were also asked on an idle rank at the end.
    #[serde(default)]
    pub raced: u64,
    /// Pages that are not settled.
    pub left: u64,
    /// Pages that earlier starts settled. They are included above.
    pub restored: u64,
    /// Duration of this start, in seconds.
    pub seconds: f64,
    /// Pages that this start settled per second.
    pub pages_per_second: f64,
    /// Seconds from the moment at which rank 0 could deal the first page (the plan is made, a server is ready) to the
    /// last verdict; `None` where this start settled no page.
    #[serde(default)]
    pub reading_seconds: Option<f64>,
    /// Number of ranks.
    pub ranks: u32,
    /// The part of each rank that was not lost.
    #[serde(default)]
    pub by_rank: Vec<RankFigures>,
    /// Ranks that became silent.
    pub lost_ranks: Vec<RankId>,
    /// Tokens by engine, of this start.
    pub tokens: BTreeMap<EngineName, TokenTotals>,
    /// Time accounting of the servers by engine, summed over all ranks; in the file as seconds.
    #[serde(with = "server_seconds")]
    pub server_time: BTreeMap<EngineName, ServerTime>,
    /// Mean load of the servers, by engine.
    pub server_load: BTreeMap<EngineName, ServerLoad>,
    /// Role switches of ranks.
    #[serde(default, rename = "role_switches", alias = "turns")]
    pub turns: RoleSwitchTimes,
    /// Servers that failed pages which others read.
    #[serde(default)]
    pub failing_servers: Vec<FailingServer>,
    /// Seconds spent rendering and encoding pages, summed over all ranks.
    pub imaging_seconds: f64,
    /// Number of lines that the logs of the ranks lack, because they could not be written in time.
    #[serde(default)]
    pub dropped_log_lines: u64,
    /// Engine, model, profile and prompt that answered.
    pub served_by: Vec<ServedBy>,
}

fn first_engines() -> Vec<EngineName> {
    EngineNames::default().names().to_vec()
}

fn first_version() -> u32 {
    FIRST_VERSION
}

impl EndReport {
    /// The report of a finished schedule.
    pub fn new(
        run_id: &str,
        names: &EngineNames,
        outcome: Outcome,
        counts: &Counts,
        documents: PlannedDocuments,
        elapsed: Duration,
        summaries: &BTreeMap<RankId, RankSummary>,
    ) -> Self {
        let PlannedDocuments { number, refused, lacking_pages } = documents;
        let damaged = refused.values().sum::<u64>() + lacking_pages.len() as u64;
        let outcome = RunOutcome::new(outcome, names, counts, damaged);
        let mut tokens: BTreeMap<EngineName, TokenTotals> = BTreeMap::new();
        let mut server_time: BTreeMap<EngineName, ServerTime> = BTreeMap::new();
        let mut server_load: BTreeMap<EngineName, ServerLoad> = BTreeMap::new();
        let mut served_by: Vec<ServedBy> = Vec::new();
        for summary in summaries.values() {
            for (engine, totals) in &summary.tokens {
                *tokens.entry(names[*engine].clone()).or_default() += *totals;
            }
            for (engine, (time, load)) in &summary.servers {
                *server_time.entry(names[*engine].clone()).or_default() += *time;
                *server_load.entry(names[*engine].clone()).or_default() += *load;
            }
            served_by.extend(summary.served_by.iter().cloned());
        }
        served_by.sort();
        served_by.dedup();
        let seconds = elapsed.as_secs_f64();
        EndReport {
            version: VERSION,
            run_id: run_id.to_owned(),
            exit_code: outcome.exit_code(),
            outcome,
            engines: names.names().to_vec(),
            documents: number,
            refused,
            lacking_pages,
            pages: counts.pages,
            read: counts.read,
            recovered: counts.recovered,
            incomplete: counts.incomplete,
            remarked: summaries.values().map(|summary| summary.remarked).sum(),
            blank: counts.blank,
            failed: counts.failed.clone(),
            raced: 0,
            left: counts.pages - counts.settled(),
            restored: counts.restored,
            seconds,
            pages_per_second: (counts.settled() - counts.restored) as f64 / seconds.max(0.001),
            reading_seconds: None,
            ranks: summaries.len() as u32,
            by_rank: Vec::new(),
            lost_ranks: Vec::new(),
            tokens,
            server_time,
            server_load,
            turns: RoleSwitchTimes::default(),
            failing_servers: Vec::new(),
            imaging_seconds: summaries.values().map(|one| (one.rendering + one.encoding).as_secs_f64()).sum(),
            dropped_log_lines: summaries.values().map(|one| one.dropped_log_lines).sum(),
            served_by,
        }
    }

    /// Adds the role switches.
    pub fn with_turns(self, turns: RoleSwitchTimes) -> Self {
        EndReport { turns, ..self }
    }

    /// Adds the time of reading and the part of each rank.
    pub fn with_reading(self, reading: Option<Duration>, by_rank: Vec<RankFigures>) -> Self {
        EndReport { reading_seconds: reading.map(|reading| reading.as_secs_f64()), by_rank, ..self }
    }

    /// Adds the number of pages that were also asked on an idle rank.
    pub fn with_raced(self, raced: u64) -> Self {
        EndReport { raced, ..self }
    }

    /// Adds the servers that failed pages which others read.
    pub fn with_failing_servers(self, failing_servers: Vec<FailingServer>) -> Self {
        EndReport { failing_servers, ..self }
    }

    /// Adds the ranks that were lost.
    pub fn without(self, lost_ranks: Vec<RankId>) -> Self {
        EndReport { ranks: self.ranks + lost_ranks.len() as u32, lost_ranks, ..self }
    }

    /// Whether an earlier start had settled every page: its report has more to say.
    pub fn did_nothing(&self) -> bool {
        self.restored == self.pages
    }

    /// Writes `report.json` atomically.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub fn write(&self, run_directory: &Path) -> io::Result<()> {
        replace(&run_directory.join(REPORT_FILE), &serde_json::to_vec_pretty(self)?)
    }

    /// How many pages the first engine read, and how many the later ones.
    fn readers(&self) -> String {
        let Some((first, later)) = self.engines.split_first() else { return String::new() };
        let by_first = format!("{first} {}", self.read - self.recovered);
        if later.is_empty() {
            return by_first;
        }
        let later: Vec<_> = later.iter().map(EngineName::as_str).collect();
        format!("{by_first}, {} {} after {first} failed", later.join(" or "), self.recovered)
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let failed: u64 = self.failed.values().sum();
        let refused: u64 = self.refused.values().sum();
        let _ = writeln!(
            text,
            "{} pages of {} documents on {} ranks in {:.1} s ({:.2} pages/s)",
            self.pages, self.documents, self.ranks, self.seconds, self.pages_per_second
        );
        let _ = writeln!(
            text,
            "  read {} ({}), blank {}, failed {failed}, left {}{}",
            self.read,
            self.readers(),
            self.blank,
            self.left,
            if self.restored > 0 { format!("; {} by an earlier start", self.restored) } else { String::new() },
        );
        if self.remarked > 0 {
            let _ = writeln!(
                text,
                "  read with a remark: {} (`remark` in the JSONL export says what is odd)",
                self.remarked
            );
        }
        if self.raced > 0 {
            let _ = writeln!(text, "  asked on two ranks at the end: {} (the first reading counts)", self.raced);
        }
        for (class, pages) in &self.failed {
            let _ = writeln!(text, "  failed pages: {class} {pages}");
        }
        if self.incomplete > 0 {
            let _ = writeln!(
                text,
                "  incomplete: {} of the pages read, because content of them could not be drawn; each record says what",
                self.incomplete
            );
        }
        for lacking in &self.lacking_pages {
            let _ = writeln!(text, "  pages are missing: {lacking}");
        }
        if refused > 0 {
            let classes: Vec<_> = self.refused.iter().map(|(class, count)| format!("{class} {count}")).collect();
            let _ = writeln!(text, "  documents that cannot be read: {refused} ({})", classes.join(", "));
        }
        for (engine, totals) in &self.tokens {
            let _ = writeln!(text, "  {engine}: {totals}");
        }
        for (engine, time) in &self.server_time {
            let _ = writeln!(text, "  {engine} servers, {:.0} s: {time}", time.total().as_secs_f64());
        }
        for (engine, load) in &self.server_load {
            let _ = writeln!(text, "  {engine} servers, {load}");
        }
        if self.turns.number > 0 {
            let _ = writeln!(text, "  {}", self.turns);
        }
        for FailingServer { rank, engine, end } in &self.failing_servers {
            let end = match end {
                FailingServerEnd::Restarted => "it was restarted",
                FailingServerEnd::GivenUp => "it was restarted, failed more of them, and got no more pages",
            };
            let _ = writeln!(text, "  the {engine} server of {rank} failed pages that other servers read: {end}");
        }
        for served in &self.served_by {
            let _ = writeln!(
                text,
                "  {} served by {} ({}, profile {}, prompt {})",
                served.engine,
                served.model,
                served.version,
                served.profile,
                served.prompt_sha256.get(..12).unwrap_or_default()
            );
        }
        if !self.served_by.is_empty() {
            let _ = writeln!(text, "  what these servers can do: {SERVERS_FILE}");
        }
        if self.served_by.iter().any(|served| served.server != ServerKind::Model) {
            let _ = writeln!(text, "  NOTE: a stand-in server read these pages, not the models. Every record says so.");
        }
        if self.dropped_log_lines > 0 {
            let lines = self.dropped_log_lines;
            let _ = writeln!(
                text,
                "  the logs lack {lines} lines: the disk of RUNDIR/logs, or the reader of standard error, was too slow"
            );
        }
        if let RunOutcome::Stopped(reason) = &self.outcome {
            let _ = writeln!(text, "  stopped early ({reason}): run the same command again to continue");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Engine;

    #[test]
    fn exit_codes_tell_the_truth() {
        let names = EngineNames::default();
        let mut counts = Counts { pages: 2, read: 2, ..Counts::default() };
        assert_eq!(RunOutcome::new(Outcome::Complete, &names, &counts, 0).exit_code(), ExitCode::Success);
        assert_eq!(RunOutcome::new(Outcome::Complete, &names, &counts, 1).exit_code(), ExitCode::PagesFailed);
        counts.failed.insert(FailureClass::Loop, 1);
        assert_eq!(RunOutcome::new(Outcome::Complete, &names, &counts, 0).exit_code(), ExitCode::PagesFailed);
        let stopped = Outcome::Stopped(StopReason::NoEngine(Engine::FIRST));
        assert_eq!(RunOutcome::new(stopped, &names, &counts, 0).exit_code(), ExitCode::StoppedEarly);
    }

    fn report() -> EndReport {
        let time = ServerTime {
            busy: Duration::from_millis(8_250),
            idle_no_pages: Duration::from_millis(1_500),
            ..ServerTime::default()
        };
        let servers = BTreeMap::from([(Engine::FIRST, (time, ServerLoad::default()))]);
        let summary = RankSummary { servers, ..RankSummary::default() };
        let counts = Counts { pages: 2, read: 2, ..Counts::default() };
        let mut turns = RoleSwitchTimes::default();
        turns.add(Duration::from_secs(3));
        let documents = PlannedDocuments { number: 1, ..PlannedDocuments::default() };
        EndReport::new(
            "r",
            &EngineNames::default(),
            Outcome::Complete,
            &counts,
            documents,
            Duration::from_secs(10),
            &BTreeMap::from([(RankId::COORDINATOR, summary)]),
        )
        .with_turns(turns)
    }

    #[test]
    fn times_are_numbers_of_seconds_in_the_file() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["version"], 2);
        assert_eq!(json["server_time"]["chandra"]["busy"], 8.25);
        assert_eq!(json["server_time"]["chandra"]["idle_no_pages"], 1.5);
        assert_eq!(json["role_switches"], serde_json::json!({"count": 1, "seconds": 3.0, "longest_seconds": 3.0}));
        assert_eq!(serde_json::from_value::<EndReport>(json).unwrap(), report());
    }

    #[test]
    fn a_report_of_an_earlier_program_is_read() {
        let earlier = include_str!("../../tests/data/report/report-1.json");
        assert_eq!(serde_json::from_str::<EndReport>(earlier).unwrap(), EndReport { version: 1, ..report() });
    }
}
