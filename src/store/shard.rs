//! Writes a shard: records in, HDF5 tables and text blobs out. Memory is a few megabytes whatever the number of pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use hdf5::File;
use sha2::{Digest, Sha256};

use super::{
    codes,
    error::{Context, Result, StoreError},
    hdf::{self, Appender, Attributes},
    journal::Opening,
    rows::{AttemptRow, BlockRow, PageRow, PartRow, SHARD_FORMAT, SHARD_VERSION},
    tables::{self, Numbering},
};
use crate::model::{Attempt, BBox, Block, Divide, Document, DocumentId, PageLayout, PageRecord, Part, ServedBy, Shown};

/// Number of items in each table and blob of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) pages: u64,
    pub(super) parts: u64,
    pub(super) blocks: u64,
    pub(super) attempts: u64,
    pub(super) text: u64,
}

/// A shard being written under a temporary name.
pub(super) struct ShardWriter<'a> {
    path: &'a Path,
    file: File,
    pages: Appender<PageRow>,
    parts: Appender<PartRow>,
    blocks: Appender<BlockRow>,
    attempts: Appender<AttemptRow>,
    text: Appender<u8>,
    labels: Numbering<String>,
    engines: Numbering<ServedBy>,
    documents: BTreeMap<DocumentId, Document>,
    /// Documents with a page here: a torn journal may name one whose page was cut off.
    with_pages: BTreeSet<DocumentId>,
}

impl<'a> ShardWriter<'a> {
    pub(super) fn create(path: &'a Path) -> Result<Self> {
        let file = hdf::create(path)?;
        Ok(ShardWriter {
            pages: Appender::create(&file, "pages", path)?,
            parts: Appender::create(&file, "parts", path)?,
            blocks: Appender::create(&file, "blocks", path)?,
            attempts: Appender::create(&file, "attempts", path)?,
            text: Appender::create(&file, "text", path)?,
            labels: Numbering::new(),
            engines: Numbering::new(),
            documents: BTreeMap::new(),
            with_pages: BTreeSet::new(),
            path,
            file,
        })
    }

    pub(super) fn document(&mut self, document: Document) {
        self.documents.insert(document.id, document);
    }

    pub(super) fn has_document(&self, id: DocumentId) -> bool {
        self.documents.contains_key(&id)
    }

    pub(super) fn page(&mut self, record: &PageRecord) -> Result<()> {
        self.with_pages.insert(record.page.document);
        let mut text = PageText { record, start: self.text.len(), text: String::new() };
        let html = text.push_all(record.parts.iter().map(|part| &*part.html))?;
        let markdown = text.push_all(record.parts.iter().map(|part| &*part.markdown))?;
        let reason = text.push(&record.reason)?;
        let mut row = page_row(record)?;
        (row.html_offset, row.html_length) = html;
        (row.markdown_offset, row.markdown_length) = markdown;
        (row.reason_offset, row.reason_length) = reason;
        row.first_part = self.parts.len();
        row.first_block = self.blocks.len();
        row.first_attempt = self.attempts.len();

        let page_row = count(self.pages.len(), record, "rows before it")?;
        let (mut html, mut markdown) = (html.0, markdown.0);
        for (index, part) in record.parts.iter().enumerate() {
            let row = part_row(record, part, (page_row, count(index, record, "parts")?), (html, markdown))?;
            html += u64::from(row.html_length);
            markdown += u64::from(row.markdown_length);
            self.blocks(&mut text, part, &row)?;
            self.parts.push(row);
        }
        row.blocks = count(self.blocks.len() - row.first_block, record, "blocks")?;
        for attempt in &record.attempts {
            self.attempt(&mut text, attempt, page_row)?;
        }

        let text = text.text;
        row.text_offset = self.text.len();
        row.text_length = count(text.len(), record, "bytes of text")?;
        row.sha64 = sha64(text.as_bytes());
        self.text.extend(text.as_bytes());
        self.pages.push(row);
        self.relieve()
    }

    fn blocks(&mut self, text: &mut PageText<'_>, part: &Part, row: &PartRow) -> Result<()> {
        let mut searched = 0;
        for Block { label, bbox, html } in &part.blocks {
            // A block's HTML is nearly always a piece of its part's, in order: store it once.
            let (html_offset, html_length) = match part.html[searched..].find(html) {
                Some(at) => {
                    let at = searched + at;
                    searched = at + html.len();
                    (row.html_offset + at as u64, count(html.len(), text.record, "bytes of HTML")?)
                }
                None => text.push(html)?,
            };
            let BBox { left, top, right, bottom } = bbox.unwrap_or(BBox { left: 0, top: 0, right: 0, bottom: 0 });
            self.blocks.push(BlockRow {
                page_row: row.page_row,
                part: row.part,
                label: self.labels.number(label.as_str()).ok_or(too_many(text.record, "labels"))?,
                has_box: bbox.is_some().into(),
                left,
                top,
                right,
                bottom,
                html_offset,
                html_length,
            });
        }
        Ok(())
    }

    fn attempt(&mut self, text: &mut PageText<'_>, attempt: &Attempt, page_row: u32) -> Result<()> {
        let (outcome, class, fault) = codes::outcome(attempt.outcome);
        let (request_id_offset, request_id_length) = text.push(&attempt.request_id)?;
        let (reason_offset, reason_length) = text.push(&attempt.reason)?;
        let (answer_offset, answer_length) = text.push(&attempt.answer)?;
        let Shown { view, part, bbox: BBox { left, top, right, bottom }, turn, skew, size } = attempt.shown;
        self.attempts.push(AttemptRow {
            page_row,
            visit: attempt.visit as u8,
            view: view as u8,
            part,
            left,
            top,
            right,
            bottom,
            turn: turn.degrees(),
            skew: skew.0,
            width: size.width,
            height: size.height,
            outcome,
            class,
            fault,
            finish: attempt.finish.map_or(0, |finish| finish as u8),
            served_by: self.engines.number(&attempt.served_by).ok_or(too_many(text.record, "engines"))?,
            rank: attempt.rank.0,
            step: attempt.step,
            temperature: attempt.sampling.temperature,
            top_p: attempt.sampling.top_p,
            salted: attempt.salted.into(),
            max_tokens: attempt.max_tokens,
            prompt_tokens: attempt.tokens.prompt,
            completion_tokens: attempt.tokens.completion,
            started_unix_ms: attempt.started_unix_ms,
            first_token_us: attempt.time_to_first_token.map_or(-1, microseconds),
            duration_us: microseconds(attempt.duration),
            kept_characters: attempt.kept_characters,
            request_id_offset,
            request_id_length,
            reason_offset,
            reason_length,
            answer_offset,
            answer_length,
        });
        Ok(())
    }

    fn relieve(&mut self) -> Result<()> {
        let path = self.path;
        self.pages.relieve(path)?;
        self.parts.relieve(path)?;
        self.blocks.relieve(path)?;
        self.attempts.relieve(path)?;
        self.text.relieve(path)
    }

    /// Writes the rest.
    pub(super) fn fill(self, opening: &Opening) -> Result<FilledShard<'a>> {
        let path = self.path;
        tables::write_labels(&self.file, &self.labels.into_ordered(), path)?;
        tables::write_engines(&self.file, &self.engines.into_ordered(), path)?;
        let listed = self.documents.values().filter(|document| self.with_pages.contains(&document.id));
        tables::write_documents(&self.file, listed, path)?;
        let counts = Counts {
            pages: self.pages.finish(path)?,
            parts: self.parts.finish(path)?,
            blocks: self.blocks.finish(path)?,
            attempts: self.attempts.finish(path)?,
            text: self.text.finish(path)?,
        };
        write_attributes(&self.file, path, opening, counts.pages)?;
        Ok(FilledShard { path, file: self.file, counts })
    }
}

/// A shard with everything in it, to be closed: dropping the file would hide an error.
pub(super) struct FilledShard<'a> {
    path: &'a Path,
    file: File,
    counts: Counts,
}

impl FilledShard<'_> {
    pub(super) fn close(self) -> Result<Counts> {
        self.file.close().doing("close", self.path)?;
        Ok(self.counts)
    }
}

fn write_attributes(file: &File, path: &Path, opening: &Opening, pages: u64) -> Result<()> {
    let attributes = Attributes { file, path };
    attributes.text("format", SHARD_FORMAT)?;
    attributes.scalar("version", &SHARD_VERSION)?;
    attributes.text("run_id", &opening.provenance.run_id)?;
    attributes.text("configuration", &opening.provenance.configuration_toml)?;
    attributes.text("program_version", &opening.provenance.program_version)?;
    attributes.scalar("rank", &opening.rank.0)?;
    attributes.scalar("sequence", &opening.sequence)?;
    attributes.scalar("created_unix_ns", &opening.created_unix_ns)?;
    attributes.scalar("pages", &pages)?;
    attributes.text("codes", &codes::json())
}

/// The fields of a page that are known before its text is laid out.
fn page_row(record: &PageRecord) -> Result<PageRow> {
    let (verdict, class) = codes::verdict(record.verdict);
    let image = record.image;
    let PageLayout { turn, skew, straightened, cleaned, script, columns } = record.layout.unwrap_or_default();
    let divide = columns.divide.unwrap_or(Divide { top: 0, bottom: 0, x_top: 0, x_bottom: 0 });
    let sum = |tokens: fn(&Attempt) -> u32| record.attempts.iter().map(tokens).fold(0, u32::saturating_add);
    Ok(PageRow {
        document: record.page.document.0,
        page: record.page.page.0,
        lease: record.lease.0,
        rank: record.rank.0,
        verdict,
        class,
        engine: record.engine.map_or(0, |engine| engine as u8),
        server: record.answered_by().map_or(0, |served_by| served_by.server as u8),
        language: record.language as u8,
        parts: count(record.parts.len(), record, "parts")?,
        attempts: count(record.attempts.len(), record, "attempts")?,
        counts_from: record.counts_from,
        ahead: record.ahead.code(),
        kept_characters: record.kept_characters(),
        first_part: 0,
        first_block: 0,
        blocks: 0,
        first_attempt: 0,
        prompt_tokens: sum(|attempt| attempt.tokens.prompt),
        completion_tokens: sum(|attempt| attempt.tokens.completion),
        engine_us: record.attempts.iter().map(|attempt| attempt.duration).sum::<Duration>().as_micros() as u64,
        settled_unix_ms: record.settled_unix_ms,
        has_image: image.is_some().into(),
        grey: image.is_some_and(|image| image.grey).into(),
        width: image.map_or(0, |image| image.size.width),
        height: image.map_or(0, |image| image.size.height),
        dpi: image.map_or(0.0, |image| image.dpi),
        ink: image.map_or(0.0, |image| image.ink),
        encoded_bytes: image.map_or(0, |image| image.encoded_bytes),
        render_us: image.map_or(0, |image| image.render_micros),
        encode_us: image.map_or(0, |image| image.encode_micros),
        turn: turn.degrees(),
        has_skew: skew.is_some().into(),
        skew: skew.unwrap_or_default().0,
        straightened: straightened.into(),
        cleaned: cleaned.into(),
        script: script as u8,
        columns_reason: columns.reason as u8,
        columns_confidence: columns.confidence.0,
        divided: columns.divide.is_some().into(),
        divide_top: divide.top,
        divide_bottom: divide.bottom,
        divide_x_top: divide.x_top,
        divide_x_bottom: divide.x_bottom,
        text_offset: 0,
        text_length: 0,
        html_offset: 0,
        html_length: 0,
        markdown_offset: 0,
        markdown_length: 0,
        reason_offset: 0,
        reason_length: 0,
        sha64: 0,
    })
}

fn part_row(record: &PageRecord, part: &Part, place: (u32, u8), text: (u64, u64)) -> Result<PartRow> {
    let Part { bbox, attempt, blocks, html, markdown } = part;
    let ((page_row, part), (html_offset, markdown_offset)) = (place, text);
    Ok(PartRow {
        page_row,
        part,
        attempt: *attempt,
        left: bbox.left,
        top: bbox.top,
        right: bbox.right,
        bottom: bbox.bottom,
        blocks: count(blocks.len(), record, "blocks")?,
        html_offset,
        html_length: count(html.len(), record, "bytes of HTML")?,
        markdown_offset,
        markdown_length: count(markdown.len(), record, "bytes of Markdown")?,
    })
}

/// All text of one page side by side: HTML, Markdown, reasons and raw answers repeat each other, which halves what
/// the compressor leaves and its time, against a dataset for each kind.
struct PageText<'a> {
    record: &'a PageRecord,
    /// Where it will begin in `/text`.
    start: u64,
    text: String,
}

impl PageText<'_> {
    /// Appends `piece` and returns its span in `/text`.
    fn push(&mut self, piece: &str) -> Result<(u64, u32)> {
        self.push_all([piece])
    }

    fn push_all<'b>(&mut self, pieces: impl IntoIterator<Item = &'b str>) -> Result<(u64, u32)> {
        let from = self.text.len();
        self.text.extend(pieces);
        Ok((self.start + from as u64, count(self.text.len() - from, self.record, "bytes of text")?))
    }
}

/// The checksum of a page's text.
pub(super) fn sha64(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn count<N, M: TryFrom<N>>(number: N, record: &PageRecord, what: &'static str) -> Result<M> {
    M::try_from(number).map_err(|_| too_many(record, what))
}

fn too_many(record: &PageRecord, what: &'static str) -> StoreError {
    StoreError::TooMany { page: record.page, what }
}
