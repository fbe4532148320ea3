//! The store thread of a rank: writes the journal with group commit, and seals it when it is full.
//!
//! A separate thread seals a full journal while the next journal takes the records. One journal is sealed at a time: a
//! journal that is full before the sealing ends grows until then.
//!
//! Every record comes with a receipt, a value that the caller chooses. The writer returns it exactly once: in
//! [`StoreEvent::Durable`], in [`StoreEvent::Failed`], or at once in [`Refused`].

use std::{
    fmt,
    panic::resume_unwind,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    error::{Context, Result, StoreError},
    journal::{JournalHeader, JournalWriter, Provenance},
    journal_lock::JournalLock,
    layout::{Layout, StoreFile},
    queue::Queue,
    seal::{Sealed, seal_locked},
};
use crate::model::{Document, PageRecord, RankId, configuration};

/// Records that may wait for the store thread, which takes none while the disk syncs.
const QUEUE: usize = 256;

/// An event of the store thread.
#[derive(Debug)]
pub enum StoreEvent<R> {
    /// The records with these receipts are on the disk, in the order they were appended.
    Durable(Vec<R>),
    /// A journal became a shard.
    Sealed(Sealed),
    /// The thread has stopped and takes no more records. The records with these receipts may be lost; their pages must
    /// be read again.
    Failed(StoreError, Vec<R>),
}

/// A record that the writer did not take.
#[derive(Debug)]
pub struct Refused<R> {
    /// The reason.
    pub error: StoreError,
    /// The receipt of the record.
    pub receipt: R,
}

impl<R> fmt::Display for Refused<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<R: fmt::Debug> std::error::Error for Refused<R> {}

/// The counts of a store thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterSummary {
    /// Records made durable.
    pub pages: u64,
    /// Shards sealed.
    pub shards: u64,
    /// How many times the journal was synced to the disk.
    pub syncs: u64,
}

/// A message to the store thread.
#[derive(Debug)]
enum Message<R> {
    Record(Box<PageRecord>, R),
    /// The sealing thread has ended: its result can be joined.
    SealingEnded,
    /// No record follows.
    Finish,
}

/// Sends [`Message::SealingEnded`] when the sealing thread ends, also when it panics.
struct SendEnd<R>(Arc<Queue<Message<R>>>);

impl<R> Drop for SendEnd<R> {
    fn drop(&mut self) {
        // A store thread that has failed takes no message; it joins this thread without one.
        let _ = self.0.push(Message::SealingEnded);
    }
}

/// Closes the queue when the store thread ends, also when it panics: otherwise a `push` to the full queue would wait
/// without end.
struct CloseAtEnd<R>(Arc<Queue<Message<R>>>);

impl<R> Drop for CloseAtEnd<R> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The handle of a rank's store thread. `R` is the receipt that comes with each record.
#[derive(Debug)]
pub struct Writer<R> {
    layout: Layout,
    documents: Arc<[Document]>,
    queue: Arc<Queue<Message<R>>>,
    thread: Option<JoinHandle<Option<WriterSummary>>>,
}

impl<R: Send + 'static> Writer<R> {
    /// Starts the store thread of `rank`. The files of earlier starts must be recovered before ([`super::recover()`]),
    /// so that no other process writes in `run_directory/store`. `documents` is the plan: shards list the documents of
    /// their pages.
    ///
    /// `on_event` is called on the store thread, so it should only pass the event on.
    ///
    /// # Errors
    /// The directory cannot be created or listed, or the thread cannot be started.
    pub fn start(
        run_directory: &Path,
        rank: RankId,
        settings: &configuration::Store,
        provenance: Provenance,
        documents: Arc<[Document]>,
        on_event: impl FnMut(StoreEvent<R>) + Send + 'static,
    ) -> Result<Writer<R>> {
        let layout = Layout::new(run_directory);
        let store = layout.store();
        std::fs::create_dir_all(&store).doing("create directory", &store)?;
        let queue = Arc::new(Queue::new(QUEUE));
        let worker = StoreThread {
            next: StoreFile { rank, sequence: layout.next_sequence(rank)? },
            layout: layout.clone(),
            settings: settings.clone(),
            provenance,
            documents: Arc::clone(&documents),
            on_event,
            journal: None,
            queue: Arc::clone(&queue),
            sealing: None,
            finishing: false,
            waiting: Vec::new(),
            due: None,
            summary: WriterSummary::default(),
        };
        let thread = thread::Builder::new().name(format!("store-{}", rank.0));
        let thread = thread.spawn(move || worker.run()).doing("start the store thread of", &store)?;
        Ok(Writer { layout, documents, queue, thread: Some(thread) })
    }

    /// Queues a record. Blocks while the queue is full, which happens only while the disk is slow: call it from a
    /// thread that may block. An event returns `receipt` once the record is durable or lost.
    ///
    /// # Errors
    /// The page is not in the plan, or the store thread has stopped. The error returns the receipt then, and no event
    /// does.
    pub fn append(&self, record: PageRecord, receipt: R) -> Result<(), Refused<R>> {
        if document_of(&self.documents, &record).is_none() {
            let error = StoreError::UnknownDocument { page: record.page, documents: self.documents.len() };
            return Err(Refused { error, receipt });
        }
        match self.queue.push(Message::Record(Box::new(record), receipt)) {
            Err(Message::Record(_, receipt)) => Err(Refused { error: self.stopped(), receipt }),
            Ok(()) | Err(Message::SealingEnded | Message::Finish) => Ok(()),
        }
    }

    /// Makes all records durable, waits for the running sealing, seals the journal and ends the thread. A panic of the
    /// thread continues in the caller.
    ///
    /// # Errors
    /// The thread has failed; its event has the reason.
    pub fn finish(mut self) -> Result<WriterSummary> {
        let Some(thread) = self.end() else { return Err(self.stopped()) };
        thread.join().unwrap_or_else(|panic| resume_unwind(panic)).ok_or_else(|| self.stopped())
    }

    fn stopped(&self) -> StoreError {
        StoreError::Stopped { path: self.layout.store() }
    }
}

impl<R> Writer<R> {
    /// Asks the thread to end.
    fn end(&mut self) -> Option<JoinHandle<Option<WriterSummary>>> {
        let thread = self.thread.take()?;
        // A thread that has stopped takes no message, but it must be joined.
        let _ = self.queue.push(Message::Finish);
        Some(thread)
    }
}

impl<R> Drop for Writer<R> {
    /// Waits for the thread, so that appended records become durable even without a call of `finish`.
    fn drop(&mut self) {
        // A failure was reported by its event.
        let _ = self.end().map(JoinHandle::join);
    }
}

fn document_of<'a>(documents: &'a [Document], record: &PageRecord) -> Option<&'a Document> {
    let document = documents.get(record.page.document.index())?;
    (document.id == record.page.document && record.page.page.0 < document.pages()).then_some(document)
}

/// A running sealing.
struct Sealing {
    /// Records of the journal, all durable.
    records: u64,
    thread: JoinHandle<Result<Sealed>>,
}

/// State of the store thread.
struct StoreThread<R, F> {
    layout: Layout,
    settings: configuration::Store,
    provenance: Provenance,
    documents: Arc<[Document]>,
    on_event: F,
    journal: Option<(StoreFile, JournalWriter)>,
    next: StoreFile,
    /// The sealing thread sends its end here.
    queue: Arc<Queue<Message<R>>>,
    sealing: Option<Sealing>,
    finishing: bool,
    /// Receipts of the records that are not durable yet.
    waiting: Vec<R>,
    /// When these records must be on the disk.
    due: Option<Instant>,
    summary: WriterSummary,
}

impl<R: Send + 'static, F: FnMut(StoreEvent<R>)> StoreThread<R, F> {
    /// Runs the thread. `None`: it failed, and an event reported the failure.
    fn run(mut self) -> Option<WriterSummary> {
        let _closing = CloseAtEnd(Arc::clone(&self.queue));
        match self.work() {
            Ok(()) => Some(self.summary),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Reports the failure with the receipts of all records that did not become durable. The queue is closed first, so
    /// that no record is missed, and so that no thread, the sealing thread included, waits for space in the queue.
    fn fail(&mut self, error: StoreError) {
        tracing::error!(%error, "the store of this rank has stopped: it can write no further record");
        let queued = self.queue.close().into_iter().filter_map(|message| match message {
            Message::Record(_, receipt) => Some(receipt),
            Message::SealingEnded | Message::Finish => None,
        });
        self.waiting.extend(queued);
        (self.on_event)(StoreEvent::Failed(error, std::mem::take(&mut self.waiting)));
        if let Err(error) = self.join_sealing() {
            tracing::error!(%error, "the sealing of the last journal failed too");
        }
    }

    /// Handles messages until [`Message::Finish`] has come and every journal is sealed.
    fn work(&mut self) -> Result<()> {
        while !(self.finishing && self.journal.is_none() && self.sealing.is_none()) {
            match self.queue.pop(self.due) {
                Some(Message::Record(record, receipt)) => self.append(&record, receipt)?,
                Some(Message::SealingEnded) => self.join_sealing()?,
                Some(Message::Finish) => self.finishing = true,
                None => {}
            }
            let full = self.waiting.len() >= self.settings.sync_records.get() as usize;
            if full || self.finishing || self.due.is_some_and(|due| due <= Instant::now()) {
                self.sync()?;
            }
            self.seal_if_full()?;
        }
        Ok(())
    }

    fn append(&mut self, record: &PageRecord, receipt: R) -> Result<()> {
        // First, because on an error the receipts in `waiting` are returned.
        self.waiting.push(receipt);
        let Some(document) = document_of(&self.documents, record) else {
            return Err(StoreError::UnknownDocument { page: record.page, documents: self.documents.len() });
        };
        if self.journal.is_none() {
            let header = JournalHeader {
                rank: self.next.rank,
                sequence: self.next.sequence,
                created_unix_ns: unix_nanoseconds(),
                provenance: self.provenance.clone(),
            };
            let journal = JournalWriter::create(&self.layout.journal(self.next), &header)?;
            self.journal = Some((self.next, journal));
            self.next.sequence += 1;
        }
        if let Some((_, journal)) = &mut self.journal {
            journal.append(record, document)?;
        }
        self.due.get_or_insert_with(|| Instant::now() + self.settings.sync_interval);
        Ok(())
    }

    /// Group commit: syncs the journal to the disk, then reports the records as durable.
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

    /// Starts to seal the journal if it is full or no record follows, all its records are durable, and no sealing runs.
    fn seal_if_full(&mut self) -> Result<()> {
        if !self.waiting.is_empty() || self.sealing.is_some() {
            return Ok(());
        }
        let full = self.settings.shard.as_u64();
        if let Some((file, journal)) = self.journal.take_if(|(_, journal)| self.finishing || journal.len() >= full) {
            let records = journal.records();
            self.sealing = Some(Sealing { records, thread: self.start_sealing(file, journal.into_lock())? });
        }
        Ok(())
    }

    fn start_sealing(&self, file: StoreFile, lock: JournalLock) -> Result<JoinHandle<Result<Sealed>>> {
        let (layout, end) = (self.layout.clone(), SendEnd(Arc::clone(&self.queue)));
        let thread = thread::Builder::new().name(format!("seal-{}", file.rank.0));
        let work = move || {
            let _end = end;
            let started = Instant::now();
            let sealed = seal_locked(&layout, file, &lock, &mut |_| ())?;
            let elapsed = started.elapsed();
            tracing::info!(
                journal = %sealed.journal.display(),
                pages = sealed.pages,
                seconds = elapsed.as_secs_f64(),
                "sealed"
            );
            Ok(sealed)
        };
        thread.spawn(work).doing("start a thread that seals in", &self.layout.store())
    }

    /// Waits for the running sealing, if any, and reports its result. All records were reported durable, so all must be
    /// in the shard.
    fn join_sealing(&mut self) -> Result<()> {
        let Some(Sealing { records, thread }) = self.sealing.take() else { return Ok(()) };
        let Ok(sealed) = thread.join() else {
            return Err(StoreError::SealingPanicked { path: self.layout.store() });
        };
        let sealed = sealed?;
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
