//! Writes a shard: records in, HDF5 tables and text blobs out. Memory is a few megabytes whatever the number of pages.

use std::{collections::BTreeMap, path::Path, time::Duration};

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
use crate::model::{Attempt, BBox, Block, Document, DocumentId, PageRecord, Part, ServedBy};

/// Number of items in each table and blob of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) pages: u64,
    pub(super) parts: u64,
    pub(super) blocks: u64,
    pub(super) attempts: u64,
    pub(super) html: u64,
    pub(super) markdown: u64,
    pub(super) raw: u64,
    pub(super) other: u64,
}

/// The text of one page, before it goes into the blobs.
#[derive(Default)]
struct Texts {
    html: String,
    markdown: String,
    raw: String,
    other: String,
}

/// A shard being written under a temporary name.
pub(super) struct ShardWriter<'a> {
    path: &'a Path,
    file: File,
    pages: Appender<PageRow>,
    parts: Appender<PartRow>,
    blocks: Appender<BlockRow>,
    attempts: Appender<AttemptRow>,
    html: Appender<u8>,
    markdown: Appender<u8>,
    raw: Appender<u8>,
    other: Appender<u8>,
    labels: Numbering<String>,
    engines: Numbering<ServedBy>,
    documents: BTreeMap<DocumentId, Document>,
    texts: Texts,
}

impl<'a> ShardWriter<'a> {
    pub(super) fn create(path: &'a Path) -> Result<Self> {
        let file = hdf::create(path)?;
        let text = file.create_group("text").doing("create a group in", path)?;
        Ok(ShardWriter {
            pages: Appender::create(&file, "pages", path)?,
            parts: Appender::create(&file, "parts", path)?,
            blocks: Appender::create(&file, "blocks", path)?,
            attempts: Appender::create(&file, "attempts", path)?,
            html: Appender::create(&text, "html", path)?,
            markdown: Appender::create(&text, "markdown", path)?,
            raw: Appender::create(&text, "raw", path)?,
            other: Appender::create(&text, "other", path)?,
            labels: Numbering::new(),
            engines: Numbering::new(),
            documents: BTreeMap::new(),
            texts: Texts::default(),
            path,
            file,
        })
    }

    pub(super) fn document(&mut self, document: Document) {
        self.documents.insert(document.id, document);
    }

    pub(super) fn page(&mut self, record: &PageRecord) -> Result<()> {
        let mut row = page_row(record)?;
        row.first_part = self.parts.len();
        row.first_block = self.blocks.len();
        row.first_attempt = self.attempts.len();
        row.html_offset = self.html.len();
        row.markdown_offset = self.markdown.len();
        row.raw_offset = self.raw.len();
        row.other_offset = self.other.len();

        let page_row = count(self.pages.len(), record, "rows before it")?;
        self.texts = Texts::default();
        self.texts.other.push_str(&record.reason);
        for (index, part) in record.parts.iter().enumerate() {
            self.part(record, part, page_row, count(index, record, "parts")?)?;
        }
        for attempt in &record.attempts {
            self.attempt(record, attempt, page_row)?;
        }
        row.blocks = count(self.blocks.len() - row.first_block, record, "blocks")?;

        row.html_length = count(self.texts.html.len(), record, "bytes of HTML")?;
        row.markdown_length = count(self.texts.markdown.len(), record, "bytes of Markdown")?;
        row.raw_length = count(self.texts.raw.len(), record, "bytes of raw answers")?;
        row.other_length = count(self.texts.other.len(), record, "bytes of other text")?;
        let Texts { html, markdown, raw, other } = &self.texts;
        row.sha64 = sha64([html, markdown, raw, other]);
        self.html.extend(html.as_bytes());
        self.markdown.extend(markdown.as_bytes());
        self.raw.extend(raw.as_bytes());
        self.other.extend(other.as_bytes());
        self.pages.push(row);
        self.relieve()
    }

    fn part(&mut self, record: &PageRecord, part: &Part, page_row: u32, index: u8) -> Result<()> {
        let Part { bbox, blocks, html, markdown } = part;
        let html_start = self.texts.html.len();
        let row = PartRow {
            page_row,
            part: index,
            left: bbox.left,
            top: bbox.top,
            right: bbox.right,
            bottom: bbox.bottom,
            first_block: self.blocks.len(),
            blocks: count(blocks.len(), record, "blocks")?,
            html_offset: self.html.len() + html_start as u64,
            html_length: count(html.len(), record, "bytes of HTML")?,
            markdown_offset: self.markdown.len() + self.texts.markdown.len() as u64,
            markdown_length: count(markdown.len(), record, "bytes of Markdown")?,
        };
        self.parts.push(row);
        self.texts.html.push_str(html);
        self.texts.markdown.push_str(markdown);
        // A block's HTML is nearly always a piece of its part's, in order: store it once.
        let mut searched = 0;
        for block in blocks {
            let found = html[searched..].find(&block.html).map(|at| searched + at);
            if let Some(at) = found {
                searched = at + block.html.len();
            }
            self.block(record, block, page_row, index, found.map(|at| html_start + at))?;
        }
        Ok(())
    }

    fn block(&mut self, record: &PageRecord, block: &Block, page_row: u32, part: u8, at: Option<usize>) -> Result<()> {
        let Block { label, bbox, html } = block;
        let (html_in, html_offset) = match at {
            Some(at) => (0, self.html.len() + at as u64),
            None => (1, push(&mut self.texts.other, html, self.other.len())),
        };
        let BBox { left, top, right, bottom } = bbox.unwrap_or(BBox { left: 0, top: 0, right: 0, bottom: 0 });
        self.blocks.push(BlockRow {
            page_row,
            part,
            label: self.labels.number(label.as_str()).ok_or(too_many(record, "labels"))?,
            has_box: bbox.is_some().into(),
            left,
            top,
            right,
            bottom,
            html_in,
            html_offset,
            html_length: count(html.len(), record, "bytes of HTML")?,
        });
        Ok(())
    }

    fn attempt(&mut self, record: &PageRecord, attempt: &Attempt, page_row: u32) -> Result<()> {
        let (outcome, class, fault) = codes::outcome(attempt.outcome);
        self.attempts.push(AttemptRow {
            page_row,
            part: attempt.part,
            outcome,
            class,
            fault,
            finish: attempt.finish.map_or(0, |finish| finish as u8),
            served_by: self.engines.number(&attempt.served_by).ok_or(too_many(record, "engines"))?,
            rank: attempt.rank.0,
            temperature: attempt.sampling.temperature,
            top_p: attempt.sampling.top_p,
            max_tokens: attempt.max_tokens,
            prompt_tokens: attempt.tokens.prompt,
            completion_tokens: attempt.tokens.completion,
            started_unix_ms: attempt.started_unix_ms,
            first_token_us: attempt.time_to_first_token.map_or(-1, microseconds),
            duration_us: microseconds(attempt.duration),
            reason_offset: push(&mut self.texts.other, &attempt.reason, self.other.len()),
            reason_length: count(attempt.reason.len(), record, "bytes of reasons")?,
            answer_offset: push(&mut self.texts.raw, &attempt.answer, self.raw.len()),
            answer_length: count(attempt.answer.len(), record, "bytes of raw answers")?,
        });
        Ok(())
    }

    fn relieve(&mut self) -> Result<()> {
        let path = self.path;
        self.pages.relieve(path)?;
        self.parts.relieve(path)?;
        self.blocks.relieve(path)?;
        self.attempts.relieve(path)?;
        for blob in [&mut self.html, &mut self.markdown, &mut self.raw, &mut self.other] {
            blob.relieve(path)?;
        }
        Ok(())
    }

    /// Writes the rest and closes the file.
    pub(super) fn finish(self, opening: &Opening) -> Result<Counts> {
        let path = self.path;
        tables::write_labels(&self.file, &self.labels.into_ordered(), path)?;
        tables::write_engines(&self.file, &self.engines.into_ordered(), path)?;
        tables::write_documents(&self.file, self.documents.values(), path)?;
        let counts = Counts {
            pages: self.pages.finish(path)?,
            parts: self.parts.finish(path)?,
            blocks: self.blocks.finish(path)?,
            attempts: self.attempts.finish(path)?,
            html: self.html.finish(path)?,
            markdown: self.markdown.finish(path)?,
            raw: self.raw.finish(path)?,
            other: self.other.finish(path)?,
        };
        write_attributes(&self.file, path, opening, counts.pages)?;
        self.file.close().doing("close", path)?;
        Ok(counts)
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
        html_offset: 0,
        html_length: 0,
        markdown_offset: 0,
        markdown_length: 0,
        raw_offset: 0,
        raw_length: 0,
        other_offset: 0,
        other_length: 0,
        reason_length: count(record.reason.len(), record, "bytes of reasons")?,
        sha64: 0,
    })
}

/// The checksum of a page's text: HTML, Markdown, raw answers, other.
pub(super) fn sha64<T: AsRef<[u8]>>(texts: [T; 4]) -> u64 {
    let mut hash = Sha256::new();
    for text in &texts {
        hash.update(text.as_ref());
    }
    let digest = hash.finalize();
    digest.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Appends `text` and returns where it will be in the blob whose end is now `blob_end`.
fn push(texts: &mut String, text: &str, blob_end: u64) -> u64 {
    let offset = blob_end + texts.len() as u64;
    texts.push_str(text);
    offset
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
