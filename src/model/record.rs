//! The record of a page.

use serde::{Deserialize, Serialize};

use super::{
    Attempt, AttemptOutcome, BBox, Block, Engine, EngineSet, ImageFacts, Language, LeaseId, PageLayout, PageRef,
    RankId, ServedBy, Verdict,
};

/// A part of a page that was read separately (a column, a rotated table, a half), or the whole page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its place on the page; [`BBox::PAGE`] for a whole page.
    pub bbox: BBox,
    /// Index of its attempt among the record's attempts. The outcome of the attempt says whether the part was accepted.
    pub attempt: u16,
    /// Blocks in reading order. Boxes are on the scale of the whole page.
    pub blocks: Vec<Block>,
    /// HTML of the blocks, headers and footers included.
    pub html: String,
    /// Markdown of the blocks.
    pub markdown: String,
}

/// The text that an engine gave for a page with one retry step: the accepted parts so far, and the text of a failed
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The parts with text.
    pub parts: Vec<Part>,
    /// Language of all parts together.
    pub language: Language,
    /// Number of characters, as the attempts count them.
    pub characters: u32,
}

impl Answer {
    /// No text.
    pub const NONE: Answer = Answer { parts: Vec::new(), language: Language::Unknown, characters: 0 };

    /// Adds the text of the attempt at index `place` of the record's attempts.
    #[must_use]
    pub fn with(mut self, part: Option<Part>, language: Language, characters: u32, place: usize) -> Answer {
        self.parts.extend(part.map(|part| Part { attempt: u16::try_from(place).unwrap_or(u16::MAX), ..part }));
        self.language = self.language.and(language);
        self.characters += characters;
        self
    }

    /// Size of the text in bytes.
    pub fn bytes(&self) -> usize {
        let of_block = |block: &Block| block.label.len() + block.html.len();
        let of_part =
            |part: &Part| part.html.len() + part.markdown.len() + part.blocks.iter().map(of_block).sum::<usize>();
        self.parts.iter().map(of_part).sum()
    }
}

/// Place of a sealed record: a row of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordPlace {
    /// The rank that wrote the shard.
    pub rank: RankId,
    /// Number of the shard among that rank's shards.
    pub sequence: u32,
    /// Row number in its `/pages`.
    pub row: u32,
}

/// One rank's record of one page: a row of a journal, then of a shard.
///
/// A page has one record for each stage; see [`PageRecord::precedence`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageRecord {
    /// The page.
    pub page: PageRef,
    /// The lease under which the rank worked on it.
    pub lease: LeaseId,
    /// The rank that worked on it.
    pub rank: RankId,
    /// How it ended.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` if no engine saw the page.
    pub engine: Option<Engine>,
    /// Language of the text; [`Language::Unknown`] without text.
    pub language: Language,
    /// The image of the whole page on this stage; `None` if rendering failed or only other views were rendered.
    pub image: Option<ImageFacts>,
    /// Its layout as found then, and how the page was changed.
    pub layout: Option<PageLayout>,
    /// All attempts in order, including those of earlier stages (without their answers).
    pub attempts: Vec<Attempt>,
    /// Index of the first attempt that counts. Earlier ones were made before the page was requested to be read again.
    pub counts_from: u16,
    /// The accepted text. For a failed page, the best text of this stage; empty for a blank page. Of all records of a
    /// failed page, the one with the most [`PageRecord::kept_characters`] has the page's text.
    pub parts: Vec<Part>,
    /// For a failed page, the engines that it may still be given to.
    pub remaining: EngineSet,
    /// Why the page failed, or what of an incomplete page could not be drawn, as a message; empty otherwise.
    pub reason: String,
    /// Time of settlement, in milliseconds since the Unix epoch.
    pub settled_unix_ms: i64,
}

impl PageRecord {
    /// Sort key among the records of one page: the record with the greatest key is the final one. A page that was read
    /// or is blank stays so, whatever a late answer says; otherwise the latest lease wins.
    pub fn precedence(verdict: Verdict, lease: LeaseId) -> (bool, LeaseId) {
        (!matches!(verdict, Verdict::Failed(_)), lease)
    }

    /// Number of characters in the parts, as their attempts count them.
    pub fn kept_characters(&self) -> u32 {
        let kept =
            |part: &Part| self.attempts.get(usize::from(part.attempt)).map_or(0, |attempt| attempt.kept_characters);
        self.parts.iter().map(kept).fold(0, u32::saturating_add)
    }

    /// Takes over the text of another record of the page. Attempts of that record that this one lacks, because they
    /// were made on a lost rank, are added.
    pub fn take_text_of(&mut self, other: PageRecord) {
        self.language = other.language;
        self.parts = other.parts;
        for part in &mut self.parts {
            let Some(attempt) = other.attempts.get(usize::from(part.attempt)) else { continue };
            let known = self.attempts.iter().position(|own| own.request_id == attempt.request_id);
            let place = known.unwrap_or_else(|| {
                self.attempts.push(attempt.clone());
                self.attempts.len() - 1
            });
            part.attempt = u16::try_from(place).unwrap_or(u16::MAX);
        }
    }

    /// Whether the record keeps text of this attempt.
    pub fn keeps(&self, attempt: usize) -> bool {
        self.parts.iter().any(|part| usize::from(part.attempt) == attempt)
    }

    /// What is odd about the accepted text of a part; mostly empty.
    pub fn remark_on(&self, part: &Part) -> &str {
        let attempt = self.attempts.get(usize::from(part.attempt));
        attempt.filter(|attempt| attempt.outcome == AttemptOutcome::Accepted).map_or("", |attempt| &attempt.reason)
    }

    /// The server that gave the verdict: that of the accepted attempt of the record's engine, otherwise of that
    /// engine's last.
    pub fn answered_by(&self) -> Option<&ServedBy> {
        let of_engine = || self.attempts.iter().rev().filter(|attempt| Some(attempt.stage.engine()) == self.engine);
        let accepted = |attempt: &&Attempt| matches!(attempt.outcome, AttemptOutcome::Accepted | AttemptOutcome::Blank);
        of_engine().find(accepted).or_else(|| of_engine().next()).map(|attempt| &attempt.served_by)
    }
}
