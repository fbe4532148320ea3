//! Reads a sealed shard: how its pages stand, or one record whole.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use hdf5::{Dataset, File};

use super::{
    codes,
    error::{Context, Result, StoreError},
    hdf,
    journal::{Opening, Provenance},
    rows::{AttemptRow, BlockRow, PageRow, PartRow, SHARD_FORMAT, SHARD_VERSION, SettledRow},
    shard::{Counts, sha64},
    tables,
};
use crate::model::{
    Attempt, BBox, Block, Document, DocumentId, Engine, ImageFacts, Language, LeaseId, PageIndex, PageRecord, PageRef,
    Part, PixelSize, RankId, Sampling, ServedBy, ServerKind, TokenUsage, Verdict,
};

/// Rows whose text is checked together.
const WINDOW: u64 = 256;

/// How a record settled its page: all of a record but what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The page.
    pub page: PageRef,
    /// Under which assignment.
    pub lease: LeaseId,
    /// By which rank.
    pub rank: RankId,
    /// How.
    pub verdict: Verdict,
    /// By which engine; `None` where no engine saw the page.
    pub engine: Option<Engine>,
    /// By the model or by a stand-in; `None` where no engine saw the page.
    pub server: Option<ServerKind>,
    /// Language of the text.
    pub language: Language,
    /// Attempts kept in the record.
    pub attempts: u16,
    /// Checksum of the record's text.
    pub sha64: u64,
}

impl Settled {
    /// See [`PageRecord::precedence`].
    pub fn precedence(&self) -> (bool, LeaseId) {
        PageRecord::precedence(self.verdict, self.lease)
    }
}

/// An open shard.
#[derive(Debug)]
pub struct ShardReader {
    path: PathBuf,
    file: File,
    pages: Dataset,
    parts: Dataset,
    blocks: Dataset,
    attempts: Dataset,
    html: Dataset,
    markdown: Dataset,
    raw: Dataset,
    other: Dataset,
    labels: Vec<String>,
    engines: Vec<ServedBy>,
}

impl ShardReader {
    /// Opens a shard and checks that its number of pages is the one it was sealed with.
    ///
    /// # Errors
    /// The file is not there, is no shard, has another version or lacks pages.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(StoreError::MissingShard { path: path.into() });
        }
        let file = hdf::open(path)?;
        hdf::check_format(&file, path, SHARD_FORMAT, SHARD_VERSION)?;
        let dataset = |name: &str| file.dataset(name).doing("open a table of", path);
        let reader = ShardReader {
            path: path.into(),
            pages: dataset("pages")?,
            parts: dataset("parts")?,
            blocks: dataset("blocks")?,
            attempts: dataset("attempts")?,
            html: dataset("text/html")?,
            markdown: dataset("text/markdown")?,
            raw: dataset("text/raw")?,
            other: dataset("text/other")?,
            labels: tables::read_labels(&file, path)?,
            engines: tables::read_engines(&file, path)?,
            file,
        };
        let sealed: u64 = hdf::attribute(&reader.file, path, "pages")?;
        if sealed != reader.pages() {
            let reason = format!("{} pages where {sealed} were sealed", reader.pages());
            return Err(StoreError::damaged(path, reason));
        }
        Ok(reader)
    }

    /// Number of records.
    pub fn pages(&self) -> u64 {
        self.pages.size() as u64
    }

    /// The opening of the journal that it was made from.
    ///
    /// # Errors
    /// An attribute cannot be read.
    pub fn opening(&self) -> Result<Opening> {
        let (file, path) = (&self.file, &*self.path);
        Ok(Opening {
            rank: RankId(hdf::attribute(file, path, "rank")?),
            sequence: hdf::attribute(file, path, "sequence")?,
            created_unix_ns: hdf::attribute(file, path, "created_unix_ns")?,
            provenance: Provenance {
                run_id: hdf::text_attribute(file, path, "run_id")?,
                configuration_toml: hdf::text_attribute(file, path, "configuration")?,
                program_version: hdf::text_attribute(file, path, "program_version")?,
            },
        })
    }

    /// The documents of its pages.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn documents(&self) -> Result<Vec<Document>> {
        tables::read_documents(&self.file, &self.path)
    }

    /// How every record settled its page, in row order. Reads no text.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn settled(&self) -> Result<Vec<Settled>> {
        let rows: Vec<SettledRow> = hdf::read_range(&self.pages, 0..self.pages(), &self.path)?;
        rows.iter().map(|row| settled(row, &self.path)).collect()
    }

    /// The record in a row of `/pages`.
    ///
    /// # Errors
    /// The row does not exist or points outside the shard's tables.
    pub fn read(&self, row: u64) -> Result<PageRecord> {
        let rows: Vec<PageRow> = hdf::read_range(&self.pages, row..row + 1, &self.path)?;
        let [row] = rows[..] else { return Err(self.damaged("no such row")) };
        let text = PageText {
            html: self.span(&self.html, row.html_offset, row.html_length)?,
            raw: self.span(&self.raw, row.raw_offset, row.raw_length)?,
            markdown: self.span(&self.markdown, row.markdown_offset, row.markdown_length)?,
            other: self.span(&self.other, row.other_offset, row.other_length)?,
        };
        let class = row.class;
        Ok(PageRecord {
            page: page_ref(row.document, row.page),
            lease: LeaseId(row.lease),
            rank: RankId(row.rank),
            verdict: codes::verdict_from(row.verdict, class).ok_or_else(|| self.damaged("unknown verdict"))?,
            engine: engine(row.engine, &self.path)?,
            language: Language::from_code(row.language).ok_or_else(|| self.damaged("unknown language"))?,
            image: (row.has_image != 0).then(|| image(&row)),
            attempts: self.read_attempts(&row, &text)?,
            parts: self.read_parts(&row, &text)?,
            reason: self.cut(&text.other, row.other_offset, row.reason_length)?,
            settled_unix_ms: row.settled_unix_ms,
        })
    }

    fn read_parts(&self, page: &PageRow, text: &PageText) -> Result<Vec<Part>> {
        let parts: Vec<PartRow> = self.range(&self.parts, page.first_part, page.parts.into())?;
        let blocks: Vec<BlockRow> = self.range(&self.blocks, page.first_block, page.blocks.into())?;
        let mut blocks = blocks.iter();
        parts
            .iter()
            .map(|part| {
                let blocks = blocks.by_ref().take(part.blocks as usize).map(|block| self.block(block, text));
                Ok(Part {
                    bbox: BBox { left: part.left, top: part.top, right: part.right, bottom: part.bottom },
                    blocks: blocks.collect::<Result<_>>()?,
                    html: self.cut(&text.html, part.html_offset, part.html_length)?,
                    markdown: self.cut(&text.markdown, part.markdown_offset, part.markdown_length)?,
                })
            })
            .collect()
    }

    fn block(&self, row: &BlockRow, text: &PageText) -> Result<Block> {
        let blob = if row.html_in == 0 { &text.html } else { &text.other };
        let label = self.labels.get(usize::from(row.label)).ok_or_else(|| self.damaged("unknown label"))?;
        let bbox = BBox { left: row.left, top: row.top, right: row.right, bottom: row.bottom };
        Ok(Block {
            label: label.clone(),
            bbox: (row.has_box != 0).then_some(bbox),
            html: self.cut(blob, row.html_offset, row.html_length)?,
        })
    }

    fn read_attempts(&self, page: &PageRow, text: &PageText) -> Result<Vec<Attempt>> {
        let rows: Vec<AttemptRow> = self.range(&self.attempts, page.first_attempt, page.attempts.into())?;
        rows.iter().map(|row| self.attempt(row, text)).collect()
    }

    fn attempt(&self, row: &AttemptRow, text: &PageText) -> Result<Attempt> {
        let served_by = self.engines.get(usize::from(row.served_by)).ok_or_else(|| self.damaged("unknown engine"))?;
        let outcome = codes::outcome_from(row.outcome, row.class, row.fault);
        let microseconds = |value: i64| u64::try_from(value).ok().map(Duration::from_micros);
        let finish = match row.finish {
            0 => None,
            code => Some(codes::finish_from(code).ok_or_else(|| self.damaged("unknown finish reason"))?),
        };
        Ok(Attempt {
            served_by: served_by.clone(),
            rank: RankId(row.rank),
            part: row.part,
            outcome: outcome.ok_or_else(|| self.damaged("unknown outcome"))?,
            finish,
            sampling: Sampling { temperature: row.temperature, top_p: row.top_p },
            max_tokens: row.max_tokens,
            tokens: TokenUsage { prompt: row.prompt_tokens, completion: row.completion_tokens },
            started_unix_ms: row.started_unix_ms,
            time_to_first_token: microseconds(row.first_token_us),
            duration: microseconds(row.duration_us).unwrap_or_default(),
            reason: self.cut(&text.other, row.reason_offset, row.reason_length)?,
            answer: self.cut(&text.raw, row.answer_offset, row.answer_length)?,
        })
    }

    /// Recomputes the checksum of every page's text and returns the pages whose text differs.
    ///
    /// # Errors
    /// A table or blob cannot be read at all.
    pub fn check_texts(&self) -> Result<Vec<PageRef>> {
        let mut bad = Vec::new();
        for start in (0..self.pages()).step_by(WINDOW as usize) {
            let end = (start + WINDOW).min(self.pages());
            let rows: Vec<PageRow> = hdf::read_range(&self.pages, start..end, &self.path)?;
            let blobs = [
                self.window(&self.html, &rows, |row| (row.html_offset, row.html_length))?,
                self.window(&self.markdown, &rows, |row| (row.markdown_offset, row.markdown_length))?,
                self.window(&self.raw, &rows, |row| (row.raw_offset, row.raw_length))?,
                self.window(&self.other, &rows, |row| (row.other_offset, row.other_length))?,
            ];
            for (index, row) in rows.iter().enumerate() {
                if sha64(blobs.each_ref().map(|blob| blob.of(index))) != row.sha64 {
                    bad.push(page_ref(row.document, row.page));
                }
            }
        }
        Ok(bad)
    }

    /// The bytes of a blob that belong to `rows`, read at once.
    fn window(&self, blob: &Dataset, rows: &[PageRow], span: fn(&PageRow) -> (u64, u32)) -> Result<Window> {
        let spans: Vec<Range<u64>> = rows.iter().map(span).map(|(from, length)| from..from + u64::from(length)).collect();
        let start = spans.first().map_or(0, |span| span.start);
        let end = spans.last().map_or(0, |span| span.end);
        if spans.iter().any(|span| span.start < start || span.end > end) {
            return Err(self.damaged("spans of text are out of order"));
        }
        Ok(Window { start, bytes: hdf::read_range(blob, start..end, &self.path)?, spans })
    }

    /// Lengths of all tables and blobs.
    pub(super) fn counts(&self) -> Counts {
        let length = |dataset: &Dataset| dataset.size() as u64;
        Counts {
            pages: length(&self.pages),
            parts: length(&self.parts),
            blocks: length(&self.blocks),
            attempts: length(&self.attempts),
            html: length(&self.html),
            markdown: length(&self.markdown),
            raw: length(&self.raw),
            other: length(&self.other),
        }
    }

    fn range<T: hdf5::H5Type>(&self, table: &Dataset, first: u64, count: u64) -> Result<Vec<T>> {
        if count == 0 { Ok(Vec::new()) } else { hdf::read_range(table, first..first + count, &self.path) }
    }

    fn span(&self, blob: &Dataset, offset: u64, length: u32) -> Result<Span> {
        let text = String::from_utf8(self.range(blob, offset, length.into())?);
        Ok(Span { offset, text: text.map_err(|_| self.damaged("text that is not UTF-8"))? })
    }

    /// A piece of the page's text, addressed as in the whole blob.
    fn cut(&self, span: &Span, offset: u64, length: u32) -> Result<String> {
        let start = offset.checked_sub(span.offset).and_then(|start| usize::try_from(start).ok());
        let piece = start.and_then(|start| span.text.get(start..start + length as usize));
        piece.map(str::to_owned).ok_or_else(|| self.damaged("a row points outside its page's text"))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(&self.path, reason)
    }
}

/// A page's piece of a blob.
struct Span {
    offset: u64,
    text: String,
}

struct PageText {
    html: Span,
    markdown: Span,
    raw: Span,
    other: Span,
}

/// The bytes of a blob that belong to some consecutive rows.
struct Window {
    start: u64,
    bytes: Vec<u8>,
    spans: Vec<Range<u64>>,
}

impl Window {
    fn of(&self, index: usize) -> &[u8] {
        let span = &self.spans[index];
        &self.bytes[(span.start - self.start) as usize..(span.end - self.start) as usize]
    }
}

pub(super) fn page_ref(document: u32, page: u32) -> PageRef {
    PageRef { document: DocumentId(document), page: PageIndex(page) }
}

fn engine(code: u8, path: &Path) -> Result<Option<Engine>> {
    match code {
        0 => Ok(None),
        code => Engine::from_code(code).map(Some).ok_or_else(|| StoreError::damaged(path, "unknown engine")),
    }
}

fn settled(row: &SettledRow, path: &Path) -> Result<Settled> {
    let damaged = || StoreError::damaged(path, format!("unknown code at {}", page_ref(row.document, row.page)));
    Ok(Settled {
        page: page_ref(row.document, row.page),
        lease: LeaseId(row.lease),
        rank: RankId(row.rank),
        verdict: codes::verdict_from(row.verdict, row.class).ok_or_else(damaged)?,
        engine: engine(row.engine, path)?,
        server: ServerKind::from_code(row.server),
        language: Language::from_code(row.language).ok_or_else(damaged)?,
        attempts: row.attempts,
        sha64: row.sha64,
    })
}

fn image(row: &PageRow) -> ImageFacts {
    ImageFacts {
        size: PixelSize { width: row.width, height: row.height },
        dpi: row.dpi,
        grey: row.grey != 0,
        encoded_bytes: row.encoded_bytes,
        ink: row.ink,
        render_micros: row.render_us,
        encode_micros: row.encode_us,
    }
}

/// Final records among many, and how many others there are: see [`PageRecord::precedence`].
pub(super) fn finals<K: Copy>(
    records: impl IntoIterator<Item = (K, Settled)>,
) -> (BTreeMap<PageRef, (K, Settled)>, u64) {
    let mut finals: BTreeMap<PageRef, (K, Settled)> = BTreeMap::new();
    let mut superseded = 0;
    for (place, record) in records {
        match finals.get_mut(&record.page) {
            None => {
                finals.insert(record.page, (place, record));
            }
            Some(best) => {
                superseded += 1;
                if record.precedence() > best.1.precedence() {
                    *best = (place, record);
                }
            }
        }
    }
    (finals, superseded)
}
