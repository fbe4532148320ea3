//! What the tasks of a rank's pages share, and the events that they send to the main thread.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    comm::Returned,
    corpus::SourceIntegrity,
    imaging::Pool,
    model::{
        Attempt, Capabilities, Document, Engine, ImageFacts, MachineFault, PageRecord, RankId, RankSummary, Settlement,
        Verdict, configuration::Configuration,
    },
    server::{Service, ServiceEvent},
    store::{Recovered, Refused, StoreError, Writer, fitted},
};

use super::{
    answered_texts::AnsweredTexts, error::WorkerError, image_memory::ImageMemory, mutex::lock, rank_engine::RankEngine,
};

/// An event inside a rank, sent to its main thread.
pub(super) enum LocalEvent {
    EngineReady(Engine, Box<Capabilities>),
    EngineLost(Engine, String),
    /// The records of these settlements are on disk.
    Durable(Vec<Settlement>),
    /// The store thread has stopped. The records of these settlements will not reach the disk.
    StoreFailed(String, Vec<Settlement>),
    Returned(Returned),
    /// SIGTERM or SIGINT.
    Signal,
    /// The records of this rank's share of earlier starts, or why they cannot be read.
    Recovered(Result<Recovered, WorkerError>),
    /// This rank is ready to read pages, or cannot start up.
    StartedUp(Result<Box<Context>, WorkerError>),
    /// The shards are sealed and the servers stopped, or sealing failed.
    Finished(Result<RankSummary, WorkerError>),
}

impl LocalEvent {
    /// An event of the server of this engine.
    pub(super) fn of_service(engine: Engine, event: ServiceEvent) -> LocalEvent {
        match event {
            ServiceEvent::Ready(server) => LocalEvent::EngineReady(engine, server),
            ServiceEvent::Lost(reason) => LocalEvent::EngineLost(engine, reason),
        }
    }
}

/// What the tasks of a rank's pages share.
pub(super) struct Context {
    pub(super) rank: RankId,
    pub(super) configuration: Configuration,
    pub(super) run_directory: PathBuf,
    pub(super) documents: Arc<[Document]>,
    pub(super) originals: Arc<SourceIntegrity>,
    pub(super) renderers: Pool,
    pub(super) image_memory: ImageMemory,
    pub(super) engines: BTreeMap<Engine, RankEngine>,
    /// The receipt of a record is its settlement, which is reported once the record is on disk.
    pub(super) writer: Writer<Settlement>,
    pub(super) events: Sender<LocalEvent>,
    /// Set to recall all unsettled pages.
    pub(super) recall: watch::Sender<bool>,
    pub(super) summary: Mutex<RankSummary>,
    pub(super) answered_texts: AnsweredTexts,
}

impl Context {
    /// An engine of this rank. A page for an engine that it does not serve is returned.
    pub(super) fn engine(&self, engine: Engine) -> Result<&RankEngine, MachineFault> {
        self.engines.get(&engine).ok_or(MachineFault::ConnectionLost)
    }

    /// Gives the record to the store. The verdict is reported once the record is on disk. The first `earlier` attempts
    /// are in a record of an earlier start; rank 0 finds them there, so they are not sent.
    pub(super) fn keep(&self, record: PageRecord, earlier: usize) {
        let record = fitted(record);
        let attempts = match record.verdict {
            Verdict::Failed(_) => without_answers(&record.attempts[earlier.min(record.attempts.len())..]),
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => Vec::new(),
        };
        let settlement = Settlement {
            page: record.page,
            lease: record.lease,
            verdict: record.verdict,
            engine: record.engine,
            attempts,
            remaining: record.remaining,
        };
        // The store blocks while the disk is slow.
        let kept = tokio::task::block_in_place(|| self.writer.append(record, settlement));
        if let Err(Refused { error, receipt }) = kept {
            tracing::warn!("the page is returned to rank 0: {error}");
            let _ = self.events.send(LocalEvent::Returned(give_back(receipt)));
        }
    }

    /// Hands the servers to `release`, then seals the open journal. No page is in progress any more.
    pub(super) fn close(self, release: impl FnOnce(BTreeMap<Engine, Service>)) -> Result<RankSummary, WorkerError> {
        let mut summary = self.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.servers = self.engines.iter().map(|(engine, entry)| (*engine, entry.limiter.totals())).collect();
        release(self.engines.into_iter().map(|(engine, entry)| (engine, entry.service)).collect());
        match self.writer.finish() {
            Ok(written) => {
                summary.pages = written.pages;
                summary.shards = written.shards as u32;
                Ok(summary)
            }
            // The failure was reported before and its pages were returned. The journal keeps the records that reached
            // the disk.
            Err(error @ StoreError::Stopped { .. }) => {
                tracing::warn!("{error}");
                summary.unsealed = true;
                Ok(summary)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the times of an image to the summary.
    pub(super) fn count_image(&self, image: &ImageFacts) {
        let mut summary = lock(&self.summary);
        summary.rendering += Duration::from_micros(u64::from(image.render_micros));
        summary.encoding += Duration::from_micros(u64::from(image.encode_micros));
    }

    /// Counts the page if it was read with a remark.
    pub(super) fn count_remark(&self, record: &PageRecord) {
        if record.verdict.is_read() && record.parts.iter().any(|part| !record.remark_on(part).is_empty()) {
            lock(&self.summary).remarked += 1;
        }
    }

    /// Adds the attempts on a page to the summary. The first `prior` of them were counted before.
    pub(super) fn count_attempts(&self, attempts: &[Attempt], prior: usize) {
        let mut summary = lock(&self.summary);
        for (place, attempt) in attempts.iter().enumerate().skip(prior) {
            let is_retry = attempts[..place].iter().any(|earlier| attempt.shown.shares_place(earlier.shown));
            summary.tokens.entry(attempt.stage.engine()).or_default().count(attempt, is_retry);
            if !summary.served_by.contains(&attempt.served_by) {
                summary.served_by.push(attempt.served_by.clone());
            }
        }
    }
}

/// Returns a page whose record will not reach the disk.
pub(super) fn give_back(settlement: Settlement) -> Returned {
    let Settlement { page, lease, attempts, .. } = settlement;
    Returned { page, lease, fault: MachineFault::Draining, attempts, text: None }
}

/// Copies of attempts for messages: without answers, and with reasons of limited length.
pub(super) fn without_answers(attempts: &[Attempt]) -> Vec<Attempt> {
    const LONGEST_REASON: usize = 500;
    let shorten = |reason: &str| reason.chars().take(LONGEST_REASON).collect();
    let copy =
        |attempt: &Attempt| Attempt { answer: String::new(), reason: shorten(&attempt.reason), ..attempt.clone() };
    attempts.iter().map(copy).collect()
}
