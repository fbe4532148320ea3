//! One page at work on a rank: what is known of it, and the record that comes of it.

use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;

use crate::{
    comm::Returned,
    model::{
        Answer, Attempt, Document, Engine, EngineSet, FailureClass, MachineFault, PageRecord, PageRef, RecordPlace,
        Shown, Verdict, Visit, error::chain,
    },
    schedule::{Prior, Unit},
    store::{self, EarlierAttempts},
};

use super::{
    asking::Reading,
    context::{Context, LocalEvent, lock, without_answers},
};

/// A page under way on this rank.
pub(super) struct PageTask {
    pub(super) context: Arc<Context>,
    pub(super) unit: Unit,
    pub(super) page: PageRef,
    pub(super) visit: Visit,
    /// The engines that it may be given to: one that had nothing left for it on an earlier visit has nothing left now.
    ahead: EngineSet,
    /// The page's record of an earlier start.
    sealed: Option<RecordPlace>,
    /// The attempts of that record count for nothing: the page is read again from the beginning.
    again: bool,
    /// Rank 0 has given the page up with this class: nothing is asked of it any more.
    pub(super) give_up: Option<FailureClass>,
    /// Attempts of that record, read when the page begins.
    earlier: OnceLock<EarlierAttempts>,
    /// Earlier attempts of this start: on earlier visits, or on a rank that gave the page back.
    prior: Vec<Attempt>,
    /// Attempts of this task, kept here so that a page called back takes them along.
    pub(super) made: Mutex<Vec<Attempt>>,
    /// The most text that one way of asking gave on this visit.
    pub(super) best: Mutex<Answer>,
}

/// A page that is given back takes no more text along, bytes: a unit of such pages must fit a frame.
pub(super) const LARGEST_TEXT: usize = 64 << 10;

impl PageTask {
    pub(super) fn new(context: Arc<Context>, unit: Unit, page: PageRef, prior: Option<Prior>) -> Self {
        let (visit, ahead) = (Visit::First, EngineSet::all());
        let (sealed, again, attempts, text, give_up) = (None, false, Vec::new(), None, None);
        let prior = prior.unwrap_or(Prior { page, visit, ahead, sealed, again, attempts, text, give_up });
        let Prior { visit, ahead, sealed, again, attempts, text, give_up, .. } = prior;
        let (earlier, made) = (OnceLock::new(), Mutex::default());
        let best = Mutex::new(text.unwrap_or(Answer::NONE));
        PageTask { context, unit, page, visit, ahead, sealed, again, give_up, earlier, prior: attempts, made, best }
    }

    /// Every attempt of this start on the page so far.
    fn attempts(&self) -> Vec<Attempt> {
        let mut attempts = self.prior.clone();
        attempts.extend_from_slice(&lock(&self.made));
        attempts
    }

    pub(super) fn best(&self) -> Answer {
        lock(&self.best).clone()
    }

    fn of_record(&self) -> &[Attempt] {
        self.earlier.get().map_or(&[], |earlier| &earlier.attempts)
    }

    /// The first attempt that counts: where the page is read again, none of the record does.
    fn counts_from(&self) -> u16 {
        match self.earlier.get() {
            Some(earlier) if !self.again => earlier.counts_from,
            _ => u16::try_from(self.of_record().len()).unwrap_or(u16::MAX),
        }
    }

    /// Every attempt that counts against the page so far.
    pub(super) fn counting(&self) -> Vec<Attempt> {
        let earlier = self.of_record().iter().skip(usize::from(self.counts_from()));
        earlier.cloned().chain(self.attempts()).collect()
    }

    /// Attempts that a record of this page has before those that were made here.
    pub(super) fn before(&self) -> usize {
        self.of_record().len() + self.prior.len()
    }

    /// Attempts that were made here.
    pub(super) fn made_here(&self) -> usize {
        lock(&self.made).len()
    }

    /// Reads the attempts of earlier starts. A page is not held up by a record that cannot be read: it stays where it is,
    /// and `bocr verify` tells of it.
    pub(super) async fn remember(&self) {
        let Some(place) = self.sealed else { return };
        let run_directory = self.context.run_directory.clone();
        let reading = tokio::task::spawn_blocking(move || store::attempts(&run_directory, place));
        match tokio::time::timeout(self.context.configuration.imaging.page_limit, reading).await {
            Ok(Ok(Ok(attempts))) => drop(self.earlier.set(attempts)),
            Ok(Ok(Err(error))) => tracing::warn!("its earlier attempts cannot be read: {}", chain(&error)),
            Ok(Err(error)) => tracing::warn!(%error, "its earlier attempts cannot be read"),
            Err(_) => tracing::warn!("its earlier attempts cannot be read: the file system of the run directory hangs"),
        }
    }

    pub(super) fn document(&self) -> &Document {
        &self.context.documents[self.page.document.index()]
    }

    /// `BO_7500_Fr.p3.l17.a1.whole`, `….a4.halves-2` for the second of several parts: the next request's name, by which a stand-in's
    /// script finds its fault. The server's log has the image's checksum behind it: `….whole.i1a2b3c4d`.
    pub(super) fn request_id(&self, shown: &Shown, parts: usize) -> String {
        let name = self.document().name.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let stem: String = stem.chars().map(plain).collect();
        let attempt = self.prior.len() + self.made_here() + 1;
        let view = shown.view.name();
        let id = format!("{stem}.p{}.l{}.a{attempt}.{view}", self.page.page.number(), self.unit.lease.0);
        if parts == 1 { id } else { format!("{id}-{}", shown.part + 1) }
    }

    pub(super) fn record(&self, reading: Reading, engine: Option<Engine>, ahead: EngineSet) -> PageRecord {
        PageRecord {
            page: self.page,
            lease: self.unit.lease,
            rank: self.context.rank,
            verdict: reading.verdict,
            engine,
            language: reading.language,
            image: reading.drawn.map(|(image, _)| image),
            layout: reading.drawn.map(|(_, layout)| layout),
            attempts: self.of_record().iter().cloned().chain(self.attempts()).collect(),
            counts_from: self.counts_from(),
            parts: reading.parts,
            ahead: self.ahead.and(ahead),
            reason: reading.reason,
            settled_unix_ms: Timestamp::now().as_millisecond(),
        }
    }
}

/// A page until it is settled, given back, or called back.
pub(super) async fn work(task: PageTask) {
    let mut recall = task.context.recall.subscribe();
    let result = tokio::select! {
        result = task.settle() => result,
        _ = recall.wait_for(|recalled| *recalled) => Err(MachineFault::Draining),
    };
    match result {
        Ok(record) => {
            if let Verdict::Failed(class) = record.verdict {
                tracing::warn!(engine = %task.unit.engine, %class, "the page failed: {}", record.reason);
            }
            task.context.count_attempts(&record.attempts, task.before());
            task.context.keep(record, task.of_record().len());
        }
        Err(fault) => {
            let attempts = without_answers(&task.attempts());
            // The record that the page gets elsewhere counts only what is made there.
            task.context.count_attempts(&attempts, task.prior.len());
            let text = Some(task.best()).filter(|text| (1..=LARGEST_TEXT).contains(&text.bytes()));
            let returned = Returned { page: task.page, lease: task.unit.lease, fault, attempts, text };
            let _ = task.context.events.send(LocalEvent::Returned(returned));
        }
    }
}
