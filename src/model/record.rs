//! What is kept of a page.

use serde::{Deserialize, Serialize};

use super::{
    Attempt, AttemptOutcome, BBox, Block, Engine, EngineSet, ImageFacts, Language, LeaseId, PageLayout, PageRef,
    RankId, ServedBy, Verdict,
};

/// A part of a page that was read by itself (a column, a turned table, a half), or the whole page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its place on the page; [`BBox::PAGE`] for a page read whole.
    pub bbox: BBox,
    /// Position among the record's attempts of the one that gave it. Its outcome says whether the part was accepted.
    pub attempt: u16,
    /// Blocks in reading order, boxes on the scale of the whole page.
    pub blocks: Vec<Block>,
    /// HTML of the blocks, headers and footers included.
    pub html: String,
    /// Markdown of the same.
    pub markdown: String,
}

/// What an engine has said of a page, in one way of asking: the parts accepted so far, and what a failed one had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The text.
    pub parts: Vec<Part>,
    /// Its language.
    pub language: Language,
    /// Its characters, as the attempts counted them.
    pub characters: u32,
}

impl Answer {
    /// Nothing.
    pub const NONE: Answer = Answer { parts: Vec::new(), language: Language::Unknown, characters: 0 };

    /// With the text that the attempt at `place` among the record's attempts gave.
    #[must_use]
    pub fn with(mut self, part: Option<Part>, language: Language, characters: u32, place: usize) -> Answer {
        self.parts.extend(part.map(|part| Part { attempt: u16::try_from(place).unwrap_or(u16::MAX), ..part }));
        self.language = self.language.and(language);
        self.characters += characters;
        self
    }

    /// Bytes of text.
    pub fn bytes(&self) -> usize {
        let of_block = |block: &Block| block.label.len() + block.html.len();
        let of_part =
            |part: &Part| part.html.len() + part.markdown.len() + part.blocks.iter().map(of_block).sum::<usize>();
        self.parts.iter().map(of_part).sum()
    }
}

/// Where a sealed record lies: a row of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordPlace {
    /// The rank that wrote the shard.
    pub rank: RankId,
    /// The shard's number among that rank's.
    pub sequence: u32,
    /// The row of its `/pages`.
    pub row: u32,
}

/// One rank's settlement of one page: a row of a journal, then of a shard.
///
/// A page has one record for each stage to an engine; see [`PageRecord::precedence`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageRecord {
    /// The page.
    pub page: PageRef,
    /// The assignment under which it was worked on.
    pub lease: LeaseId,
    /// The rank that worked on it.
    pub rank: RankId,
    /// How it ended.
    pub verdict: Verdict,
    /// The engine that gave the verdict; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// Language of the text read, or [`Language::Unknown`].
    pub language: Language,
    /// The page as it was drawn whole on this stage; `None` where that failed, or only other views were drawn.
    pub image: Option<ImageFacts>,
    /// What was found of it then, and done to it.
    pub layout: Option<PageLayout>,
    /// Every attempt in order, those of earlier visits (without their answers) included.
    pub attempts: Vec<Attempt>,
    /// The first attempt that counts: those before it were made before the page was asked to be read again.
    pub counts_from: u16,
    /// The accepted answer, or of a failed page the best that this stage gave; empty for a blank page. Of all records of
    /// a failed page the one with most [`PageRecord::kept_characters`] has the page's text.
    pub parts: Vec<Part>,
    /// For a failed page, the engines that it may yet be given to.
    pub remaining: EngineSet,
    /// Why the page failed, for people; empty otherwise.
    pub reason: String,
    /// When it was settled, milliseconds since the Unix epoch.
    pub settled_unix_ms: i64,
}

impl PageRecord {
    /// Sort key among the records of one page: the record with the greatest key is the final one. A page
    /// that was read (or is blank) stays so whatever a late second answer says; else the latest lease wins.
    pub fn precedence(verdict: Verdict, lease: LeaseId) -> (bool, LeaseId) {
        (!matches!(verdict, Verdict::Failed(_)), lease)
    }

    /// Characters of text in the parts, as their attempts counted them.
    pub fn kept_characters(&self) -> u32 {
        let kept =
            |part: &Part| self.attempts.get(usize::from(part.attempt)).map_or(0, |attempt| attempt.kept_characters);
        self.parts.iter().map(kept).fold(0, u32::saturating_add)
    }

    /// Takes over the text of another record of the page. An attempt of that record which this one does not know, because
    /// it was made on a rank that was lost, is added.
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

    /// Whether this attempt gave text that the record keeps.
    pub fn keeps(&self, attempt: usize) -> bool {
        self.parts.iter().any(|part| usize::from(part.attempt) == attempt)
    }

    /// Who gave the verdict: the accepted attempt of the record's engine, else that engine's last.
    pub fn answered_by(&self) -> Option<&ServedBy> {
        let of_engine = || self.attempts.iter().rev().filter(|attempt| Some(attempt.served_by.engine) == self.engine);
        let accepted = |attempt: &&Attempt| matches!(attempt.outcome, AttemptOutcome::Accepted | AttemptOutcome::Blank);
        of_engine().find(accepted).or_else(|| of_engine().next()).map(|attempt| &attempt.served_by)
    }
}
