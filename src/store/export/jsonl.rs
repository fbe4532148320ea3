//! JSONL: one line for each part of a page, with all data except the raw answers.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    model::{
        Attempt, AttemptOutcome, BBox, Block, Divide, Document, EngineName, EngineNames, ImageFacts, PageLayout,
        PageRecord, Part, ServedBy, Skew, Verdict,
    },
    store::codes,
};

/// A line. Users rely on the field names; `docs/store.md` explains them.
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
    /// What is odd about an accepted text.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    /// The page failed, and the text is only a part of its text.
    partial: bool,
    engine: Option<&'a str>,
    server: Option<&'static str>,
    language: &'static str,
    bbox: Option<[u16; 4]>,
    image: Option<ImageLine>,
    layout: Option<LayoutLine>,
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
struct LayoutLine {
    /// Degrees clockwise by which the whole page was rotated.
    turn: u16,
    /// Degrees clockwise.
    skew: Option<f32>,
    straightened: bool,
    cleaned: bool,
    script: &'static str,
    columns: ColumnsLine,
}

#[derive(Serialize)]
struct ColumnsLine {
    reason: &'static str,
    /// From 0.5, a guess, to 1, certain.
    confidence: f32,
    /// The line between the columns, on the upright and straight page: x at its upper end, top, x at its lower end,
    /// bottom.
    divide: Option<[u16; 4]>,
}

/// An attempt, and whether the page's parts have its text.
struct AttemptLine<'a> {
    attempt: &'a Attempt,
    kept: bool,
}

impl Serialize for AttemptLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let AttemptLine { attempt, kept } = self;
        let ServedBy { engine, server, profile, model, version, dialect, prompt_sha256, request } = &attempt.served_by;
        let (class, fault) = match attempt.outcome {
            AttemptOutcome::Failed(class) => (Some(class.name()), None),
            AttemptOutcome::Interrupted(fault) => (None, codes::fault_name(fault)),
            AttemptOutcome::Accepted | AttemptOutcome::Blank => (None, None),
        };
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("engine", engine)?;
        line.serialize_entry("server", server.name())?;
        line.serialize_entry("profile", profile)?;
        line.serialize_entry("model", model)?;
        line.serialize_entry("version", version)?;
        line.serialize_entry("dialect", dialect)?;
        line.serialize_entry("prompt_sha256", prompt_sha256)?;
        line.serialize_entry("request", request)?;
        line.serialize_entry("request_id", &attempt.request_id)?;
        line.serialize_entry("visit", attempt.stage.name())?;
        line.serialize_entry("view", attempt.shown.view.name())?;
        line.serialize_entry("part", &attempt.shown.part)?;
        line.serialize_entry("bbox", &corners(attempt.shown.bbox))?;
        line.serialize_entry("turn", &attempt.shown.turn.degrees())?;
        line.serialize_entry("skew", &attempt.shown.skew.degrees())?;
        line.serialize_entry("width", &attempt.shown.size.width)?;
        line.serialize_entry("height", &attempt.shown.size.height)?;
        line.serialize_entry("rank", &attempt.rank.0)?;
        line.serialize_entry("outcome", codes::outcome_name(attempt.outcome))?;
        line.serialize_entry("class", &class)?;
        line.serialize_entry("fault", &fault)?;
        line.serialize_entry("finish", &attempt.finish.map(|finish| finish.name()))?;
        line.serialize_entry("step", &attempt.step)?;
        line.serialize_entry("temperature", &attempt.sampling.temperature)?;
        line.serialize_entry("top_p", &attempt.sampling.top_p)?;
        line.serialize_entry("salted", &attempt.salted)?;
        line.serialize_entry("repeats", &attempt.repeats)?;
        line.serialize_entry("max_tokens", &attempt.max_tokens)?;
        line.serialize_entry("prompt_tokens", &attempt.tokens.prompt)?;
        line.serialize_entry("completion_tokens", &attempt.tokens.completion)?;
        line.serialize_entry("started_unix_ms", &attempt.started_unix_ms)?;
        let first_token = attempt.time_to_first_token.map(|time| time.as_secs_f64());
        line.serialize_entry("first_token_seconds", &first_token)?;
        line.serialize_entry("seconds", &attempt.duration.as_secs_f64())?;
        line.serialize_entry("kept_characters", &attempt.kept_characters)?;
        line.serialize_entry("kept", kept)?;
        line.serialize_entry("reason", &attempt.reason)?;
        line.end()
    }
}

/// Appends the lines of a page: one for each part, and one for a page without parts.
pub(super) fn page(
    out: &mut Vec<u8>,
    document: &Document,
    record: &PageRecord,
    engines: &EngineNames,
) -> serde_json::Result<()> {
    let lines = record.parts.len().max(1);
    let places: Vec<BBox> = record.parts.iter().map(|part| part.bbox).collect();
    for index in 0..lines {
        let belongs = |(_, attempt): &(usize, &Attempt)| line_of(attempt, &places) == index;
        let attempts = record.attempts.iter().enumerate().filter(belongs);
        let attempts = attempts.map(|(place, attempt)| AttemptLine { attempt, kept: record.keeps(place) });
        serde_json::to_writer(&mut *out, &line(document, record, engines, index, attempts.collect()))?;
        out.push(b'\n');
    }
    Ok(())
}

/// The line that lists an attempt: that of the part that its image shared most area with, or the first line.
fn line_of(attempt: &Attempt, places: &[BBox]) -> usize {
    let shown = |place: &BBox| place.shared_with(attempt.shown.bbox);
    let most = places.iter().map(shown).max().unwrap_or(0);
    places.iter().position(|place| shown(place) == most).unwrap_or(0)
}

/// What gave a part's text or, for a page without text, its verdict. `None` where no engine saw the page.
pub(super) fn given_by<'a>(record: &'a PageRecord, part: Option<&Part>) -> Option<&'a ServedBy> {
    match part {
        Some(part) => record.attempts.get(usize::from(part.attempt)).map(|attempt| &attempt.served_by),
        None => record.answered_by(),
    }
}

/// Whether the page failed and the record has some of its text.
pub(super) fn is_partial(record: &PageRecord) -> bool {
    matches!(record.verdict, Verdict::Failed(_)) && !record.parts.is_empty()
}

fn line<'a>(
    document: &'a Document,
    record: &'a PageRecord,
    engines: &'a EngineNames,
    index: usize,
    attempts: Vec<AttemptLine<'a>>,
) -> Line<'a> {
    let part: Option<&Part> = record.parts.get(index);
    let given_by = given_by(record, part);
    let engine = given_by.map(|served_by| &served_by.engine).or(record.engine.map(|engine| &engines[engine]));
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
        remark: part.map(|part| record.remark_on(part)).filter(|remark| !remark.is_empty()),
        partial: is_partial(record),
        engine: engine.map(EngineName::as_str),
        server: given_by.map(|served_by| served_by.server.name()),
        language: record.language.name(),
        bbox: part.map(|part| corners(part.bbox)),
        image: record.image.map(image_line),
        layout: record.layout.map(layout_line),
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

fn layout_line(layout: PageLayout) -> LayoutLine {
    let PageLayout { turn, skew, straightened, cleaned, script, columns } = layout;
    LayoutLine {
        turn: turn.degrees(),
        skew: skew.map(Skew::degrees),
        straightened,
        cleaned,
        script: script.name(),
        columns: ColumnsLine {
            reason: columns.reason.name(),
            confidence: f32::from(columns.confidence.0) / 100.0,
            divide: columns.divide.map(|Divide { top, bottom, x_top, x_bottom }| [x_top, top, x_bottom, bottom]),
        },
    }
}
