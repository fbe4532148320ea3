//! Reads a sealed shard: how its pages stand, or one record whole.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hdf5::{Dataset, File};

use super::{
    codes,
    error::{Context, Result, StoreError},
    hdf,
    journal::{Opening, Provenance},
    layout::{Layout, StoreFile},
    recover::{Latest, Recorded, check_run},
    rows::{AttemptRow, BlockRow, PageRow, PartRow, RecordedRow, SHARD_FORMAT, SHARD_VERSION, SettledRow},
    shard::Counts,
    tables,
};
use crate::model::{
    Attempt, BBox, Block, Columns, ColumnsReason, Confidence, Divide, Document, DocumentId, Engine, EngineSet,
    ImageFacts, Language, LeaseId, PageIndex, PageLayout, PageRecord, PageRef, Part, PixelSize, RankId, RecordPlace,
    Sampling, ServedBy, ServerKind, Shown, Skew, TokenUsage, Turn, Verdict, View, Visit,
};

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
    /// Characters of text, white space not counted; of a failed page in an index, those of the record with most.
    pub kept_characters: u32,
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
    pub(super) path: PathBuf,
    file: File,
    pub(super) pages: Dataset,
    pub(super) parts: Dataset,
    pub(super) blocks: Dataset,
    pub(super) attempts: Dataset,
    pub(super) text: Dataset,
    pub(super) labels: Vec<String>,
    pub(super) engines: Vec<ServedBy>,
}

impl ShardReader {
    /// Opens a shard and checks that its number of pages is the one it was sealed with.
    ///
    /// # Errors
    /// The file is not there, is no shard, has another version or lacks pages.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let dataset = |name: &str| file.dataset(name).doing("open a table of", path);
        let reader = ShardReader {
            path: path.into(),
            pages: dataset("pages")?,
            parts: dataset("parts")?,
            blocks: dataset("blocks")?,
            attempts: dataset("attempts")?,
            text: dataset("text")?,
            labels: tables::read_labels(&file, path)?,
            engines: tables::read_engines(&file, path)?,
            file,
        };
        check_pages(&reader.file, &reader.pages, path)?;
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
        u32::try_from(rows.len()).map_err(|_| self.damaged("too many rows"))?;
        rows.iter().map(|row| settled(row, &self.path)).collect()
    }

    /// The record in a row of `/pages`.
    ///
    /// # Errors
    /// The row does not exist or points outside the shard's tables.
    pub fn read(&self, row: u64) -> Result<PageRecord> {
        let rows: Vec<PageRow> = hdf::read_range(&self.pages, row..row + 1, &self.path)?;
        let [row] = rows[..] else { return Err(self.damaged("no such row")) };
        let bytes = self.range(&self.text, row.text_offset, row.text_length.into())?;
        let text = String::from_utf8(bytes).map_err(|_| self.damaged("text that is not UTF-8"))?;
        let text = PageText { start: row.text_offset, text };
        let class = row.class;
        Ok(PageRecord {
            page: page_ref(row.document, row.page),
            lease: LeaseId(row.lease),
            rank: RankId(row.rank),
            verdict: codes::verdict_from(row.verdict, class).ok_or_else(|| self.damaged("unknown verdict"))?,
            engine: engine(row.engine, &self.path)?,
            language: Language::from_code(row.language).ok_or_else(|| self.damaged("unknown language"))?,
            image: (row.has_image != 0).then(|| image(&row)),
            layout: if row.has_image == 0 { None } else { Some(self.layout(&row)?) },
            attempts: self.read_attempts(&row, &text)?,
            counts_from: row.counts_from,
            parts: self.read_parts(&row, &text)?,
            ahead: ahead(row.ahead, &self.path)?,
            reason: self.cut(&text, row.reason_offset, row.reason_length)?,
            settled_unix_ms: row.settled_unix_ms,
        })
    }

    /// The attempts of the record in a row of `/pages`, with their reasons and without their answers.
    ///
    /// # Errors
    /// As [`ShardReader::read`].
    pub fn read_attempts_at(&self, row: u64) -> Result<EarlierAttempts> {
        let rows: Vec<PageRow> = hdf::read_range(&self.pages, row..row + 1, &self.path)?;
        let [page] = rows[..] else { return Err(self.damaged("no such row")) };
        let rows: Vec<AttemptRow> = self.range(&self.attempts, page.first_attempt, page.attempts.into())?;
        let cut = |offset, length: u32| {
            let bytes = self.range(&self.text, offset, length.into())?;
            String::from_utf8(bytes).map_err(|_| self.damaged("text that is not UTF-8"))
        };
        let attempt = |row: &AttemptRow| {
            let request_id = cut(row.request_id_offset, row.request_id_length)?;
            self.attempt(row, request_id, cut(row.reason_offset, row.reason_length)?, String::new())
        };
        let attempts = rows.iter().map(attempt).collect::<Result<_>>()?;
        Ok(EarlierAttempts { attempts, counts_from: page.counts_from })
    }

    fn layout(&self, row: &PageRow) -> Result<PageLayout> {
        let reason = ColumnsReason::from_code(row.columns_reason);
        let divide = Divide {
            top: row.divide_top,
            bottom: row.divide_bottom,
            x_top: row.divide_x_top,
            x_bottom: row.divide_x_bottom,
        };
        Ok(PageLayout {
            turn: Turn::from_degrees(row.turn).ok_or_else(|| self.damaged("unknown turn"))?,
            skew: (row.has_skew != 0).then_some(Skew(row.skew)),
            straightened: row.straightened != 0,
            cleaned: row.cleaned != 0,
            script: Language::from_code(row.script).ok_or_else(|| self.damaged("unknown script"))?,
            columns: Columns {
                divide: (row.divided != 0).then_some(divide),
                reason: reason.ok_or_else(|| self.damaged("unknown reason of columns"))?,
                confidence: Confidence(row.columns_confidence),
            },
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
                    attempt: part.attempt,
                    blocks: blocks.collect::<Result<_>>()?,
                    html: self.cut(text, part.html_offset, part.html_length)?,
                    markdown: self.cut(text, part.markdown_offset, part.markdown_length)?,
                })
            })
            .collect()
    }

    fn block(&self, row: &BlockRow, text: &PageText) -> Result<Block> {
        let label = self.labels.get(usize::from(row.label)).ok_or_else(|| self.damaged("unknown label"))?;
        let bbox = BBox { left: row.left, top: row.top, right: row.right, bottom: row.bottom };
        Ok(Block {
            label: label.clone(),
            bbox: (row.has_box != 0).then_some(bbox),
            html: self.cut(text, row.html_offset, row.html_length)?,
        })
    }

    fn read_attempts(&self, page: &PageRow, text: &PageText) -> Result<Vec<Attempt>> {
        let rows: Vec<AttemptRow> = self.range(&self.attempts, page.first_attempt, page.attempts.into())?;
        let attempt = |row: &AttemptRow| {
            let request_id = self.cut(text, row.request_id_offset, row.request_id_length)?;
            let reason = self.cut(text, row.reason_offset, row.reason_length)?;
            self.attempt(row, request_id, reason, self.cut(text, row.answer_offset, row.answer_length)?)
        };
        rows.iter().map(attempt).collect()
    }

    fn attempt(&self, row: &AttemptRow, request_id: String, reason: String, answer: String) -> Result<Attempt> {
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
            visit: Visit::from_code(row.visit).ok_or_else(|| self.damaged("unknown visit"))?,
            shown: Shown {
                view: View::from_code(row.view).ok_or_else(|| self.damaged("unknown view"))?,
                part: row.part,
                bbox: BBox { left: row.left, top: row.top, right: row.right, bottom: row.bottom },
                turn: Turn::from_degrees(row.turn).ok_or_else(|| self.damaged("unknown turn"))?,
                skew: Skew(row.skew),
                size: PixelSize { width: row.width, height: row.height },
            },
            request_id,
            outcome: outcome.ok_or_else(|| self.damaged("unknown outcome"))?,
            finish,
            step: row.step,
            sampling: Sampling { temperature: row.temperature, top_p: row.top_p },
            salted: row.salted != 0,
            max_tokens: row.max_tokens,
            tokens: TokenUsage { prompt: row.prompt_tokens, completion: row.completion_tokens },
            started_unix_ms: row.started_unix_ms,
            time_to_first_token: microseconds(row.first_token_us),
            duration: microseconds(row.duration_us).unwrap_or_default(),
            kept_characters: row.kept_characters,
            reason,
            answer,
        })
    }

    /// Lengths of all tables and blobs.
    pub(super) fn counts(&self) -> Counts {
        let length = |dataset: &Dataset| dataset.size() as u64;
        Counts {
            pages: length(&self.pages),
            parts: length(&self.parts),
            blocks: length(&self.blocks),
            attempts: length(&self.attempts),
            text: length(&self.text),
        }
    }

    fn range<T: hdf5::H5Type>(&self, table: &Dataset, first: u64, count: u64) -> Result<Vec<T>> {
        if count == 0 { Ok(Vec::new()) } else { hdf::read_range(table, first..first + count, &self.path) }
    }

    /// A piece of the page's text, addressed as in the whole dataset.
    fn cut(&self, text: &PageText, offset: u64, length: u32) -> Result<String> {
        let start = offset.checked_sub(text.start).and_then(|start| usize::try_from(start).ok());
        let piece = start.and_then(|start| text.text.get(start..start + length as usize));
        piece.map(str::to_owned).ok_or_else(|| self.damaged("a row points outside its page's text"))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(&self.path, reason)
    }
}

/// The attempts of a record, with their reasons and without their answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EarlierAttempts {
    /// All of them, in order.
    pub attempts: Vec<Attempt>,
    /// The first that counts.
    pub counts_from: u16,
}

/// The attempts of a record, for a rank that goes on with a page of an earlier start.
///
/// # Errors
/// The shard is missing or damaged.
pub fn attempts(run_directory: &Path, place: RecordPlace) -> Result<EarlierAttempts> {
    let shard = ShardReader::open(&Layout::new(run_directory).shard(place.into()))?;
    shard.read_attempts_at(place.row.into())
}

/// Adds how every record of a shard of this run settled its page. Opens nothing but the rows and reads only the
/// columns needed.
pub(super) fn settled_columns(path: &Path, file: StoreFile, run_id: &str, records: &mut Vec<Recorded>) -> Result<()> {
    let shard = open(path)?;
    check_run(path, &hdf::text_attribute(&shard, path, "run_id")?, run_id)?;
    let pages = shard.dataset("pages").doing("open a table of", path)?;
    check_pages(&shard, &pages, path)?;
    let rows: Vec<RecordedRow> = hdf::read_range(&pages, 0..pages.size() as u64, path)?;
    u32::try_from(rows.len()).map_err(|_| StoreError::damaged(path, "too many rows"))?;
    records.reserve(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let page = page_ref(row.document, row.page);
        let verdict = codes::verdict_from(row.verdict, row.class)
            .ok_or_else(|| StoreError::damaged(path, format!("unknown verdict at {page}")))?;
        let (lease, engine, ahead) = (LeaseId(row.lease), engine(row.engine, path)?, ahead(row.ahead, path)?);
        let place = file.place(index as u32);
        let latest = Latest { lease, ahead, place };
        records.push(Recorded { page, lease, latest, verdict, engine, place });
    }
    Ok(())
}

/// Opens the file of a shard and checks what it says it is.
fn open(path: &Path) -> Result<File> {
    if !path.exists() {
        return Err(StoreError::MissingShard { path: path.into() });
    }
    let file = hdf::open(path)?;
    hdf::check_format(&file, path, SHARD_FORMAT, SHARD_VERSION)?;
    Ok(file)
}

/// Checks that a shard has the number of pages that it was sealed with.
fn check_pages(file: &File, pages: &Dataset, path: &Path) -> Result<()> {
    let (found, sealed) = (pages.size() as u64, hdf::attribute::<u64>(file, path, "pages")?);
    if found == sealed {
        return Ok(());
    }
    Err(StoreError::damaged(path, format!("{found} pages where {sealed} were sealed")))
}

/// All text of a page, and where it begins in `/text`.
struct PageText {
    start: u64,
    text: String,
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

fn ahead(code: u8, path: &Path) -> Result<EngineSet> {
    EngineSet::from_code(code).ok_or_else(|| StoreError::damaged(path, "unknown engines ahead"))
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
        kept_characters: row.kept_characters,
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
