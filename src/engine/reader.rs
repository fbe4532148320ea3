//! One attempt on one image, from the request to a settled outcome.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tracing::debug;

use super::{
    Acceptance, Capabilities, Client, Dialect, End, EngineError, Expectation, Health, Loop, Profile, Question, Reading,
    Reply, Ruling, TokenBudget, accept, chandra, classify, classify::needs_health, deepseek, language_of, markdown,
    text_of,
};
use crate::model::{
    Attempt, AttemptOutcome, BBox, Block, FailureClass, FinishReason, ImageFacts, Language, Part, RankId, Sampling,
    ServedBy, TokenUsage,
};

/// How long a dying engine may still look healthy (0.75 s to 2.5 s on a real server).
const DEATH_WATCH: Duration = Duration::from_secs(3);

/// An encoded image and the place of what it shows.
#[derive(Debug, Clone)]
pub struct PageImage {
    /// The PNG file.
    pub png: Bytes,
    /// Its size, and what it cost to make.
    pub facts: ImageFacts,
    /// Which part of the page it is; 0 for a whole page.
    pub part: u8,
    /// Place of the part on the page; [`BBox::PAGE`] for a whole page.
    pub bbox: BBox,
    /// What the plan and the renderer know of it.
    pub expects: Expectation,
}

/// What an attempt gave.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    /// The record of it. Only its outcome decides; the retry policy is the caller's.
    pub attempt: Attempt,
    /// The text: the accepted one, or what a failed answer had before it went wrong. Empty for a blank page and
    /// where nothing was read.
    pub parts: Vec<Part>,
    /// Language of that text.
    pub language: Language,
}

/// Reads images on one server with one profile.
#[derive(Debug, Clone)]
pub struct Reader {
    profile: Profile,
    client: Client,
    server: Capabilities,
    rank: RankId,
}

impl Reader {
    /// Shakes hands with the server.
    ///
    /// # Errors
    /// No answer, or not the profile's model.
    pub async fn connect(profile: Profile, client: Client, rank: RankId) -> Result<Reader, EngineError> {
        let server = client.handshake(&profile).await?;
        Ok(Reader { profile, client, server, rank })
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The client, for health checks.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the server said at the handshake.
    pub fn server(&self) -> &Capabilities {
        &self.server
    }

    /// Who answers, for the records.
    pub fn served_by(&self) -> ServedBy {
        ServedBy {
            engine: self.profile.engine,
            server: self.server.server,
            profile: self.profile.name.clone(),
            model: self.server.model.clone(),
            version: self.server.version.clone(),
            prompt_sha256: self.profile.prompt_sha256.clone(),
        }
    }

    /// One attempt: build, ask, judge, parse, classify. `step` is the position on the sampling ladder; `request_id`
    /// is ASCII, such as `BO_7500_Fr.p3.l17.a1`. Dropping the future frees the server's slot.
    pub async fn attempt(&self, image: &PageImage, request_id: &str, step: usize) -> AttemptResult {
        let started = Timestamp::now().as_millisecond();
        let context = self.server.max_model_len;
        let budget = match TokenBudget::compute(&self.profile, context, image.facts.size) {
            Ok(budget) => budget,
            Err(reason) => return self.unasked(image, step, started, reason),
        };
        let question = Question::build(&self.profile, &self.server, &image.png, budget.answer, step, request_id);
        let reply = self.client.ask(&question).await;
        if reply.usage_reported && reply.usage.prompt > budget.image + budget.text {
            debug!(request_id, counted = reply.usage.prompt, ?budget, "the prompt took more tokens than reckoned");
        }
        let health = self.health_after(&reply.end).await;
        let ruling = classify(&reply, budget.answer, context, health);
        self.settle(image, &question, started, reply, ruling)
    }

    /// What became of the server where that decides whose fault an ending was. A page that stalls while others go on
    /// getting tokens has stalled by itself; where none does, a request of one token tells a slow page from a hung engine.
    async fn health_after(&self, end: &End) -> Health {
        if !needs_health(end) {
            return Health::Alive;
        }
        let tokens = self.client.traffic().tokens();
        if self.client.gone(DEATH_WATCH).await.is_some() {
            return Health::Dead;
        }
        let moves = || self.client.traffic().tokens() > tokens;
        let silent = matches!(end, End::Stalled(_)) && !moves();
        if silent && !self.client.sings(&self.server.model).await && !moves() { Health::Hung } else { Health::Alive }
    }

    fn settle(
        &self,
        image: &PageImage,
        question: &Question,
        started: i64,
        reply: Reply,
        ruling: Ruling,
    ) -> AttemptResult {
        let (outcome, reason, reading) = match ruling {
            Ruling::Ends(outcome, reason) => (outcome, reason, self.parse(before_loop(&reply))),
            Ruling::Whole => {
                let reading = self.parse(&reply.raw);
                let (outcome, reason) = match accept(&reading, image.expects) {
                    Acceptance::Accepted => (AttemptOutcome::Accepted, String::new()),
                    Acceptance::Blank => (AttemptOutcome::Blank, String::new()),
                    Acceptance::Refused(class, reason) => (AttemptOutcome::Failed(class), reason),
                };
                (outcome, reason, reading)
            }
        };
        let (parts, language) = to_parts(reading.blocks, image.bbox);
        let attempt = Attempt {
            served_by: self.served_by(),
            rank: self.rank,
            part: image.part,
            outcome,
            finish: finish_of(&reply.end),
            sampling: question.sampling,
            max_tokens: question.max_tokens,
            tokens: reply.usage,
            started_unix_ms: started,
            time_to_first_token: reply.time_to_first_token,
            duration: reply.duration,
            reason,
            answer: reply.raw,
        };
        AttemptResult { attempt, parts, language }
    }

    /// The image leaves no room for an answer: nothing is sent.
    fn unasked(&self, image: &PageImage, step: usize, started: i64, reason: String) -> AttemptResult {
        let sampling: Sampling = self.profile.sampling_at(step);
        let attempt = Attempt {
            served_by: self.served_by(),
            rank: self.rank,
            part: image.part,
            outcome: AttemptOutcome::Failed(FailureClass::ContextFull),
            finish: None,
            sampling,
            max_tokens: 0,
            tokens: TokenUsage::default(),
            started_unix_ms: started,
            time_to_first_token: None,
            duration: Duration::ZERO,
            reason,
            answer: String::new(),
        };
        AttemptResult { attempt, parts: Vec::new(), language: Language::Unknown }
    }

    fn parse(&self, raw: &str) -> Reading {
        match self.profile.dialect {
            Dialect::Divs { box_scale } => chandra::parse(raw, box_scale),
            dialect => deepseek::parse(raw, dialect),
        }
    }
}

/// The answer up to the point where it began to repeat itself.
fn before_loop(reply: &Reply) -> &str {
    let End::Cut(Loop { at, .. }) = reply.end else { return &reply.raw };
    reply.raw.char_indices().nth(at).map_or(&reply.raw, |(byte, _)| &reply.raw[..byte])
}

fn finish_of(end: &End) -> Option<FinishReason> {
    match end {
        End::Finished(reason) => Some(*reason),
        End::Cut(_) => Some(FinishReason::Cut),
        End::ErrorEvent { .. } => Some(FinishReason::Error),
        End::Refused { .. } | End::Lost { .. } | End::Stalled(_) | End::Malformed { .. } => None,
    }
}

/// Blocks of an image at `frame` on its page, as a part of the page.
fn to_parts(blocks: Vec<Block>, frame: BBox) -> (Vec<Part>, Language) {
    let blocks: Vec<Block> = blocks
        .into_iter()
        .map(|block| Block {
            html: markdown::normalise(&block.html).into_owned(),
            bbox: block.bbox.map(|bbox| within(bbox, frame)),
            label: block.label,
        })
        .collect();
    if blocks.is_empty() {
        return (Vec::new(), Language::Unknown);
    }
    let text: String = blocks.iter().map(|block| text_of(&block.html) + "\n").collect();
    let part = Part { bbox: frame, html: markdown::to_html(&blocks), markdown: markdown::to_markdown(&blocks), blocks };
    (vec![part], language_of(&text))
}

/// A box on the scale of an image, on the scale of the page.
fn within(bbox: BBox, frame: BBox) -> BBox {
    let place = |value: u16, start: u16, end: u16| {
        let span = u32::from(end.saturating_sub(start));
        let scale = u32::from(BBox::SCALE);
        start + ((u32::from(value) * span + scale / 2) / scale) as u16
    };
    BBox {
        left: place(bbox.left, frame.left, frame.right),
        top: place(bbox.top, frame.top, frame.bottom),
        right: place(bbox.right, frame.left, frame.right),
        bottom: place(bbox.bottom, frame.top, frame.bottom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_a_column_are_moved_to_the_page() {
        let column = BBox { left: 500, top: 0, right: 1000, bottom: 1000 };
        let inner = BBox { left: 0, top: 100, right: 1000, bottom: 200 };
        assert_eq!(within(inner, column), BBox { left: 500, top: 100, right: 1000, bottom: 200 });
        assert_eq!(within(inner, BBox::PAGE), inner);
    }

    #[test]
    fn a_part_has_normalised_text_in_both_forms() {
        let block = Block { label: "Text".into(), bbox: None, html: "<p>De\u{301}cret du Premier ministre</p>".into() };
        let (parts, language) = to_parts(vec![block], BBox::PAGE);
        assert_eq!(parts[0].markdown, "Décret du Premier ministre");
        assert_eq!(parts[0].html, "<div data-label=\"Text\"><p>Décret du Premier ministre</p></div>\n");
        assert_eq!(language, Language::French);
        assert_eq!(to_parts(Vec::new(), BBox::PAGE), (Vec::new(), Language::Unknown));
    }
}
