//! One stage of a page on an engine: image after image, attempt after attempt, until the page is read or has failed.

use std::time::Duration;

use crate::{
    concurrency::Length,
    engine::{Asking, AttemptResult},
    model::{
        Answer, Attempt, AttemptOutcome, Engine, EngineSet, FailureClass, ImageFacts, MachineFault, PageLayout,
        PageRef, Part, Remedy, Trial, Verdict, View,
    },
    retry::{
        RetryStep,
        blank_check::{self, ImageEvidence},
        escalation::remaining_engines,
        repetition,
        state::{AfterAttempt, Budget, RetryState},
    },
    server::{Ready, ReportedDeath},
    worker::{mutex::lock, rank_engine::RankEngine, slots::Slot},
};

use super::{
    progress::PageProgress,
    rendering::{PartImage, RenderOutcome, RenderedPage, render},
    task::PageTask,
};
/// Result of a stage.
pub(super) struct StageEnd {
    pub(super) verdict: Verdict,
    /// The text. Of a failed page, the longest text that one retry step gave.
    pub(super) answer: Answer,
    /// Facts and layout of the whole page, if it was rendered.
    pub(super) rendered: Option<(ImageFacts, PageLayout)>,
    /// Why the page failed, or what of it could not be drawn; else empty.
    pub(super) reason: String,
    /// The engine that settled the page; `None` if the page cannot be rendered, or is blank by its ink.
    pub(super) engine: Option<Engine>,
    /// The engines that the page may still be given to.
    pub(super) remaining: EngineSet,
}

impl StageEnd {
    /// A page that fails before its engine is asked.
    pub(super) fn failed(class: FailureClass, best: Answer, reason: String) -> StageEnd {
        StageEnd {
            verdict: Verdict::Failed(class),
            answer: best,
            rendered: None,
            reason,
            engine: None,
            remaining: EngineSet::default(),
        }
    }
}

/// Asks the engine of the page's unit, retry step by retry step.
pub(super) async fn run_stage(task: &PageTask, progress: &mut PageProgress) -> Result<StageEnd, MachineFault> {
    let asked = task.unit.engine;
    let budget = Budget::of(&task.context.configuration, asked);
    let Some(retry) =
        RetryState::resume(task.stage, progress.counting(), budget, task.unit.trial.and_then(Trial::deaths_alone))
    else {
        let (engine, class, reason) = last_failure(progress.counting(), asked);
        let end = StageEnd::failed(class, progress.best().clone(), reason);
        return Ok(StageEnd { engine: Some(engine), ..end });
    };
    let engine = task.context.engine(asked)?;
    let mut stage = StageAttempts {
        task,
        progress,
        engine,
        retry,
        rendered: None,
        missing: None,
        page: None,
        part: 0,
        answer: Answer::NONE,
        slot: None,
    };
    let reading = stage.read().await?;
    Ok(stage.end(reading))
}

/// A stage in progress: the state that one attempt leaves to the next.
struct StageAttempts<'t> {
    task: &'t PageTask,
    progress: &'t mut PageProgress,
    engine: &'t RankEngine,
    retry: RetryState,
    /// Facts and layout of the whole page, once it is rendered.
    rendered: Option<(ImageFacts, PageLayout)>,
    /// What of it could not be drawn, as a message.
    missing: Option<String>,
    /// The page in the view of the last request.
    page: Option<RenderedPage>,
    /// Index of its next image.
    part: usize,
    /// The text of the images before that.
    answer: Answer,
    /// Kept while the same image is asked again. A new slot would come from the end of the queue, after all other
    /// pages.
    slot: Option<Slot<'t>>,
}

/// Result of the images of a page.
struct Reading {
    verdict: Verdict,
    answer: Answer,
    reason: String,
}

enum NextImage {
    /// Ask the engine for this one.
    Image(PartImage),
    /// No image is left.
    End(Reading),
}

/// An image and the result of its attempt.
struct Asked {
    image: PartImage,
    request_id: String,
    result: AttemptResult,
}

impl StageAttempts<'_> {
    async fn read(&mut self) -> Result<Reading, MachineFault> {
        loop {
            let image = match self.next_image().await? {
                NextImage::Image(image) => image,
                NextImage::End(reading) => return Ok(reading),
            };
            let asked = self.ask(image).await?;
            if let Some(reading) = self.judge(asked).await? {
                return Ok(reading);
            }
        }
    }

    /// The next image that has something to read, in the view of the current retry step.
    async fn next_image(&mut self) -> Result<NextImage, MachineFault> {
        let skip_blank = self.task.context.configuration.imaging.skip_blank;
        loop {
            let view = self.retry.step().view;
            let page = match self.page.take().filter(|page| page.shows(view)) {
                Some(page) => page,
                None => {
                    self.slot = None;
                    match render(self.task, self.progress, view).await? {
                        RenderOutcome::Page(page) => page,
                        RenderOutcome::NoSuchView => {
                            if self.retry.skip().is_none() {
                                let (_, class, reason) = last_failure(self.progress.counting(), self.task.unit.engine);
                                return Ok(NextImage::End(self.failed(class, reason)));
                            }
                            self.restart_answer();
                            continue;
                        }
                        RenderOutcome::Failed(class, reason) => {
                            return Ok(NextImage::End(self.failed(class, reason)));
                        }
                    }
                }
            };
            if view == View::Whole {
                self.rendered.get_or_insert((page.page.facts, page.page.layout));
            }
            self.missing = Some(&page.page.missing).filter(|missing| !missing.is_empty()).cloned();
            let image = page.image(self.part);
            self.page = Some(page);
            match image {
                None => return Ok(NextImage::End(Reading::of(std::mem::replace(&mut self.answer, Answer::NONE)))),
                Some(image) if image.blank && skip_blank => self.part += 1,
                Some(image) => return Ok(NextImage::Image(image)),
            }
        }
    }

    /// Sends one request, and reports to the service what it shows of the server.
    async fn ask(&mut self, image: PartImage) -> Result<Asked, MachineFault> {
        // A server can die during the wait for a slot: so the ready server is looked up afterwards.
        if self.slot.is_none() {
            self.slot = Some(self.engine.slot(self.length()).await?);
        }
        let number = self.progress.of_this_start().len() + 1;
        let request_id = self.task.request_id(number, &image.image.shown, image.parts);
        let service = &self.engine.service;
        let (ready, _alone) = service.ready_for_page().await?;
        let trial = self.task.unit.trial;
        service.asks(ready.start, trial);
        let asking = Asking { request_id: &request_id, stage: self.task.stage, step: self.retry.step().step };
        let result = ready.reader.attempt(&image.image, asking).await;
        match result.attempt.outcome {
            AttemptOutcome::Interrupted(fault) => {
                tracing::info!(request_id, "{fault}: {}", result.attempt.reason);
                report_death(self.engine, &ready, fault).await;
            }
            _ => service.answered(ready.start, trial),
        }
        Ok(Asked { image, request_id, result })
    }

    /// The expected length of the answers that the page needs.
    fn length(&self) -> Length {
        if self.progress.made_here() > 0 {
            return Length::NEXT;
        }
        let ink = self.page.as_ref().map_or(0.0, |page| page.ink_from(self.part));
        lock(&self.engine.page_lengths).expected(self.task.page.document, ink)
    }

    /// Records the attempt and decides what follows. Gives the reading if the stage is over.
    async fn judge(&mut self, asked: Asked) -> Result<Option<Reading>, MachineFault> {
        let Asked { image, request_id, result } = asked;
        let AttemptResult { mut attempt, part: text, language } = result;
        let decides = self.answer.parts.is_empty() && self.part + 1 == image.parts;
        correct_blank(&mut attempt, &image.evidence(decides), self.progress.counting());
        self.correct_repeated(&mut attempt, &image, text.as_ref());
        let (outcome, reason) = (attempt.outcome, attempt.reason.clone());
        if outcome == AttemptOutcome::Accepted {
            let document = self.task.page.document;
            lock(&self.engine.page_lengths).add(document, image.ink(), attempt.tokens.completion);
        }
        let with = self.answer.clone().with(text, language, attempt.kept_characters, self.progress.total());
        self.progress.add(attempt, &with);
        match self.retry.after(outcome) {
            AfterAttempt::Accept => (self.answer, self.part) = (with, self.part + 1),
            AfterAttempt::Blank => self.part += 1,
            AfterAttempt::SettleFailed(class) => return Ok(Some(self.failed(class, reason))),
            AfterAttempt::Return(fault) => return Err(fault),
            AfterAttempt::AskAgain { step: RetryStep { step, view }, pause } => {
                tracing::info!(request_id, step, view = view.name(), "asking again: {reason}");
                // The text of other parts stays valid as long as the view is the same.
                if view != image.image.shown.view {
                    self.restart_answer();
                }
                if pause > Duration::ZERO {
                    self.slot = None;
                }
                tokio::time::sleep(with_jitter(pause, self.task.page, self.progress.made_here())).await;
            }
        }
        Ok(None)
    }

    /// Corrects the outcome of an attempt whose text another page got, or that repeats itself as the attempt before did.
    fn correct_repeated(&self, attempt: &mut Attempt, image: &PartImage, text: Option<&Part>) {
        let context = &self.task.context;
        if attempt.outcome == AttemptOutcome::Accepted
            && let Some(text) = text
            && let Some(other) = context.answered_texts.earlier_page(self.task.page, &image.image.png, text)
        {
            attempt.outcome = AttemptOutcome::Failed(FailureClass::Repeated);
            let document = &context.documents[other.document.index()].name;
            attempt.reason = format!("the same text was read on page {} of {document}", other.page.number());
        }
        attempt.outcome = repetition::outcome_of(attempt.outcome, attempt.shown, self.progress.counting());
    }

    /// Starts the page again, at the first image of another view.
    fn restart_answer(&mut self) {
        (self.answer, self.part) = (Answer::NONE, 0);
    }

    fn failed(&self, class: FailureClass, reason: String) -> Reading {
        Reading { verdict: Verdict::Failed(class), answer: self.progress.best().clone(), reason }
    }

    /// Names what of the page could not be drawn. No engine can say that such a page is blank.
    fn with_missing(&self, reading: Reading) -> Reading {
        match (&self.missing, reading.verdict) {
            (Some(missing), Verdict::Read) => {
                Reading { verdict: Verdict::Incomplete, reason: missing.clone(), ..reading }
            }
            (Some(missing), Verdict::Blank) => {
                Reading { verdict: Verdict::Failed(FailureClass::RenderFailed), reason: missing.clone(), ..reading }
            }
            _ => reading,
        }
    }

    /// Decides which engine settled the page, and which engines it may still be given to.
    fn end(self, reading: Reading) -> StageEnd {
        let Reading { verdict, answer, reason } = self.with_missing(reading);
        let task = self.task;
        let (by_engine, remaining) = match verdict {
            Verdict::Failed(class) => {
                let configuration = &task.context.configuration;
                let budget = Budget::of(configuration, Engine::FIRST);
                let all = configuration.engines.names().all();
                let open = remaining_engines(task.stage, class, &self.retry, self.progress.counting(), budget, all);
                (class.remedy() != Remedy::Operator, task.remaining.and(open))
            }
            Verdict::Read | Verdict::Incomplete | Verdict::Blank => {
                (self.progress.made_here() > 0, EngineSet::default())
            }
        };
        let engine = by_engine.then_some(task.unit.engine);
        StageEnd { verdict, answer, rendered: self.rendered, reason, engine, remaining }
    }
}

impl Reading {
    fn of(answer: Answer) -> Reading {
        let verdict = if answer.parts.is_empty() { Verdict::Blank } else { Verdict::Read };
        Reading { verdict, answer, reason: String::new() }
    }
}

/// Corrects the outcome of an attempt that found nothing, by other evidence about the image.
fn correct_blank(attempt: &mut Attempt, evidence: &ImageEvidence, counting: &[Attempt]) {
    let given = attempt.outcome;
    if !matches!(given, AttemptOutcome::Blank | AttemptOutcome::Failed(FailureClass::Empty)) {
        return;
    }
    attempt.outcome = blank_check::outcome_of(given, evidence, counting);
    if (given, attempt.outcome) == (AttemptOutcome::Blank, AttemptOutcome::Failed(FailureClass::Empty)) {
        attempt.reason = "the engine found nothing on the image, but other evidence shows text or ink there".into();
    }
}

/// The class and reason of the last failure on `engine`, or else of the last failure on any engine. If no attempt
/// failed and no step is left to try, the attempts were deaths of the server.
fn last_failure(attempts: &[Attempt], engine: Engine) -> (Engine, FailureClass, String) {
    let failure = |attempt: &Attempt| match attempt.outcome {
        AttemptOutcome::Failed(class) => Some((attempt.stage.engine(), class, attempt.reason.clone())),
        _ => None,
    };
    let failures = || attempts.iter().rev().filter_map(failure);
    let interruption = || attempts.last().map_or(String::new(), |attempt| attempt.reason.clone());
    failures()
        .find(|(by, ..)| *by == engine)
        .or_else(|| failures().next())
        .unwrap_or_else(|| (engine, FailureClass::Poison, interruption()))
}

/// Reports a dead server. After a lost connection, a health probe decides whether the server is dead.
async fn report_death(engine: &RankEngine, ready: &Ready, fault: MachineFault) {
    let dead = match fault {
        MachineFault::ServerDied => true,
        MachineFault::ConnectionLost => ready.reader.client().await_gone(Duration::ZERO).await.is_some(),
        _ => false,
    };
    if dead {
        engine.service.report_death(ready.start, ReportedDeath::EngineDead);
    }
}

/// The pause, extended by up to half, so that pages interrupted together do not retry together.
fn with_jitter(pause: Duration, page: PageRef, repetition: usize) -> Duration {
    let seed = u64::from(page.document.0) << 40 | u64::from(page.page.0) << 8 | repetition as u64;
    pause.mul_f64(1.0 + oorandom::Rand32::new(seed).rand_float() as f64 / 2.0)
}
