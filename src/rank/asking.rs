//! Asking an engine for a page, up its ladder, until it is read or the engine has failed it.

use std::time::Duration;

use crate::{
    engine::{Asking, AttemptResult, PageImage},
    model::{
        Answer, Attempt, AttemptOutcome, Engine, EngineSet, FailureClass, ImageFacts, Language, MachineFault,
        PageLayout, PageRecord, PageRef, Part, Remedy, Verdict, View,
    },
    retry::Rung,
    retry::{
        blank_check::{self, Look},
        escalation::ahead,
        state::{AfterAttempt, Budget, Climb},
    },
    server::Ready,
};

use super::{
    context::{RankEngine, lock},
    drawing::{Drawn, HeldPage},
    page::PageTask,
};

/// How a visit ends.
pub(super) struct Reading {
    pub(super) verdict: Verdict,
    pub(super) parts: Vec<Part>,
    pub(super) language: Language,
    pub(super) drawn: Option<(ImageFacts, PageLayout)>,
    pub(super) reason: String,
}

impl Reading {
    fn failed(class: FailureClass, best: Answer, drawn: Option<(ImageFacts, PageLayout)>, reason: String) -> Self {
        Reading { verdict: Verdict::Failed(class), parts: best.parts, language: best.language, drawn, reason }
    }

    fn of(answer: Answer, drawn: Option<(ImageFacts, PageLayout)>) -> Self {
        let verdict = if answer.parts.is_empty() { Verdict::Blank } else { Verdict::Read };
        Reading { verdict, parts: answer.parts, language: answer.language, drawn, reason: String::new() }
    }
}

impl PageTask {
    /// Brings the page to a record, or to a fault that is not the page's.
    pub(super) async fn settle(&self) -> Result<PageRecord, MachineFault> {
        self.remember().await;
        let budget = Budget::of(&self.context.configuration, self.unit.engine);
        let counting = self.counting();
        let Some(mut climb) = Climb::resume(self.visit, &counting, budget, self.unit.trial) else {
            let (engine, class, reason) = last_failure(&counting, self.unit.engine);
            let reading = Reading::failed(class, self.best(), None, reason);
            return Ok(self.record(reading, Some(engine), EngineSet::default()));
        };
        let reading = self.climb(&mut climb).await?;
        // A page that cannot be drawn, or is seen to be blank, is settled by no engine.
        let (by_engine, ahead) = match reading.verdict {
            Verdict::Failed(class) => {
                let chandra = Budget::of(&self.context.configuration, Engine::Chandra);
                let ahead = ahead(self.visit, class, &climb, &self.counting(), chandra);
                (class.remedy() != Remedy::Operator, ahead)
            }
            Verdict::Read | Verdict::Blank => (self.made_here() > 0, EngineSet::default()),
        };
        Ok(self.record(reading, by_engine.then_some(self.unit.engine), ahead))
    }

    /// Asks in one way after the other.
    async fn climb(&self, climb: &mut Climb) -> Result<Reading, MachineFault> {
        let engine = self.context.engine(self.unit.engine)?;
        let skip_blank = self.context.configuration.imaging.skip_blank;
        let mut drawn = None;
        let mut answer = Answer::NONE;
        let mut held: Option<HeldPage> = None;
        let mut part = 0;
        // Kept while the same image is asked about again: at the end of the line, it would be the last of the run.
        let mut slot = None;
        let failed = |class, drawn, reason| Ok(Reading::failed(class, self.best(), drawn, reason));
        loop {
            let Rung { step, view } = climb.rung();
            let page = match held.take().filter(|page| page.shows(view)) {
                Some(page) => page,
                None => {
                    slot = None;
                    match self.draw(view).await? {
                        Drawn::Page(page) => page,
                        Drawn::NoSuchView => {
                            if climb.skip().is_none() {
                                let (_, class, reason) = last_failure(&self.counting(), self.unit.engine);
                                return failed(class, drawn, reason);
                            }
                            (answer, part) = (Answer::NONE, 0);
                            continue;
                        }
                        Drawn::Failed(class, reason) => return failed(class, drawn, reason),
                    }
                }
            };
            if view == View::Whole {
                drawn.get_or_insert((page.page.facts, page.page.layout));
            }
            let Some(image) = page.image(part) else { return Ok(Reading::of(answer, drawn)) };
            if image.blank && skip_blank {
                (held, part) = (Some(page), part + 1);
                continue;
            }
            // The wait for a slot can outlast a server: who is ready is asked with the slot in hand.
            if slot.is_none() {
                slot = Some(engine.slot().await?);
            }
            let request_id = self.request_id(&image.image.shown, page.parts());
            let asking = Asking { request_id: &request_id, visit: self.visit, step };
            let AttemptResult { mut attempt, part: text, language } =
                self.attempt(engine, &image.image, asking).await?;
            let decides = answer.parts.is_empty() && part + 1 == page.parts();
            self.put_right(&mut attempt, &image.look(page.parts(), decides));
            let (outcome, said) = (attempt.outcome, attempt.reason.clone());
            let with = answer.clone().with(text, language, attempt.kept_characters, self.before() + self.made_here());
            lock(&self.made).push(attempt);
            if with.characters > lock(&self.best).characters {
                *lock(&self.best) = with.clone();
            }
            held = Some(page);
            match climb.after(outcome) {
                AfterAttempt::Accept => (answer, part) = (with, part + 1),
                AfterAttempt::Blank => part += 1,
                AfterAttempt::SettleFailed(class) => return failed(class, drawn, said),
                AfterAttempt::Return(fault) => return Err(fault),
                AfterAttempt::AskAgain { rung, pause } => {
                    tracing::info!(request_id, step = rung.step, view = rung.view.name(), "asking again: {said}");
                    // What was read of other parts stands, as long as they are parts of the same view.
                    if rung.view != view {
                        (answer, part) = (Answer::NONE, 0);
                    }
                    if pause > Duration::ZERO {
                        slot = None;
                    }
                    tokio::time::sleep(jittered(pause, self.page, self.made_here())).await;
                }
            }
        }
    }

    /// An answer of "nothing there" is held against what is known of the image.
    fn put_right(&self, attempt: &mut Attempt, look: &Look) {
        let said = attempt.outcome;
        if !matches!(said, AttemptOutcome::Blank | AttemptOutcome::Failed(FailureClass::Empty)) {
            return;
        }
        attempt.outcome = blank_check::outcome_of(said, look, &self.counting());
        if (said, attempt.outcome) == (AttemptOutcome::Blank, AttemptOutcome::Failed(FailureClass::Empty)) {
            attempt.reason = "the engine says that there is nothing on the image, but there is".into();
        }
    }

    /// One request, and what it tells of the server.
    async fn attempt(
        &self,
        engine: &RankEngine,
        image: &PageImage,
        asking: Asking<'_>,
    ) -> Result<AttemptResult, MachineFault> {
        let ready = engine.service.ready().await?;
        if self.unit.trial.is_some() {
            engine.service.begin_trial(ready.start);
        }
        let result = ready.reader.attempt(image, asking).await;
        match result.attempt.outcome {
            AttemptOutcome::Interrupted(fault) => {
                tracing::info!(asking.request_id, "{fault}: {}", result.attempt.reason);
                notice(engine, &ready, fault).await;
            }
            _ => engine.service.end_trial(),
        }
        Ok(result)
    }
}

/// Why the last of these attempts on `engine` that failed did so; where none has, the last on any. Attempts on a page
/// that has nothing left to be tried, of which none has failed, were the deaths of its server.
fn last_failure(attempts: &[Attempt], engine: Engine) -> (Engine, FailureClass, String) {
    let failure = |attempt: &Attempt| match attempt.outcome {
        AttemptOutcome::Failed(class) => Some((attempt.served_by.engine, class, attempt.reason.clone())),
        _ => None,
    };
    let failures = || attempts.iter().rev().filter_map(failure);
    let interruption = || attempts.last().map_or(String::new(), |attempt| attempt.reason.clone());
    failures()
        .find(|(by, ..)| *by == engine)
        .or_else(|| failures().next())
        .unwrap_or_else(|| (engine, FailureClass::Poison, interruption()))
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

/// The pause, up to half longer, so that pages interrupted together do not come back together.
fn jittered(pause: Duration, page: PageRef, repetition: usize) -> Duration {
    let seed = u64::from(page.document.0) << 40 | u64::from(page.page.0) << 8 | repetition as u64;
    pause.mul_f64(1.0 + oorandom::Rand32::new(seed).rand_float() as f64 / 2.0)
}
