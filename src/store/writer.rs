//! The store thread of a rank: journal with group commit, sealing when the journal is full.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    error::{Context, Result, StoreError},
    journal::{JournalWriter, Opening, Provenance},
    layout::{Layout, StoreFile},
    seal::{Sealed, seal},
};
use crate::model::{Document, LeaseId, PageRecord, PageRef, RankId, Verdict, configuration};

/// Records that may wait for the store thread; it is away for seconds only while it seals.
const QUEUE: usize = 256;

/// A record that is on the disk: its verdict may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The page.
    pub page: PageRef,
    /// The assignment.
    pub lease: LeaseId,
    /// How the page ended.
    pub verdict: Verdict,
}

/// What the store thread tells.
#[derive(Debug)]
pub enum StoreEvent {
    /// These records are on the disk, in the order they were appended.
    Durable(Vec<Durable>),
    /// A journal became a shard.
    Sealed(Sealed),
    /// The thread has stopped. What was not reported durable may be lost and must be read again.
    Failed(StoreError),
}

/// What a store thread did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterSummary {
    /// Records made durable.
    pub pages: u64,
    /// Shards sealed.
    pub shards: u64,
    /// Times the disk was waited for.
    pub syncs: u64,
}

/// The handle of a rank's store thread.
#[derive(Debug)]
pub struct Writer {
    layout: Layout,
    documents: Arc<[Document]>,
    queue: Option<SyncSender<PageRecord>>,
    thread: Option<JoinHandle<Option<WriterSummary>>>,
}

impl Writer {
    /// Starts the store thread of `rank`. Rank 0 has called [`super::recover()`] before, so that no other process
    /// writes below `run_directory/store`. `documents` is the plan: shards name the documents of their pages.
    ///
    /// `on_event` is called on the store thread and should only hand the event on.
    ///
    /// # Errors
    /// The directory cannot be made or listed, or the thread cannot be started.
    pub fn start(
        run_directory: &Path,
        rank: RankId,
        settings: &configuration::Store,
        provenance: Provenance,
        documents: Arc<[Document]>,
        on_event: impl FnMut(StoreEvent) + Send + 'static,
    ) -> Result<Writer> {
        let layout = Layout::new(run_directory);
        let store = layout.store();
        std::fs::create_dir_all(&store).doing("create directory", &store)?;
        let (queue, records) = sync_channel(QUEUE);
        let mut worker = StoreThread {
            next: StoreFile { rank, sequence: layout.next_sequence(rank)? },
            layout: layout.clone(),
            settings: settings.clone(),
            provenance,
            documents: Arc::clone(&documents),
            on_event,
            journal: None,
            waiting: Vec::new(),
            due: None,
            summary: WriterSummary::default(),
        };
        let thread = thread::Builder::new()
            .name(format!("store-{}", rank.0))
            .spawn(move || match worker.work(&records) {
                Ok(()) => Some(worker.summary),
                Err(error) => {
                    tracing::error!(%error, "the store thread stops");
                    (worker.on_event)(StoreEvent::Failed(error));
                    None
                }
            })
            .doing("start the store thread of", &store)?;
        Ok(Writer { layout, documents, queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a record. Blocks while the queue is full, which happens only while the thread seals or the disk is
    /// slow: call it from a thread that may wait.
    ///
    /// # Errors
    /// The page is not in the plan, or the store thread has stopped.
    pub fn append(&self, record: PageRecord) -> Result<()> {
        if document_of(&self.documents, &record).is_none() {
            return Err(StoreError::UnknownDocument { page: record.page, documents: self.documents.len() });
        }
        match &self.queue {
            Some(queue) => queue.send(record).map_err(|_| self.stopped()),
            None => Err(self.stopped()),
        }
    }

    /// Makes everything durable, seals the journal and ends the thread.
    ///
    /// # Errors
    /// The thread has stopped before; its event says why.
    pub fn finish(mut self) -> Result<WriterSummary> {
        self.join().ok_or_else(|| self.stopped())
    }

    fn join(&mut self) -> Option<WriterSummary> {
        self.queue = None;
        self.thread.take()?.join().ok().flatten()
    }

    fn stopped(&self) -> StoreError {
        StoreError::Stopped { path: self.layout.store() }
    }
}

impl Drop for Writer {
    /// Waits for the thread: what was appended becomes durable even where `finish` was not reached.
    fn drop(&mut self) {
        self.join();
    }
}

fn document_of<'a>(documents: &'a [Document], record: &PageRecord) -> Option<&'a Document> {
    let document = documents.get(record.page.document.index())?;
    (document.id == record.page.document && record.page.page.0 < document.pages()).then_some(document)
}

/// State of the store thread.
struct StoreThread<F> {
    layout: Layout,
    settings: configuration::Store,
    provenance: Provenance,
    documents: Arc<[Document]>,
    on_event: F,
    journal: Option<(StoreFile, JournalWriter)>,
    next: StoreFile,
    /// Records in the journal's buffer, and when they must be on the disk.
    waiting: Vec<Durable>,
    due: Option<Instant>,
    summary: WriterSummary,
}

impl<F: FnMut(StoreEvent)> StoreThread<F> {
    /// Works until the queue is closed.
    fn work(&mut self, records: &Receiver<PageRecord>) -> Result<()> {
        loop {
            let wait = self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            match records.recv_timeout(wait) {
                Ok(record) => self.append(&record)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let full = self.waiting.len() >= self.settings.sync_records.get() as usize;
            if full || self.due.is_some_and(|due| due <= Instant::now()) {
                self.sync()?;
            }
        }
        self.sync()?;
        self.seal()
    }

    fn append(&mut self, record: &PageRecord) -> Result<()> {
        let Some(document) = document_of(&self.documents, record) else {
            return Err(StoreError::UnknownDocument { page: record.page, documents: self.documents.len() });
        };
        if self.journal.is_none() {
            let opening = Opening {
                rank: self.next.rank,
                sequence: self.next.sequence,
                created_unix_ns: unix_nanoseconds(),
                provenance: self.provenance.clone(),
            };
            let journal = JournalWriter::create(&self.layout.journal(self.next), &opening)?;
            self.journal = Some((self.next, journal));
            self.next.sequence += 1;
        }
        if let Some((_, journal)) = &mut self.journal {
            journal.append(record, document)?;
        }
        self.due.get_or_insert_with(|| Instant::now() + self.settings.sync_interval);
        self.waiting.push(Durable { page: record.page, lease: record.lease, verdict: record.verdict });
        Ok(())
    }

    /// Group commit: waits for the disk, then tells.
    fn sync(&mut self) -> Result<()> {
        self.due = None;
        let Some((_, journal)) = &mut self.journal else { return Ok(()) };
        if self.waiting.is_empty() {
            return Ok(());
        }
        journal.sync()?;
        let size = journal.len();
        self.summary.syncs += 1;
        self.summary.pages += self.waiting.len() as u64;
        (self.on_event)(StoreEvent::Durable(std::mem::take(&mut self.waiting)));
        if size >= self.settings.shard.as_u64() { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<()> {
        let Some((file, journal)) = self.journal.take() else { return Ok(()) };
        drop(journal);
        let started = Instant::now();
        let sealed = seal(&self.layout, file)?;
        tracing::info!(journal = %sealed.journal.display(), pages = sealed.pages, elapsed = ?started.elapsed(), "sealed");
        self.summary.shards += 1;
        (self.on_event)(StoreEvent::Sealed(sealed));
        Ok(())
    }
}

fn unix_nanoseconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}
