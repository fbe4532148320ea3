//! The way of one page: draw, ask, judge, keep.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    comm::Returned,
    corpus::Original,
    engine::{Expectation, PageImage},
    imaging::{RenderFailure, RenderJob},
    model::{
        Attempt, AttemptOutcome, BBox, Document, Engine, FailureClass, ImageFacts, Language, MachineFault, PageRecord,
        PageRef, Part, RecordPlace, Verdict, error::chain,
    },
    schedule::{
        Unit,
        retry::{AfterAttempt, Tally, after_attempt},
    },
    server::Ready,
    store,
};

use super::context::{Context, LocalEvent, RankEngine, lock, without_answers};

/// A page under way on this rank.
pub(super) struct PageTask {
    pub(super) context: Arc<Context>,
    pub(super) unit: Unit,
    pub(super) page: PageRef,
    /// The page's record of an earlier start.
    sealed: Option<RecordPlace>,
    /// Attempts of that record, read when the page begins; they count for nothing now.
    earlier: OnceLock<Vec<Attempt>>,
    /// Earlier attempts of this start: on the other engine, or on a rank that gave the page back.
    prior: Vec<Attempt>,
    /// Attempts of this task, kept here so that a page called back takes them along.
    made: Mutex<Vec<Attempt>>,
}

/// What an engine said of a page, after all its attempts.
struct Reading {
    verdict: Verdict,
    /// The accepted answer, or the best partial one.
    parts: Vec<Part>,
    language: Language,
    reason: String,
}

/// An encoded page and its share of the rank's memory bound, held for as long as its bytes are.
struct HeldImage {
    image: PageImage,
    blank: bool,
    _share: OwnedSemaphorePermit,
}

impl PageTask {
    pub(super) fn new(
        context: Arc<Context>,
        unit: Unit,
        page: PageRef,
        sealed: Option<RecordPlace>,
        prior: Vec<Attempt>,
    ) -> Self {
        PageTask { context, unit, page, sealed, earlier: OnceLock::new(), prior, made: Mutex::default() }
    }

    /// Every attempt of this start on the page so far.
    fn attempts(&self) -> Vec<Attempt> {
        let mut attempts = self.prior.clone();
        attempts.extend_from_slice(&lock(&self.made));
        attempts
    }

    /// Attempts that a record of this page has before those that were made here.
    fn before(&self) -> usize {
        self.earlier.get().map_or(0, Vec::len) + self.prior.len()
    }

    /// Reads the attempts of earlier starts. A page is not held up by a record that cannot be read: it stays where it is,
    /// and `bocr verify` tells of it.
    async fn remember(&self) {
        let Some(place) = self.sealed else { return };
        let run_directory = self.context.run_directory.clone();
        let reading = tokio::task::spawn_blocking(move || store::attempts(&run_directory, place));
        match reading.await {
            Ok(Ok(attempts)) => drop(self.earlier.set(attempts)),
            Ok(Err(error)) => tracing::warn!("its earlier attempts cannot be read: {}", chain(&error)),
            Err(error) => tracing::warn!(%error, "its earlier attempts cannot be read"),
        }
    }

    /// Brings the page to a record, or to a fault that is not the page's.
    async fn settle(&self) -> Result<PageRecord, MachineFault> {
        self.remember().await;
        let held = match self.draw().await? {
            Ok(held) => held,
            Err((class, reason)) => return Ok(self.record(Reading::failed(class, reason), None, None)),
        };
        let facts = held.image.facts;
        if held.blank {
            return Ok(self.record(Reading::blank(), Some(facts), None));
        }
        let reading = self.ask(&held.image).await?;
        Ok(self.record(reading, Some(facts), Some(self.unit.engine)))
    }

    fn document(&self) -> &Document {
        &self.context.documents[self.page.document.index()]
    }

    /// Draws the page. The outer error is the machine's, the inner the page's.
    async fn draw(&self) -> Result<Result<HeldImage, (FailureClass, String)>, MachineFault> {
        let rule = self.context.engine(self.unit.engine)?.profile.image;
        let document = self.document();
        // Before the size is known, the share is that of the largest image that the rule allows, uncompressed.
        let largest = rule.max_pixels.saturating_mul(3);
        let mut share = self.context.image_memory.acquire(largest).await?;
        let job = RenderJob {
            document: document.path.clone(),
            password: self.context.configuration.password_for(&document.name).map(str::to_owned),
            page: self.page.page,
            rule,
        };
        let drawn = match self.context.renderers.render(job).await {
            Ok(drawn) => Ok(drawn),
            Err(RenderFailure::Page { class, reason }) => Err((class, reason)),
            Err(RenderFailure::PoolLost(reason)) => {
                tracing::error!("{reason}");
                return Err(MachineFault::RendererLost);
            }
        };
        match (self.original().await, drawn) {
            (Original::Changed { reason }, _) => Ok(Err((FailureClass::Changed, reason))),
            (Original::Unreachable { reason }, Err(_)) => {
                tracing::error!("{reason}");
                Err(MachineFault::InputLost)
            }
            (Original::Gone { reason }, Err(_)) => Ok(Err((FailureClass::Unreadable, reason))),
            (Original::AsPlanned, Err(failure)) => Ok(Err(failure)),
            (Original::AsPlanned | Original::Gone { .. } | Original::Unreachable { .. }, Ok(drawn)) => {
                self.context.image_memory.shrink(&mut share, u64::from(drawn.facts.encoded_bytes));
                let blank = drawn.blank && self.context.configuration.imaging.skip_blank;
                let expects = Expectation::of(document.edition.language, &drawn.facts);
                let image = PageImage { png: drawn.png, facts: drawn.facts, part: 0, bbox: BBox::PAGE, expects };
                Ok(Ok(HeldImage { image, blank, _share: share }))
            }
        }
    }

    /// How the document's file stands, now that the page was drawn or could not be.
    async fn original(&self) -> Original {
        // Without the context: a run that ends does not wait for a slow disk.
        let (originals, document) = (Arc::clone(&self.context.originals), self.page.document);
        let checked = tokio::task::spawn_blocking(move || originals.check(document));
        // The runtime ends only with the run.
        checked.await.unwrap_or(Original::AsPlanned)
    }

    /// Asks the engine until the retry table says that it is enough.
    async fn ask(&self, image: &PageImage) -> Result<Reading, MachineFault> {
        let engine = self.context.engine(self.unit.engine)?;
        let limit = self.context.configuration.engines.of(self.unit.engine).attempts.get();
        let mut reading = Reading::blank();
        let mut counted = self.counted_before();
        let mut interruptions = 0;
        let mut rung = counted as usize;
        // Kept while the page climbs its ladder: at the end of the line again, it would be the last of the run.
        let mut slot = None;
        loop {
            let request_id = self.request_id(self.attempts().len() + 1);
            // The wait for a slot can outlast a server: who is ready is asked with the slot in hand.
            if slot.is_none() {
                slot = Some(engine.slot().await?);
            }
            let ready = engine.service.ready().await?;
            if self.unit.trial.is_some() {
                engine.service.begin_trial(ready.start);
            }
            let result = ready.reader.attempt(image, &request_id, rung).await;
            let outcome = result.attempt.outcome;
            if !matches!(outcome, AttemptOutcome::Interrupted(_)) {
                engine.service.end_trial();
            }
            if matches!(outcome, AttemptOutcome::Failed(_)) {
                (counted, interruptions) = (counted + 1, 0);
            }
            if let AttemptOutcome::Interrupted(fault) = outcome {
                interruptions += 1;
                tracing::info!(request_id, "{fault}: {}", result.attempt.reason);
                notice(engine, &ready, fault).await;
            }
            let said = result.attempt.reason.clone();
            reading.take(&result.attempt, result.parts, result.language);
            lock(&self.made).push(result.attempt);
            match after_attempt(outcome, Tally { counted, interruptions, limit, trial: self.unit.trial }) {
                AfterAttempt::Accept => return Ok(Reading { verdict: Verdict::Read, ..reading }),
                AfterAttempt::SettleBlank => {
                    return Ok(Reading { verdict: Verdict::Blank, parts: Vec::new(), ..reading });
                }
                AfterAttempt::SettleFailed(class) => {
                    return Ok(Reading { verdict: Verdict::Failed(class), reason: said, ..reading });
                }
                AfterAttempt::Return(fault) => return Err(fault),
                AfterAttempt::AskAgain { rung: next, pause } => {
                    tracing::info!(request_id, rung = next, "asking again: {said}");
                    rung = next;
                    if pause > Duration::ZERO {
                        slot = None;
                    }
                    tokio::time::sleep(jittered(pause, self.page, counted + interruptions)).await;
                }
            }
        }
    }

    /// Attempts on this engine that count against the page, made where it was before.
    fn counted_before(&self) -> u32 {
        let counts = |attempt: &&Attempt| {
            attempt.served_by.engine == self.unit.engine && matches!(attempt.outcome, AttemptOutcome::Failed(_))
        };
        self.prior.iter().filter(counts).count() as u32
    }

    /// `BO_7500_Fr.p3.l17.a1`: names the request in the server's log, and finds its fault in a stand-in's script.
    fn request_id(&self, attempt: usize) -> String {
        let name = self.document().name.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let stem: String = stem.chars().map(plain).collect();
        format!("{stem}.p{}.l{}.a{attempt}", self.page.page.number(), self.unit.lease.0)
    }

    fn record(&self, reading: Reading, image: Option<ImageFacts>, engine: Option<Engine>) -> PageRecord {
        PageRecord {
            page: self.page,
            lease: self.unit.lease,
            rank: self.context.rank,
            verdict: reading.verdict,
            engine,
            language: reading.language,
            image,
            attempts: self.earlier.get().cloned().unwrap_or_default().into_iter().chain(self.attempts()).collect(),
            parts: reading.parts,
            reason: reading.reason,
            settled_unix_ms: Timestamp::now().as_millisecond(),
        }
    }
}

/// Reports a dead server. One that was never reached shows only in its silence.
async fn notice(engine: &RankEngine, ready: &Ready, fault: MachineFault) {
    let dead = match fault {
        MachineFault::ServerDied => true,
        MachineFault::ConnectionLost => ready.reader.client().gone(Duration::ZERO).await.is_some(),
        _ => false,
    };
    if dead {
        engine.service.report_death(ready.start);
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
            task.context.count(&record, task.before());
            task.context.keep(record);
        }
        Err(fault) => {
            let attempts = without_answers(&task.attempts());
            // The record that the page gets elsewhere counts only what is made there.
            task.context.count_attempts(&attempts, task.prior.len());
            let returned = Returned { page: task.page, lease: task.unit.lease, fault, attempts };
            let _ = task.context.events.send(LocalEvent::Returned(returned));
        }
    }
}

impl Reading {
    fn blank() -> Self {
        Reading { verdict: Verdict::Blank, parts: Vec::new(), language: Language::Unknown, reason: String::new() }
    }

    fn failed(class: FailureClass, reason: String) -> Self {
        Reading { verdict: Verdict::Failed(class), reason, ..Reading::blank() }
    }

    /// Keeps the attempt's text if it is accepted or the longest so far.
    fn take(&mut self, attempt: &Attempt, parts: Vec<Part>, language: Language) {
        let length = |parts: &[Part]| parts.iter().map(|part| part.html.len()).sum::<usize>();
        if attempt.outcome == AttemptOutcome::Accepted || length(&parts) > length(&self.parts) {
            self.parts = parts;
            self.language = language;
        }
    }
}

/// The pause, up to half longer, so that pages interrupted together do not come back together.
fn jittered(pause: Duration, page: PageRef, repetition: u32) -> Duration {
    let seed = u64::from(page.document.0) << 40 | u64::from(page.page.0) << 8 | u64::from(repetition);
    pause.mul_f64(1.0 + oorandom::Rand32::new(seed).rand_float() as f64 / 2.0)
}
