//! The store thread of a rank: journal with group commit, sealing when the journal is full.
//!
//! A full journal is sealed on a thread of its own, one at a time, while the next journal takes the records. A journal
//! that is full before the sealing has ended grows on until then.
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
    hold::JournalLock,
    journal::{JournalHeader, JournalWriter, Provenance},
    layout::{Layout, StoreFile},
    queue::Queue,
    seal::{Sealed, seal_held},
};
use crate::model::{Document, PageRecord, RankId, configuration};

/// Records that may wait for the store thread; it is away only while the disk syncs.
const QUEUE: usize = 256;

/// What the store thread tells.
#[derive(Debug)]
pub enum StoreEvent<R> {
    /// The records with these receipts are on the disk, in the order they were appended.
    Durable(Vec<R>),
    /// A journal became a shard.
    Sealed(Sealed),
    /// The thread has stopped and is told nothing more. The records with these receipts may be lost and must be read
    /// again.
    Failed(StoreError, Vec<R>),
}

/// A record that the writer did not take.
#[derive(Debug)]
pub struct Refused<R> {
    /// Why it was not taken.
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
enum Message<R> {
    Record(Box<PageRecord>, R),
    /// The sealing thread has ended: its result can be joined.
    SealingEnded,
    /// No record follows.
    Finish,
}

/// Tells the store thread that the sealing thread ends, also when it panics.
struct TellEnd<R>(Arc<Queue<Message<R>>>);

impl<R> Drop for TellEnd<R> {
    fn drop(&mut self) {
        // A store thread that has failed does not listen any more; it joins us.
        let _ = self.0.push(Message::SealingEnded);
    }
}

/// Closes the queue when the store thread ends, also when it panics: nobody is left waiting for a place in the queue.
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
    /// thread that may wait. `receipt` comes back in an event once it is known what became of the record.
    ///
    /// # Errors
    /// The page is not in the plan, or the store thread has stopped. No event has the receipt then.
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

    /// Makes everything durable, waits for a sealing under way, seals the journal and ends the thread. A panic of the
    /// thread goes on here.
    ///
    /// # Errors
    /// The thread has failed; its event says why.
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
        // A thread that has stopped takes no message; it is joined all the same.
        let _ = self.queue.push(Message::Finish);
        Some(thread)
    }
}

impl<R> Drop for Writer<R> {
    /// Waits for the thread: what was appended becomes durable even where `finish` was not reached.
    fn drop(&mut self) {
        // Its event told of a failure.
        let _ = self.end().map(JoinHandle::join);
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
struct StoreThread<R, F> {
    layout: Layout,
    settings: configuration::Store,
    provenance: Provenance,
    documents: Arc<[Document]>,
    on_event: F,
    journal: Option<(StoreFile, JournalWriter)>,
    next: StoreFile,
    /// For the sealing thread to tell its end.
    queue: Arc<Queue<Message<R>>>,
    sealing: Option<Sealing>,
    finishing: bool,
    /// Receipts of the records in the journal's buffer, and when these must be on the disk.
    waiting: Vec<R>,
    due: Option<Instant>,
    summary: WriterSummary,
}

impl<R: Send + 'static, F: FnMut(StoreEvent<R>)> StoreThread<R, F> {
    /// The thread: `None` where it failed, which was told.
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

    /// Tells the failure with the receipts of all records that did not become durable. The queue is closed first, so
    /// that none is forgotten and nobody is left waiting for a place in the queue, the sealing thread included.
    fn fail(&mut self, error: StoreError) {
        tracing::error!(%error, "the store stops: no further record can be written");
        let queued = self.queue.close().into_iter().filter_map(|message| match message {
            Message::Record(_, receipt) => Some(receipt),
            Message::SealingEnded | Message::Finish => None,
        });
        self.waiting.extend(queued);
        (self.on_event)(StoreEvent::Failed(error, std::mem::take(&mut self.waiting)));
        if let Err(error) = self.join_sealing() {
            tracing::error!(%error, "sealing the last journal failed too");
        }
    }

    /// Works until it is told to finish and all is sealed.
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
        // Before anything can fail: a failure returns the receipts that wait.
        self.waiting.push(receipt);
        let Some(document) = document_of(&self.documents, record) else {
            return Err(StoreError::UnknownDocument { page: record.page, documents: self.documents.len() });
        };
        if self.journal.is_none() {
            let opening = JournalHeader {
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
        if !self.waiting.is_empty() || self.sealing.is_some() {
            return Ok(());
        }
        let full = self.settings.shard.as_u64();
        if let Some((file, journal)) = self.journal.take_if(|(_, journal)| self.finishing || journal.len() >= full) {
            let records = journal.records();
            self.sealing = Some(Sealing { records, thread: self.start_sealing(file, journal.into_hold())? });
        }
        Ok(())
    }

    fn start_sealing(&self, file: StoreFile, hold: JournalLock) -> Result<JoinHandle<Result<Sealed>>> {
        let (layout, end) = (self.layout.clone(), TellEnd(Arc::clone(&self.queue)));
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
