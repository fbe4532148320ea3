//! What the tasks of a rank's pages share, and what they tell the main thread.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    comm::Returned,
    corpus::Originals,
    engine::Profile,
    imaging::Pool,
    model::{
        Attempt, Capabilities, Document, Engine, EngineSet, ImageFacts, LeaseId, MachineFault, PageRecord, PageRef,
        RankId, RankSummary, Settlement, Verdict, configuration::Configuration,
    },
    server::Service,
    store::{Durable, Recovered, Writer},
};

use super::{error::RunError, image_memory::ImageMemory, pacing::Pacer, slots::Slot};

/// What happens inside a rank, told to its main thread.
pub(super) enum LocalEvent {
    EngineReady(Engine, Box<Capabilities>),
    EngineLost(Engine, String),
    Durable(Vec<Durable>),
    StoreFailed(String),
    Returned(Returned),
    /// SIGTERM or SIGINT.
    Signal,
    /// How the pages of this rank's share stand, or why that cannot be known.
    Recovered(Result<Recovered, RunError>),
    /// This rank is ready to read pages, or cannot.
    Begun(Result<Box<Context>, RunError>),
    /// All is sealed and stopped, or could not be.
    Finished(Result<RankSummary, RunError>),
}

/// What the tasks of a rank's pages share.
pub(super) struct Context {
    pub(super) rank: RankId,
    pub(super) configuration: Configuration,
    pub(super) run_directory: PathBuf,
    pub(super) documents: Arc<[Document]>,
    pub(super) originals: Arc<Originals>,
    pub(super) renderers: Pool,
    pub(super) image_memory: ImageMemory,
    pub(super) engines: BTreeMap<Engine, RankEngine>,
    pub(super) writer: Writer,
    pub(super) events: Sender<LocalEvent>,
    /// Set to call all unsettled pages back.
    pub(super) recall: watch::Sender<bool>,
    /// Pages whose records are not on the disk yet, with what will be told of them.
    pub(super) unsynced: Mutex<BTreeMap<(PageRef, LeaseId), Unsynced>>,
    /// The store thread has stopped: nothing more will reach the disk.
    pub(super) store_failed: Arc<AtomicBool>,
    pub(super) summary: Mutex<RankSummary>,
}

/// What is told of a record besides its verdict.
#[derive(Default)]
pub(super) struct Unsynced {
    attempts: Vec<Attempt>,
    ahead: EngineSet,
}

/// An engine at work on this rank.
pub(super) struct RankEngine {
    pub(super) profile: Arc<Profile>,
    pub(super) service: Service,
    pub(super) pacer: Pacer,
}

impl RankEngine {
    /// A place among the requests in flight on the engine's server.
    pub(super) async fn slot(&self) -> Result<Slot<'_>, MachineFault> {
        self.pacer.slots().acquire().await
    }
}

impl Context {
    /// An engine of this rank; a page for another goes back.
    pub(super) fn engine(&self, engine: Engine) -> Result<&RankEngine, MachineFault> {
        self.engines.get(&engine).ok_or(MachineFault::ConnectionLost)
    }

    /// Gives the record to the store; the verdict is told once it is on the disk. The first `earlier` attempts are in a
    /// record of an earlier start, which goes with the page by itself.
    pub(super) fn keep(&self, record: PageRecord, earlier: usize) {
        let (page, lease) = (record.page, record.lease);
        let attempts = match record.verdict {
            Verdict::Failed(_) => without_answers(&record.attempts[earlier.min(record.attempts.len())..]),
            Verdict::Read | Verdict::Blank => Vec::new(),
        };
        let told = Unsynced { attempts, ahead: record.ahead };
        lock(&self.unsynced).insert((page, lease), told);
        // The store blocks where the disk is slow.
        let kept = tokio::task::block_in_place(|| self.writer.append(record));
        if kept.is_err() || self.store_failed.load(Ordering::SeqCst) {
            // Whoever takes it out of the list gives it back: here, or the main thread when it hears of the failure.
            if let Some(Unsynced { attempts, .. }) = lock(&self.unsynced).remove(&(page, lease)) {
                let fault = MachineFault::Draining;
                let _ = self.events.send(LocalEvent::Returned(Returned { page, lease, fault, attempts, text: None }));
            }
        }
    }

    /// What is told of records that have reached the disk.
    pub(super) fn settlements(&self, records: &[Durable]) -> Vec<Settlement> {
        let mut unsynced = lock(&self.unsynced);
        let settlement = |record: &Durable| {
            let Durable { page, lease, verdict } = *record;
            let Unsynced { attempts, ahead } = unsynced.remove(&(page, lease)).unwrap_or_default();
            Settlement { page, lease, verdict, attempts, ahead }
        };
        records.iter().map(settlement).collect()
    }

    /// After the store has failed: the pages whose records will never reach the disk go back.
    pub(super) fn take_unsynced(&self) -> Vec<Returned> {
        let lost = std::mem::take(&mut *lock(&self.unsynced));
        let give_back = |((page, lease), Unsynced { attempts, .. })| Returned {
            page,
            lease,
            fault: MachineFault::Draining,
            attempts,
            text: None,
        };
        lost.into_iter().map(give_back).collect()
    }

    /// Seals what is left. No page is under way any more.
    pub(super) fn close(self) -> (BTreeMap<Engine, Service>, Result<RankSummary, RunError>) {
        let mut summary = self.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.servers = self.engines.iter().map(|(engine, entry)| (*engine, entry.pacer.books())).collect();
        let services = self.engines.into_iter().map(|(engine, entry)| (engine, entry.service)).collect();
        let summary = match self.writer.finish() {
            Ok(written) => {
                summary.pages = written.pages;
                summary.shards = written.shards as u32;
                Ok(summary)
            }
            // Told before, with its pages given back: the journal keeps what had reached the disk.
            Err(error) if self.store_failed.load(Ordering::SeqCst) => {
                tracing::warn!("{error}");
                summary.unsealed = true;
                Ok(summary)
            }
            Err(error) => Err(error.into()),
        };
        (services, summary)
    }

    /// Adds up what an image cost this rank.
    pub(super) fn count_image(&self, image: &ImageFacts) {
        let mut summary = lock(&self.summary);
        summary.rendering += Duration::from_micros(u64::from(image.render_micros));
        summary.encoding += Duration::from_micros(u64::from(image.encode_micros));
    }

    /// Adds up what attempts on a page cost; `prior` ones at their head were counted before.
    pub(super) fn count_attempts(&self, attempts: &[Attempt], prior: usize) {
        let mut summary = lock(&self.summary);
        for (place, attempt) in attempts.iter().enumerate().skip(prior) {
            let is_retry = attempts[..place].iter().any(|earlier| repeats(attempt, earlier));
            summary.tokens.entry(attempt.served_by.engine).or_default().count(attempt, is_retry);
            if !summary.served_by.contains(&attempt.served_by) {
                summary.served_by.push(attempt.served_by.clone());
            }
        }
    }
}

/// Whether an attempt asked for what an earlier one had asked for; else it was for another part of the page.
fn repeats(attempt: &Attempt, earlier: &Attempt) -> bool {
    let (now, before) = (attempt.shown.bbox, earlier.shown.bbox);
    now.lies_mostly_in(before) || before.lies_mostly_in(now)
}

/// The copies of attempts that travel: without answers, and with reasons of a bounded length.
pub(super) fn without_answers(attempts: &[Attempt]) -> Vec<Attempt> {
    const LONGEST_REASON: usize = 500;
    let shorten = |reason: &str| reason.chars().take(LONGEST_REASON).collect();
    let copy =
        |attempt: &Attempt| Attempt { answer: String::new(), reason: shorten(&attempt.reason), ..attempt.clone() };
    attempts.iter().map(copy).collect()
}

/// A panic aborts the process, so a lock is never seen poisoned.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
