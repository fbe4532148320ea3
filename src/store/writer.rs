//! The store thread of a rank: journal with group commit, sealing when the journal is full.
//!
//! A full journal is sealed on a thread of its own, one at a time, while the next journal takes the records. A journal
//! that is full before the sealing has ended grows on until then.

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
    hold::Hold,
    journal::{JournalWriter, Opening, Provenance},
    layout::{Layout, StoreFile},
    seal::{Sealed, seal_held},
};
use crate::model::{Document, LeaseId, PageRecord, PageRef, RankId, Verdict, configuration};

/// Records that may wait for the store thread; it is away only while the disk syncs.
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

/// What the store thread is told.
#[derive(Debug)]
enum Message {
    Record(Box<PageRecord>),
    /// The sealing thread has ended: its result can be joined.
    SealingEnded,
    /// No record follows.
    Finish,
}

/// Tells the store thread that the sealing thread ends, also when it panics.
struct TellEnd(SyncSender<Message>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        // A store thread that has failed does not listen any more; it joins us.
        let _ = self.0.send(Message::SealingEnded);
    }
}

/// The handle of a rank's store thread.
#[derive(Debug)]
pub struct Writer {
    layout: Layout,
    documents: Arc<[Document]>,
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<Option<WriterSummary>>>,
}

impl Writer {
    /// Starts the store thread of `rank`. What earlier starts left has been recovered before ([`super::recover()`]),
    /// so that no other process writes below `run_directory/store`. `documents` is the plan: shards name the documents of their pages.
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
        let (queue, messages) = sync_channel(QUEUE);
        let mut worker = StoreThread {
            next: StoreFile { rank, sequence: layout.next_sequence(rank)? },
            layout: layout.clone(),
            settings: settings.clone(),
            provenance,
            documents: Arc::clone(&documents),
            on_event,
            journal: None,
            queue: queue.clone(),
            sealing: None,
            finishing: false,
            waiting: Vec::new(),
            due: None,
            summary: WriterSummary::default(),
        };
        let thread = thread::Builder::new()
            .name(format!("store-{}", rank.0))
            .spawn(move || match worker.work(&messages) {
                Ok(()) => Some(worker.summary),
                Err(error) => {
                    tracing::error!(%error, "the store stops: no further record can be written");
                    // Nobody is left waiting for room in the queue, the sealing thread included.
                    drop(messages);
                    (worker.on_event)(StoreEvent::Failed(error));
                    if let Err(error) = worker.join_sealing() {
                        tracing::error!(%error, "sealing the last journal failed too");
                    }
                    None
                }
            })
            .doing("start the store thread of", &store)?;
        Ok(Writer { layout, documents, queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a record. Blocks while the queue is full, which happens only while the disk is slow: call it from a
    /// thread that may wait.
    ///
    /// # Errors
    /// The page is not in the plan, or the store thread has stopped.
    pub fn append(&self, record: PageRecord) -> Result<()> {
        if document_of(&self.documents, &record).is_none() {
            return Err(StoreError::UnknownDocument { page: record.page, documents: self.documents.len() });
        }
        match &self.queue {
            Some(queue) => queue.send(Message::Record(Box::new(record))).map_err(|_| self.stopped()),
            None => Err(self.stopped()),
        }
    }

    /// Makes everything durable, waits for a sealing under way, seals the journal and ends the thread.
    ///
    /// # Errors
    /// The thread has stopped before; its event says why.
    pub fn finish(mut self) -> Result<WriterSummary> {
        self.join().ok_or_else(|| self.stopped())
    }

    fn join(&mut self) -> Option<WriterSummary> {
        if let Some(queue) = self.queue.take() {
            // A thread that has stopped takes no message; it is joined all the same.
            let _ = queue.send(Message::Finish);
        }
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

/// A sealing under way.
struct Sealing {
    /// Durable records of the journal.
    records: u64,
    thread: JoinHandle<Result<Sealed>>,
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
    /// For the sealing thread to tell its end.
    queue: SyncSender<Message>,
    sealing: Option<Sealing>,
    finishing: bool,
    /// Records in the journal's buffer, and when they must be on the disk.
    waiting: Vec<Durable>,
    due: Option<Instant>,
    summary: WriterSummary,
}

impl<F: FnMut(StoreEvent)> StoreThread<F> {
    /// Works until it is told to finish and all is sealed.
    fn work(&mut self, messages: &Receiver<Message>) -> Result<()> {
        while !(self.finishing && self.journal.is_none() && self.sealing.is_none()) {
            let wait = self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            match messages.recv_timeout(wait) {
                Ok(Message::Record(record)) => self.append(&record)?,
                Ok(Message::SealingEnded) => self.join_sealing()?,
                Ok(Message::Finish) => self.finishing = true,
                // We hold a sender, so it is never disconnected.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let full = self.waiting.len() >= self.settings.sync_records.get() as usize;
            if full || self.finishing || self.due.is_some_and(|due| due <= Instant::now()) {
                self.sync()?;
            }
            self.seal_if_full()?;
        }
        Ok(())
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
        self.summary.syncs += 1;
        self.summary.pages += self.waiting.len() as u64;
        (self.on_event)(StoreEvent::Durable(std::mem::take(&mut self.waiting)));
        Ok(())
    }

    /// Seals the journal where it is full or no record follows, all of it is on the disk, and no sealing is under way.
    fn seal_if_full(&mut self) -> Result<()> {
        let full = |journal: &JournalWriter| journal.len() >= self.settings.shard.as_u64();
        let ready = self.waiting.is_empty() && self.sealing.is_none();
        if let Some((file, journal)) = self.journal.take_if(|(_, journal)| ready && (self.finishing || full(journal))) {
            let records = journal.records();
            self.sealing = Some(Sealing { records, thread: self.start_sealing(file, journal.into_hold())? });
        }
        Ok(())
    }

    fn start_sealing(&self, file: StoreFile, hold: Hold) -> Result<JoinHandle<Result<Sealed>>> {
        let (layout, end) = (self.layout.clone(), TellEnd(self.queue.clone()));
        let thread = thread::Builder::new().name(format!("seal-{}", file.rank.0));
        let work = move || {
            let _end = end;
            let started = Instant::now();
            let sealed = seal_held(&layout, file, &hold, &mut |_| ())?;
            let elapsed = started.elapsed();
            tracing::info!(journal = %sealed.journal.display(), pages = sealed.pages, seconds = elapsed.as_secs_f64(), "sealed");
            Ok(sealed)
        };
        thread.spawn(work).doing("start a thread that seals in", &self.layout.store())
    }

    /// Takes the result of the sealing under way, if any, and tells it. All records were told durable, so all must be in
    /// the shard.
    fn join_sealing(&mut self) -> Result<()> {
        let Some(Sealing { records, thread }) = self.sealing.take() else { return Ok(()) };
        let panicked = |_| Err(StoreError::SealingPanicked { path: self.layout.store() });
        let sealed = thread.join().unwrap_or_else(panicked)?;
        let lost = (sealed.pages < records).then(|| StoreError::RecordsLost {
            path: sealed.kept.as_ref().map_or(&sealed.journal, |kept| &kept.path).clone(),
            records: records - sealed.pages,
        });
        self.summary.shards += 1;
        (self.on_event)(StoreEvent::Sealed(sealed));
        lost.map_or(Ok(()), Err)
    }
}

fn unix_nanoseconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}
