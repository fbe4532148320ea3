//! JSONL: a line for each part of a page, with everything but the raw answers.

use serde::Serialize;

use crate::{
    model::{Attempt, AttemptOutcome, Block, Document, ImageFacts, PageRecord, Part, ServedBy},
    store::codes,
};

/// A line. Field names are those that users rely on; `docs/store.md` explains them.
#[derive(Serialize)]
struct Line<'a> {
    document: &'a str,
    /// 1-based.
    page: u32,
    /// 0-based.
    part: usize,
    text: &'a str,
    html: &'a str,
    blocks: Vec<BlockLine<'a>>,
    verdict: &'static str,
    class: Option<&'static str>,
    reason: &'a str,
    engine: Option<&'static str>,
    server: Option<&'static str>,
    language: &'static str,
    bbox: Option<[u16; 4]>,
    image: Option<ImageLine>,
    rank: u32,
    lease: u64,
    settled_unix_ms: i64,
    attempts: Vec<AttemptLine<'a>>,
}

#[derive(Serialize)]
struct BlockLine<'a> {
    label: &'a str,
    /// Left, top, right, bottom in thousandths of the page.
    bbox: Option<[u16; 4]>,
    html: &'a str,
}

#[derive(Serialize)]
struct ImageLine {
    width: u32,
    height: u32,
    dpi: f32,
    grey: bool,
    ink: f32,
    bytes: u32,
}

#[derive(Serialize)]
struct AttemptLine<'a> {
    engine: &'static str,
    server: &'static str,
    profile: &'a str,
    model: &'a str,
    version: &'a str,
    prompt_sha256: &'a str,
    part: u8,
    rank: u32,
    outcome: &'static str,
    class: Option<&'static str>,
    fault: Option<&'static str>,
    finish: Option<&'static str>,
    temperature: f32,
    top_p: f32,
    max_tokens: u32,
    prompt_tokens: u32,
    completion_tokens: u32,
    started_unix_ms: i64,
    first_token_seconds: Option<f64>,
    seconds: f64,
    reason: &'a str,
}

/// Appends the lines of a page: one a part, and one for a page that has none.
pub(super) fn page(out: &mut Vec<u8>, document: &Document, record: &PageRecord) -> serde_json::Result<()> {
    let lines = record.parts.len().max(1);
    for index in 0..lines {
        // An attempt on a part that gave no answer stands on the last line, so that none is lost.
        let belongs = |attempt: &&Attempt| usize::from(attempt.part).min(lines - 1) == index;
        let attempts = record.attempts.iter().filter(belongs);
        serde_json::to_writer(&mut *out, &line(document, record, index, attempts.map(attempt_line).collect()))?;
        out.push(b'\n');
    }
    Ok(())
}

/// What gave the record's answer: `model`, or a stand-in; `None` where no engine saw the page.
pub(super) fn server(record: &PageRecord) -> Option<&'static str> {
    record.answered_by().map(|served_by| served_by.server.name())
}

fn line<'a>(document: &'a Document, record: &'a PageRecord, index: usize, attempts: Vec<AttemptLine<'a>>) -> Line<'a> {
    let part: Option<&Part> = record.parts.get(index);
    Line {
        document: &document.name,
        page: record.page.page.number(),
        part: index,
        text: part.map_or("", |part| &part.markdown),
        html: part.map_or("", |part| &part.html),
        blocks: part.iter().flat_map(|part| &part.blocks).map(block_line).collect(),
        verdict: record.verdict.name(),
        class: record.verdict.class().map(|class| class.name()),
        reason: &record.reason,
        engine: record.engine.map(|engine| engine.name()),
        server: server(record),
        language: record.language.name(),
        bbox: part.map(|part| corners(part.bbox)),
        image: record.image.map(image_line),
        rank: record.rank.0,
        lease: record.lease.0,
        settled_unix_ms: record.settled_unix_ms,
        attempts,
    }
}

fn block_line(block: &Block) -> BlockLine<'_> {
    BlockLine { label: &block.label, bbox: block.bbox.map(corners), html: &block.html }
}

fn corners(bbox: crate::model::BBox) -> [u16; 4] {
    [bbox.left, bbox.top, bbox.right, bbox.bottom]
}

fn image_line(image: ImageFacts) -> ImageLine {
    ImageLine {
        width: image.size.width,
        height: image.size.height,
        dpi: image.dpi,
        grey: image.grey,
        ink: image.ink,
        bytes: image.encoded_bytes,
    }
}

fn attempt_line(attempt: &Attempt) -> AttemptLine<'_> {
    let ServedBy { engine, server, profile, model, version, prompt_sha256 } = &attempt.served_by;
    let (class, fault) = match attempt.outcome {
        AttemptOutcome::Failed(class) => (Some(class.name()), None),
        AttemptOutcome::Interrupted(fault) => (None, codes::fault_name(fault)),
        AttemptOutcome::Accepted | AttemptOutcome::Blank => (None, None),
    };
    AttemptLine {
        engine: engine.name(),
        server: server.name(),
        profile,
        model,
        version,
        prompt_sha256,
        part: attempt.part,
        rank: attempt.rank.0,
        outcome: codes::outcome_name(attempt.outcome),
        class,
        fault,
        finish: attempt.finish.map(|finish| finish.name()),
        temperature: attempt.sampling.temperature,
        top_p: attempt.sampling.top_p,
        max_tokens: attempt.max_tokens,
        prompt_tokens: attempt.tokens.prompt,
        completion_tokens: attempt.tokens.completion,
        started_unix_ms: attempt.started_unix_ms,
        first_token_seconds: attempt.time_to_first_token.map(|time| time.as_secs_f64()),
        seconds: attempt.duration.as_secs_f64(),
        reason: &attempt.reason,
    }
}
