//! One attempt on one image, from the request to its outcome.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tracing::debug;

use crate::model::{
    Attempt, AttemptOutcome, BBox, Block, Capabilities, EngineName, FailureClass, FinishReason, Language, Part, RankId,
    ServedBy, ServerKind, Shown, Stage, TokenUsage,
};

use super::{
    Acceptance, Classification, Client, End, EngineError, EngineRequest, EngineResponse, Expectation, Health, Loop,
    Profile, Reading, TokenBudget, accept,
    acceptance::{remark_on, repetition::without_repeated_blocks},
    client::classify::{classify, needs_health},
    judge::repeated_tail,
    language_of,
    parse::{markdown, parse},
    text_of,
};

/// How long a dying engine may still answer its health probe (0.75 s to 2.5 s on a real server).
const DEATH_WATCH: Duration = Duration::from_secs(3);

/// An encoded image of a page, or of a part of one.
#[derive(Debug, Clone)]
pub struct PageImage {
    /// The image as a PNG file.
    pub png: Bytes,
    /// What part of the page the image shows, and in which size and rotation.
    pub shown: Shown,
    /// Place of that part on the page, without white that was added around it.
    pub place: BBox,
    /// What the plan and the renderer know of the image, for the acceptance of its answer.
    pub expects: Expectation<'static>,
}

/// Identity and retry step of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// ASCII, such as `BO_7500_Fr.p3.l17.a1.whole`; sent as `BO_7500_Fr.p3.l17.a1.whole.i1a2b3c4d`.
    pub request_id: &'a str,
    /// The stage of the page that this attempt belongs to.
    pub stage: Stage,
    /// Retry step, from 0; chooses the sampling.
    pub step: u8,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    /// The record of the attempt. Its outcome is final; the caller's retry policy decides what follows.
    pub attempt: Attempt,
    /// The text: the accepted one, or what a failed answer had before it went wrong. `None` for a blank image, and
    /// where nothing was read. The caller that keeps it sets the number of its attempt.
    pub part: Option<Part>,
    /// Language of that text.
    pub language: Language,
}

/// Reads images on one server with one profile.
#[derive(Debug, Clone)]
pub struct Reader {
    engine: EngineName,
    profile: Profile,
    client: Client,
    server: Capabilities,
    rank: RankId,
}

impl Reader {
    /// Does the handshake with the server of an engine.
    ///
    /// # Errors
    /// The server does not answer, or does not serve the profile's model.
    pub async fn connect(
        engine: EngineName,
        profile: Profile,
        client: Client,
        rank: RankId,
    ) -> Result<Reader, EngineError> {
        let server = client.handshake(&profile).await?;
        Ok(Reader { engine, profile, client, server, rank })
    }

    /// Checks before the first page that pages fit the server's context, and that it answers an image with a stream of text, within
    /// `limit`.
    ///
    /// # Errors
    /// The context is far below the profile's, or the answer is no stream, or its text is in another field.
    pub async fn check_answers(&self, limit: Duration) -> Result<(), EngineError> {
        self.server.check_context(&self.profile, &self.client.address().to_string())?;
        // A stand-in answers as pages need it, and its script of faults counts the images that it is asked for.
        match self.server.server {
            ServerKind::Model => self.client.check_answers(&self.profile, &self.server, limit).await,
            ServerKind::StandInTesseract | ServerKind::StandInSynthetic => Ok(()),
        }
    }

    /// The engine's profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The client, for health probes and metrics.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Capabilities that the server reported at the handshake.
    pub fn server(&self) -> &Capabilities {
        &self.server
    }

    /// Engine, server, model and prompt that answer, for the records.
    pub fn served_by(&self) -> ServedBy {
        ServedBy {
            engine: self.engine.clone(),
            server: self.server.server,
            profile: self.profile.name.clone(),
            model: self.server.model.clone(),
            version: self.server.version.clone(),
            dialect: self.profile.dialect.name().into(),
            prompt_sha256: self.profile.prompt_sha256.clone(),
            request: serde_json::Value::from(self.profile.request.clone()).to_string(),
        }
    }

    /// One attempt: builds and sends the request, then judges, parses and classifies the answer. Dropping the future
    /// closes the connection, which ends the request on the server.
    pub async fn attempt(&self, image: &PageImage, asking: Asking<'_>) -> AttemptResult {
        let Asking { request_id, step, .. } = asking;
        let started = Timestamp::now().as_millisecond();
        let context = self.server.max_model_len;
        let budget = match TokenBudget::compute(&self.profile, context, image.shown.size) {
            Ok(budget) => budget,
            Err(reason) => return self.not_sent(image, asking, started, reason),
        };
        let question =
            EngineRequest::build(&self.profile, &self.server, &image.png, budget.answer, step.into(), request_id);
        let reply = self.client.ask(&question).await;
        if reply.usage_reported && reply.usage.prompt > budget.image + budget.text {
            debug!(request_id, counted = reply.usage.prompt, ?budget, "the prompt took more tokens than calculated");
        }
        let health = self.health_after(&reply.end).await;
        let ruling = classify(&reply, budget.answer, context, health);
        self.accept_response(image, asking, &question, started, reply, ruling)
    }

    /// The server's health, where it decides whether the page or the server is at fault. If a page stalls while other
    /// streams get tokens, only the page has stalled. If no stream gets any, a canary request tells a slow page from a
    /// hung engine.
    async fn health_after(&self, end: &End) -> Health {
        if !needs_health(end) {
            return Health::Alive;
        }
        let tokens = self.client.traffic().tokens();
        if self.client.await_gone(DEATH_WATCH).await.is_some() {
            return Health::Dead;
        }
        let moves = || self.client.traffic().tokens() > tokens;
        let silent = matches!(end, End::Stalled(_)) && !moves();
        if silent && !self.client.answers_canary(&self.server.model).await && !moves() {
            Health::Hung
        } else {
            Health::Alive
        }
    }

    fn accept_response(
        &self,
        image: &PageImage,
        asking: Asking<'_>,
        question: &EngineRequest,
        started: i64,
        reply: EngineResponse,
        ruling: Classification,
    ) -> AttemptResult {
        let (outcome, reason, reading) = match ruling {
            Classification::Ends(outcome, reason) => (outcome, reason, self.parse(before_loop(&reply), image)),
            Classification::Whole => {
                let reading = self.parse(&reply.raw, image);
                let accepted = accept(&reading, image.expects.asked_with(&self.profile.prompt_text));
                let (outcome, reason) = match accepted {
                    Acceptance::Accepted => (AttemptOutcome::Accepted, remark_on(&reading)),
                    Acceptance::Blank => (AttemptOutcome::Blank, String::new()),
                    Acceptance::Refused(class, reason) => (AttemptOutcome::Failed(class), reason),
                };
                let reading = match outcome {
                    AttemptOutcome::Failed(FailureClass::Loop) => without_repeated_blocks(reading),
                    _ => reading,
                };
                (outcome, reason, reading)
            }
        };
        let (part, text) = to_part(reading.blocks, image);
        let attempt = Attempt {
            served_by: self.served_by(),
            rank: self.rank,
            stage: asking.stage,
            shown: image.shown,
            request_id: question.request_id.clone(),
            outcome,
            finish: finish_of(&reply.end),
            step: asking.step,
            sampling: question.sampling,
            salted: question.salted,
            repeats: 0,
            max_tokens: question.max_tokens,
            tokens: reply.usage,
            started_unix_ms: started,
            time_to_first_token: reply.time_to_first_token,
            duration: reply.duration,
            kept_characters: usable(outcome, &text),
            reason,
            answer: reply.raw,
        };
        AttemptResult { attempt, part, language: language_of(&text) }
    }

    /// The attempt for an image that leaves no tokens for an answer: no request is sent.
    fn not_sent(&self, image: &PageImage, asking: Asking<'_>, started: i64, reason: String) -> AttemptResult {
        let attempt = Attempt {
            served_by: self.served_by(),
            rank: self.rank,
            stage: asking.stage,
            shown: image.shown,
            request_id: asking.request_id.into(),
            outcome: AttemptOutcome::Failed(FailureClass::ContextFull),
            finish: None,
            step: asking.step,
            sampling: self.profile.sampling_at(asking.step.into()),
            salted: false,
            repeats: 0,
            max_tokens: 0,
            tokens: TokenUsage::default(),
            started_unix_ms: started,
            time_to_first_token: None,
            duration: Duration::ZERO,
            kept_characters: 0,
            reason,
            answer: String::new(),
        };
        AttemptResult { attempt, part: None, language: Language::Unknown }
    }

    fn parse(&self, raw: &str, image: &PageImage) -> Reading {
        parse(raw, self.profile.dialect, image.shown.size)
    }
}

/// The answer up to the point where it began to repeat itself, whether the judge or the server ended it.
fn before_loop(reply: &EngineResponse) -> &str {
    let at = match reply.end {
        End::Cut(Loop { at, .. }) => Some(at),
        End::Finished(FinishReason::Repetition | FinishReason::Length) => repeated_tail(&reply.raw),
        _ => None,
    };
    let Some(at) = at else { return &reply.raw };
    reply.raw.char_indices().nth(at).map_or(&reply.raw, |(byte, _)| &reply.raw[..byte])
}

fn finish_of(end: &End) -> Option<FinishReason> {
    match end {
        End::Finished(reason) => Some(*reason),
        End::Cut(_) => Some(FinishReason::Cut),
        End::ErrorEvent { .. } => Some(FinishReason::Error),
        End::Refused { .. }
        | End::Lost { .. }
        | End::Stalled(_)
        | End::Elsewhere(_)
        | End::NotAStream { .. }
        | End::Malformed { .. } => None,
    }
}

/// Characters of the text that are neither white space nor U+FFFD. Text of a wrong script or an implausible length counts as one
/// character: it is kept only if there is no other text.
fn usable(outcome: AttemptOutcome, text: &str) -> u32 {
    let is_text = |character: &char| !character.is_whitespace() && *character != char::REPLACEMENT_CHARACTER;
    let characters = text.chars().filter(is_text).count() as u32;
    match outcome {
        AttemptOutcome::Failed(FailureClass::WrongScript | FailureClass::Implausible) => characters.min(1),
        _ => characters,
    }
}

/// The blocks of an image as a part of the page, and their plain text.
fn to_part(blocks: Vec<Block>, image: &PageImage) -> (Option<Part>, String) {
    let blocks: Vec<Block> = blocks
        .into_iter()
        .map(|block| Block {
            html: markdown::normalise(&block.html).into_owned(),
            bbox: block.bbox.map(|bbox| image.shown.on_page(bbox)),
            label: block.label,
        })
        .collect();
    if blocks.is_empty() {
        return (None, String::new());
    }
    let text: String = blocks.iter().map(|block| text_of(&block.html) + "\n").collect();
    let (html, markdown) = (markdown::to_html(&blocks), markdown::to_markdown(&blocks));
    (Some(Part { bbox: image.place, attempt: 0, html, markdown, blocks }), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PixelSize;

    #[test]
    fn a_part_has_normalised_text_in_both_forms() {
        let shown = Shown::whole(PixelSize { width: 1600, height: 2240 });
        let image = PageImage { png: Bytes::new(), shown, place: BBox::PAGE, expects: Expectation::NONE };
        let block = Block { label: "Text".into(), bbox: None, html: "<p>De\u{301}cret du Premier ministre</p>".into() };
        let (part, text) = to_part(vec![block], &image);
        let part = part.unwrap();
        assert_eq!(part.markdown, "Décret du Premier ministre");
        assert_eq!(part.html, "<div data-label=\"Text\"><p>Décret du Premier ministre</p></div>\n");
        assert_eq!((language_of(&text), usable(AttemptOutcome::Accepted, &text)), (Language::French, 23));
        assert_eq!(usable(AttemptOutcome::Failed(FailureClass::Loop), &text), 23);
        assert_eq!(usable(AttemptOutcome::Failed(FailureClass::WrongScript), &text), 1);
        assert_eq!(to_part(Vec::new(), &image), (None, String::new()));
    }
}
